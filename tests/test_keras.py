"""What Keras offers around weights, through Keras' own calls: test_processes.py runs this file again under tf_keras."""

import copy
import json
import pickle
import zipfile

import numpy as np
import pandas
import pytest
import tensorflow as tf
from conftest import make_small, mostly_slow, scramble

import tfp_flows as tff
from tfp_flows.arrays import whole_arrays
from tfp_flows.recipe import recipe_of

KERAS_3 = hasattr(tf.keras, "Variable")
ROWS = tff.datasets.gaussian().sample(200, seed=0)
CONTEXT = np.linspace(-1.0, 1.0, 200, dtype="float32")[:, None]


def build(seed: int = 0, **options) -> tff.FlowModel:
    flow = scramble(make_small("maf", 2, **({"num_layers": 1, "batch_norm": False} | options)), 0.05, seed)
    model = tff.FlowModel(flow)
    model.compile(tf.keras.optimizers.Adam(1e-2), jit_compile=False)
    return model


def scores(model: tff.FlowModel) -> np.ndarray:
    return model.flow.log_prob(ROWS).numpy()


class Spoil(tf.keras.callbacks.Callback):
    """Makes every epoch after the first worse than the one before."""

    def on_epoch_begin(self, epoch, logs=None):
        for v in self.model.flow.trainable_variables:
            v.assign_add(3.0 * epoch * tf.ones_like(v))


@pytest.mark.kerases
def test_keras_counts_the_variables():
    model = build()
    numbers = 0 if KERAS_3 else 2  # tf_keras counts those of a metric that is an attribute, total and count
    assert len(model.layer.weights) == len(model.flow.variables) == len(model.weights) - numbers
    assert len(model.trainable_variables) == len(model.flow.trainable_variables)
    assert model.count_params() - numbers == sum(v.shape.num_elements() for v in model.flow.variables)
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert f"{model.count_params():,}" in "\n".join(lines)


@pytest.mark.kerases
def test_get_and_set_weights():
    model, other = build(), build(seed=1)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(scores(other), scores(model))


@pytest.mark.kerases
@pytest.mark.parametrize("name", ["x.weights.h5", "x.keras", "checkpoint"])
def test_weight_files(name, tmp_path):
    model, other = build(), build(seed=1)
    if name == "checkpoint":
        path = tf.train.Checkpoint(model=model).write(str(tmp_path / name))
        tf.train.Checkpoint(model=other).read(path)
    elif name == "x.keras":
        model.save(tmp_path / name)
        other = tf.keras.models.load_model(tmp_path / name)
        assert isinstance(other, tff.FlowModel)
    else:
        model.save_weights(tmp_path / name)
        other.load_weights(tmp_path / name)
    np.testing.assert_array_equal(scores(other), scores(model))


def test_weights_of_another_flow_are_refused(tmp_path):
    build().save_weights(tmp_path / "x.weights.h5")
    other = build(seed=1, hidden_units=(9, 9))
    before = scores(other)
    with pytest.raises(ValueError, match=r"belongs to a flow with other layers or options"):
        other.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(scores(other), before)


@pytest.mark.parametrize("options", mostly_slow([{"mixing": "none"}, {"activation": "relu"}, {"order": 2}], 1))
@pytest.mark.parametrize("name", ["x.weights.h5", "checkpoint"])
def test_weights_of_a_flow_of_the_same_shapes_are_refused(name, options, tmp_path):
    model = build(num_layers=2)
    if "order" in options:
        model, other = (drawn_order(seed) for seed in (1, 2))
    else:
        other = build(seed=1, num_layers=2, **options)
    before = [v.numpy() for v in other.flow.variables]
    if name == "checkpoint":
        path, read = tf.train.Checkpoint(model=model).write(str(tmp_path / name)), tf.train.Checkpoint(model=other).read
    else:
        path, read = tmp_path / name, other.load_weights
        model.save_weights(path)
    with pytest.raises(ValueError, match="belongs to a flow with other layers or options than this one"):
        read(path)
    for variable, value in zip(other.flow.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def drawn_order(seed: int) -> tff.FlowModel:
    """A flow whose network has an order that was drawn, and that no variable knows."""
    made = tff.networks.MADE(5, hidden_units=(8,), order="random", seed=seed)
    return tff.FlowModel(tff.Flow([tff.bijectors.MaskedAutoregressiveFlow(made, name="layer")], event_size=5))


@pytest.mark.kerases
def test_files_without_a_recipe_are_read_as_before(tmp_path, monkeypatch):
    """Those of old, of which a checkpoint is consumed as well."""
    model, again = build(), build(seed=1)
    with monkeypatch.context() as old:
        old.setattr(tff.FlowLayer, "save_own_variables", save_arrays_alone)
        model.save_weights(tmp_path / "x.weights.h5")
    again.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(scores(again), scores(model))
    holder = tf.train.Checkpoint(flow=tf.train.Checkpoint(**children(model.flow)))
    path = holder.write(str(tmp_path / "checkpoint"))
    other = build(seed=2)
    tf.train.Checkpoint(flow=other.flow).read(path).assert_consumed()
    np.testing.assert_array_equal(scores(other), scores(model))
    path = tf.train.Checkpoint(flow=model.flow).write(str(tmp_path / "new"))
    tf.train.Checkpoint(flow=build(seed=3).flow).read(path).assert_consumed()


def save_arrays_alone(layer, store) -> None:
    for name, array in whole_arrays(layer.flow).items():
        store[name.replace("/", ".")] = array


def children(flow) -> dict:
    """What a checkpoint has of a flow, but for its own state."""
    return dict(flow._trackable_children())


@pytest.mark.parametrize("weights_only", mostly_slow([True, False], 1, kerases=1))
def test_model_checkpoint(weights_only, tmp_path):
    model = build()
    path = str(tmp_path / ("best.weights.h5" if weights_only else "best.keras"))
    keep = tf.keras.callbacks.ModelCheckpoint(
        path, monitor="val_nll", save_best_only=True, save_weights_only=weights_only
    )
    history = model.fit(ROWS, validation_split=0.5, epochs=3, callbacks=[Spoil(), keep], verbose=0).history["val_nll"]
    assert np.argmin(history) == 0
    other = build(seed=1)
    if weights_only:
        other.load_weights(path)
    else:
        other = tf.keras.models.load_model(path)
    assert -np.mean(other.flow.log_prob(ROWS[100:])) == pytest.approx(history[0], abs=1e-4)


@pytest.mark.kerases
@pytest.mark.slow
def test_early_stopping_restores_the_best_weights_without_mode():
    model = build()
    stop = tf.keras.callbacks.EarlyStopping("val_nll", patience=2, restore_best_weights=True)
    history = model.fit(ROWS, validation_split=0.5, epochs=9, callbacks=[Spoil(), stop], verbose=0).history["val_nll"]
    assert len(history) == 3
    assert -np.mean(model.flow.log_prob(ROWS[100:])) == pytest.approx(min(history), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("monitor", mostly_slow(["val_nll", "gap"], 1, kerases=1))
def test_the_rate_falls_without_mode(monitor):
    model = tff.FlowModel(scramble(make_small("nice", 2)), entropy=0.0)
    model.compile(tf.keras.optimizers.SGD(0.1), jit_compile=False)
    fall = tf.keras.callbacks.ReduceLROnPlateau(monitor, factor=0.5, patience=1)
    model.fit(ROWS, validation_split=0.5, epochs=4, callbacks=[Spoil(), fall], verbose=0)
    assert float(np.asarray(model.optimizer.learning_rate)) < 0.1


@pytest.mark.slow
def test_backup_and_restore(tmp_path):
    class Stop(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def backup() -> list:
        return [tf.keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))]

    straight, model, again = build(), build(), build(seed=1)
    options = {"epochs": 4, "batch_size": 50, "shuffle": False, "verbose": 0}
    straight.fit(ROWS, **options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(ROWS, callbacks=[*backup(), Stop()], **options)
    history = again.fit(ROWS, callbacks=backup(), **options)
    assert history.epoch == [2, 3]
    np.testing.assert_allclose(scores(again), scores(straight), rtol=1e-5)


@pytest.mark.kerases
def test_a_frozen_model_does_not_train():
    model = build()
    model.trainable = False
    model.compile(tf.keras.optimizers.Adam(1e-2), jit_compile=False)
    before = scores(model)
    assert model.trainable_variables == []
    model.fit(ROWS, epochs=1, verbose=0)
    np.testing.assert_array_equal(scores(model), before)
    model.trainable = True
    assert len(model.trainable_variables) == len(model.flow.trainable_variables)


@pytest.mark.kerases
@pytest.mark.slow
def test_a_scaled_loss_makes_the_same_step():
    models = [build(), build()]
    wrap = tf.keras.optimizers.LossScaleOptimizer if KERAS_3 else tf.keras.mixed_precision.LossScaleOptimizer
    for model, optimizer in zip(models, (lambda o: o, wrap), strict=True):
        model.compile(optimizer(tf.keras.optimizers.SGD(1e-2)), jit_compile=False)
        model.fit(ROWS, batch_size=200, epochs=1, verbose=0)
    assert np.any(scores(models[0]) != scores(build()))
    np.testing.assert_allclose(scores(models[1]), scores(models[0]), rtol=1e-5, atol=1e-5)


@pytest.mark.kerases
@pytest.mark.slow
def test_a_policy_of_half_precision_leaves_the_flow_as_it_is():
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = build()
        np.testing.assert_allclose(model.predict(ROWS, verbose=0), scores(model), rtol=1e-5)
        model.fit(ROWS, epochs=1, verbose=0)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(scores(model)).all()


@pytest.mark.kerases
@pytest.mark.slow
def test_predict_and_evaluate_with_context_and_weights():
    flow = scramble(make_small("maf", 2, context_size=1, batch_norm=False))
    model = tff.FlowModel(flow)
    model.compile("adam", jit_compile=False)
    log_prob = flow.log_prob(ROWS, context=CONTEXT).numpy()
    np.testing.assert_allclose(model.predict((ROWS, CONTEXT), verbose=0), log_prob, rtol=1e-5)
    np.testing.assert_allclose(model((ROWS, CONTEXT)), log_prob, rtol=1e-5)
    weights = np.linspace(0.0, 3.0, 200, dtype="float32")
    nll = model.evaluate(ROWS, CONTEXT, sample_weight=weights, batch_size=64, verbose=0, return_dict=True)["nll"]
    assert nll == pytest.approx(-np.average(log_prob, weights=weights), rel=1e-5)
    model.fit((ROWS, CONTEXT), epochs=1, verbose=0)
    model.fit(ROWS, CONTEXT, sample_weight=weights, epochs=1, verbose=0)
    assert np.any(flow.log_prob(ROWS, context=CONTEXT).numpy() != log_prob)


@pytest.mark.slow
def test_a_batch_of_weight_zero_counts_nothing():
    model = build()
    weights = np.repeat([0.0, 1.0], 100).astype("float32")
    history = model.fit(ROWS, sample_weight=weights, batch_size=100, shuffle=False, epochs=1, verbose=0).history
    assert np.isfinite(history["nll"][0])
    assert np.isfinite(scores(model)).all()


@pytest.mark.slow
def test_weights_count_without_a_context():
    """Keras drops the weights of rows that have no y."""
    model = build()
    weights = np.linspace(0.0, 3.0, 200, dtype="float32")
    nll = model.evaluate(ROWS, sample_weight=weights, batch_size=64, verbose=0, return_dict=True)["nll"]
    assert nll == pytest.approx(-np.average(scores(model), weights=weights), rel=1e-5)
    other = build()
    model.fit(ROWS, sample_weight=weights, shuffle=False, epochs=1, verbose=0)
    other.fit(ROWS, shuffle=False, epochs=1, verbose=0)
    assert np.any(scores(model) != scores(other))


@pytest.mark.kerases
@pytest.mark.slow
def test_named_columns_are_matched():
    model = build()
    table = pandas.DataFrame(ROWS, columns=["a", "b"])
    model.flow.columns = ["a", "b"]
    expected = model.evaluate(table, verbose=0)
    np.testing.assert_allclose(model.evaluate(table[["b", "a"]], verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(table[["b", "a"]], verbose=0), scores(model), rtol=1e-5)
    with pytest.raises(tff.InputError, match="no column 'a'"):
        model.fit(table.rename(columns={"a": "c"}), epochs=1, verbose=0)


NAMED = pandas.DataFrame(ROWS, columns=["a", "b"]), pandas.DataFrame(10.0 + 3.0 * ROWS, columns=["c", "d"])
SHUFFLED = NAMED[0][["b", "a"]], NAMED[1][["d", "c"]]
WEIGHTS = np.repeat([1.0, 0.0], [50, 150])


@pytest.fixture(scope="module")
def named() -> tff.FlowModel:
    """A model that knows the names of its columns, and that no step changes."""
    model = tff.FlowModel(scramble(make_small("maf", 2, context_size=2, batch_norm=False), 0.05))
    model.flow.standardize(*NAMED[:1], context=NAMED[1])
    model.flow.columns, model.flow.context_columns = ("a", "b"), ("c", "d")
    model.compile(tf.keras.optimizers.SGD(0.0), jit_compile=False)
    return model


GIVEN = {
    "fit": lambda m, x, c: m.fit(x, c, shuffle=False, verbose=0).history["nll"][0],
    "validation_data": lambda m, x, c: m.fit(*NAMED, validation_data=(x, c), verbose=0).history["val_nll"][0],
    "evaluate": lambda m, x, c: m.evaluate(x, c, verbose=0),
    "train_on_batch": lambda m, x, c: m.train_on_batch(x, c),
    "test_on_batch": lambda m, x, c: m.test_on_batch(x, c),
    "predict": lambda m, x, c: -m.predict((x, c), verbose=0),
    "predict of a list": lambda m, x, c: -m.predict([x, c], verbose=0),
    "predict_on_batch": lambda m, x, c: -m.predict_on_batch((x, c)),
    "call": lambda m, x, c: -m((x, c)).numpy(),
    "call with a context": lambda m, x, c: -m(x, context=c).numpy(),
    "the layer": lambda m, x, c: -m.layer(x, context=c).numpy(),
}


@pytest.mark.parametrize("way", mostly_slow(GIVEN))
def test_every_method_matches_columns_by_name(way, named):
    expected = -np.mean(named.flow.log_prob(NAMED[0], context=NAMED[1]))
    for tables in (NAMED, SHUFFLED):
        named.reset_metrics()
        assert np.mean(GIVEN[way](named, *tables)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(tff.InputError, match="context has no column 'd'"):
        GIVEN[way](named, NAMED[0], NAMED[1].rename(columns={"d": "e"}))


@pytest.mark.kerases
@pytest.mark.slow
def test_weights_of_validation_data_count():
    model = build()
    model.compile(tf.keras.optimizers.SGD(0.0), jit_compile=False)
    for weights in (WEIGHTS, pandas.Series(WEIGHTS)):
        logs = model.fit(ROWS, validation_data=(ROWS, None, weights), verbose=0).history
        assert logs["val_nll"][0] == pytest.approx(-np.mean(scores(model)[:50]), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.fit(ROWS, verbose=0), "context must be rows of 2 columns"),
        (lambda m: m.fit(ROWS[:, :1], ROWS, verbose=0), r"x must be rows of 2 columns; got shape \[200, 1\]"),
        (lambda m: m.evaluate(ROWS, ROWS[:9], verbose=0), "a row for each of the 200 rows of x; got 9"),
        (lambda m: m.predict(([[1.0, 2.0, 3.0]], [[1.0, 2.0]]), verbose=0), "x has 3 columns; expected 2: a, b"),
        (lambda m: m.train_on_batch((ROWS, ROWS), ROWS), "context was given twice"),
        (lambda m: m.fit(ROWS, ROWS, sample_weight=-WEIGHTS, verbose=0), "sample_weight must be at least 0"),
        (lambda m: m.fit(ROWS, ROWS, sample_weight=1e-42 * WEIGHTS), r"sample_weight must be.*float32.*got 1e-42"),
        (lambda m: m.evaluate(ROWS, ROWS, sample_weight=1e36 * WEIGHTS), r"sample_weight must be.*divide them by"),
        (lambda m: m.fit(ROWS, ROWS, sample_weight=["1"] * 200), "sample_weight: row 1, column 1 is '1'"),
        (lambda m: m.evaluate(ROWS, ROWS, sample_weight=0 * WEIGHTS, verbose=0), "not all 0"),
        (lambda m: m.test_on_batch(ROWS, ROWS, sample_weight="balanced"), "sample_weight is a str; expected a table"),
        (lambda m: m.fit(np.array([[0.0, 1.0], [2.0, np.nan]]), ROWS[:2]), "x: row 2, column 2 is nan"),
        (lambda m: m.fit(ROWS, np.where(ROWS[3, 1] == ROWS, np.inf, ROWS)), "context: row 4, column 2 is inf"),
        (lambda m: m.fit(ROWS, ROWS, validation_data=(ROWS * np.nan, ROWS)), "validation_data: 400 values are .*nan"),
        (lambda m: m.fit(ROWS, ROWS, batch_size=0), "batch_size must be an integer of at least 1; got 0"),
        (lambda m: m.evaluate(ROWS, ROWS, batch_size=2.5), "batch_size must be an integer of at least 1; got 2.5"),
        (lambda m: m.fit(epochs=1), "x must be rows, or a tf.data.Dataset of batches; got None"),
        (
            lambda m: m.fit(ROWS, ROWS, validation_data=(ROWS, None, None, None)),
            r"validation_data must be x, \(x, context\) or \(x, context, sample_weight\); got 4 parts",
        ),
        (lambda _: tff.FlowModel(None), "flow must be a tff.Flow; got None"),
        (lambda _: tff.FlowLayer("maf"), "flow must be a tff.Flow; got 'maf'"),
        (lambda m: tff.FlowModel(m.flow, entropy="a"), "entropy is 'a'; expected a number"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call, sentence, named):
    with pytest.raises(tff.InputError, match=sentence):
        call(named)


@pytest.mark.slow
def test_rows_may_be_lists(named):
    expected = named.predict((ROWS[:4], ROWS[:4]), verbose=0)
    np.testing.assert_allclose(named.predict((ROWS[:4].tolist(), ROWS[:4].tolist()), verbose=0), expected, rtol=1e-5)
    model = build()
    np.testing.assert_allclose(model.predict(ROWS[:2].tolist(), verbose=0), scores(model)[:2], rtol=1e-5)


FAR = 50.0 + ROWS


@pytest.mark.kerases
def test_single_rows_and_constant_columns_of_64_bits_are_scored():
    model, rows = build(), np.array([[0.1, 1 / 3], [0.1, 2 / 3]])
    expected = model.flow.log_prob(rows)
    np.testing.assert_allclose(model.predict(rows, verbose=0), expected, rtol=1e-4)
    np.testing.assert_allclose(model.predict(rows[1:], verbose=0), expected[1:], rtol=1e-4)
    np.testing.assert_allclose(model.evaluate(rows[:1], verbose=0), -expected[0], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    mostly_slow(
        [(FAR,), (tf.data.Dataset.from_tensor_slices(FAR).batch(50),), (tf.constant(FAR),), (pandas.DataFrame(FAR),)], 2
    ),
)
def test_rows_that_nobody_standardised_are_warned_of_once(given, recwarn):
    model = build(whiten=False)
    for layer in model.flow.layers:
        if isinstance(layer, tff.bijectors.Standardize):
            layer.loc.assign(np.zeros(2))
            layer.scale.assign(np.ones(2))
    for _ in range(2):
        model.fit(*given, epochs=1, verbose=0)
    said = [warning for warning in recwarn if "flow.standardize(x)" in str(warning.message)]
    assert len(said) == 1
    assert str(said[0].message).startswith("x: column 1 has mean 50")
    assert "was never standardised" in str(said[0].message)
    assert said[0].filename == __file__


@pytest.mark.parametrize("given", [1e8 + ROWS.astype("float64"), pandas.DataFrame(1_700_000_000 + np.arange(100) % 7)])
def test_rows_that_keras_would_round_to_one_are_refused(given):
    """`evaluate` and `predict` gave the log-density of one row for all."""
    rows = np.asarray(given, np.float64)
    flow = tff.nice(rows.shape[1], context_size=0, num_layers=1) if rows.shape[1] > 1 else tff.nsf(1, num_layers=1)
    flow.standardize(rows)
    model = tff.FlowModel(flow)
    model.compile(jit_compile=False)
    few = given[:100]
    for call in (
        lambda: model.fit(few, epochs=1, verbose=0),
        lambda: model.fit(np.zeros_like(rows), validation_data=(few,), epochs=1, verbose=0),
        lambda: model.evaluate(few, verbose=0),
        lambda: model.predict(few, verbose=0),
    ):
        with pytest.raises(tff.InputError, match=r"x: column .* apart, and Keras rounds tables.*tf.data.Dataset"):
            call()
    with pytest.raises(tff.InputError, match=r"x: row 1, column 1 is .* deviations off in float32, and Keras"):
        model.predict(given[1:2], verbose=0)
    expected = flow.log_prob(rows[:100])
    batches = tf.data.Dataset.from_tensor_slices(rows[:100]).batch(50)
    np.testing.assert_allclose(model.predict(batches, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(batches, verbose=0), -np.mean(expected), rtol=1e-5)


@pytest.mark.slow
def test_batch_norm_in_a_fit_of_keras_is_warned_of(recwarn):
    """Nothing sets its statistics there: an `evaluate` afterwards was off by nats without a word."""
    flow = make_small("real_nvp", 2)
    model = tff.FlowModel(flow)
    model.compile(jit_compile=False)
    with pytest.warns(UserWarning, match=r"batch norm of real_nvp keeps no statistics.*flow.set_batch_norm"):
        model.fit(ROWS, epochs=1, verbose=0)
    layer = tff.FlowLayer(flow)
    with pytest.warns(UserWarning, match=r"flow.set_batch_norm"):
        layer(tf.constant(ROWS), training=True)
    recwarn.clear()
    layer(tf.constant(ROWS), training=True)
    tff.fit(flow, ROWS, epochs=1, verbose=False, jit_compile=False)
    assert not [warning for warning in recwarn if "batch norm" in str(warning.message)]


def test_two_layers_of_flows_in_one_model():
    inputs = tf.keras.Input([2])
    layers = [tff.FlowLayer(make_small("nice", 2)) for _ in range(2)]
    model = tf.keras.Model(inputs, [layer(inputs) for layer in layers])
    assert len({layer.name for layer in model.layers}) == 3


@pytest.mark.slow
def test_no_word_of_rows_that_are_standardised_and_of_a_context_likewise(recwarn):
    rows = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    model = tff.FlowModel(tff.nice(2, num_layers=1, hidden_units=(4,)))
    model.compile(jit_compile=False)
    model.fit(rows, epochs=1, verbose=0)
    model.flow.standardize(FAR)
    model.fit(FAR, epochs=1, verbose=0)
    assert not [warning for warning in recwarn if "standardise" in str(warning.message)]
    with pytest.warns(UserWarning, match=r"x: column 1 has mean -.*nice was standardised by other rows"):
        model.fit(rows, epochs=1, verbose=0)
    model = tff.FlowModel(tff.nice(2, num_layers=1, hidden_units=(4,), context_size=1))
    model.compile(jit_compile=False)
    with pytest.warns(
        UserWarning, match=r"^context: column 1 has mean 99.* call flow.standardize\(x, context=context\)"
    ):
        model.fit(rows, 99.0 + CONTEXT, epochs=1, verbose=0)


@pytest.mark.slow
def test_a_loaded_model_goes_on_training(tmp_path):
    model = build()
    model.fit(ROWS, epochs=1, verbose=0)
    model.save(tmp_path / "x.keras")
    other = tf.keras.models.load_model(tmp_path / "x.keras")
    for each in (model, other):
        each.fit(ROWS, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(scores(other), scores(model), rtol=1e-4)


@pytest.mark.parametrize("option", ["loss", "metrics", "weighted_metrics", "loss_weights"])
def test_a_loss_that_would_not_be_used_is_refused(option):
    with pytest.raises(tff.InputError, match=f"{option} cannot be chosen"):
        build().compile("adam", **{option: ["mse"]})


def test_an_unknown_option_is_refused():
    with pytest.raises(tff.InputError, match="compile takes an optimizer"):
        build().compile("adam", speed="high")


# A flow inside a model of one's own.


class Encoded(tf.keras.Model):
    """A network whose output is the context."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = tf.keras.layers.Dense(3)
        self.density = tff.FlowLayer(make_small("maf", 2, context_size=3, batch_norm=False))

    def call(self, inputs):
        x, seen = inputs
        return self.density.add_nll(x, context=self.encoder(seen))


def functional() -> tf.keras.Model:
    x, seen = tf.keras.Input([2]), tf.keras.Input([1])
    layer = tff.FlowLayer(make_small("maf", 2, context_size=3, batch_norm=False))
    model = tf.keras.Model([x, seen], layer(x, context=tf.keras.layers.Dense(3, name="encoder")(seen)))
    model.density = layer
    return model


@pytest.mark.slow
@pytest.mark.parametrize("make", mostly_slow([Encoded, functional], 1, kerases=1))
def test_a_flow_in_a_model_trains_with_it(make, tmp_path):
    def compiled() -> tf.keras.Model:
        model = make()
        loss = None if make is Encoded else lambda _, log_prob: -log_prob
        model.compile(tf.keras.optimizers.Adam(1e-2), loss=loss, jit_compile=False)
        model([ROWS, CONTEXT])
        return model

    model = compiled()
    flow = model.density.flow
    before = [v.numpy() for v in flow.trainable_variables]
    history = model.fit([ROWS, CONTEXT], np.zeros(200), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert all(np.any(v.numpy() != b) for v, b in zip(flow.trainable_variables, before, strict=True))
    assert len(model.trainable_variables) == len(flow.trainable_variables) + 2
    assert model.count_params() == sum(v.shape.num_elements() for v in flow.variables) + 6
    model.save_weights(tmp_path / "x.weights.h5")
    other = compiled()
    other.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(other([ROWS, CONTEXT]), model([ROWS, CONTEXT]))
    model.density.trainable = False
    assert len(model.trainable_variables) == 2


@pytest.mark.kerases
def test_a_functional_model_is_saved_whole(tmp_path):
    model = functional()
    scramble(model.density.flow)
    model.save(tmp_path / "x.keras")
    other = tf.keras.models.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(other([ROWS, CONTEXT]), model([ROWS, CONTEXT]))


@pytest.mark.kerases
def test_a_flow_that_two_layers_have_is_one_flow_again(tmp_path):
    flow = make_small("nice", 2)
    x = tf.keras.Input([2])
    layers = [tff.FlowLayer(flow), tff.FlowLayer(flow)]
    inner = tf.keras.Model(x, layers[1](x))  # written, and copied, before the other layer is
    model = tf.keras.Model(x, tf.keras.layers.Add()([inner(x), layers[0](x)]))
    model.compile("sgd", loss="mse", jit_compile=False)
    model.save(tmp_path / "x.keras")
    others = [tf.keras.models.load_model(tmp_path / "x.keras") for _ in range(2)]
    for other in others:
        np.testing.assert_array_equal(other(ROWS), model(ROWS))
        assert len(other.trainable_variables) == len(model.trainable_variables)
    others[0].fit(ROWS, np.zeros(len(ROWS)), verbose=0)
    np.testing.assert_array_equal(others[1](ROWS), model(ROWS))
    copies = copy.deepcopy(layers)
    assert copies[0].flow is copies[1].flow is not flow
    np.testing.assert_array_equal(copies[1](ROWS), layers[0](ROWS))


@pytest.mark.parametrize(
    ("key", "value"),
    mostly_slow(
        [("apart", 7), ("num_masked", "x"), ("apart", "x"), ("map", [1]), ("make", None), ("with", [])],
        *(1, 5),
        several=True,
    ),
)
def test_a_configuration_that_was_edited_is_refused_in_one_sentence(key, value, tmp_path):
    base = make_small("nice", 2)
    x = tf.keras.Input([2])
    layers = [tff.FlowLayer(make_small("real_nvp", 2, base=base)), tff.FlowLayer(base)]
    tf.keras.Model(x, tf.keras.layers.Add()([layers[0](x), layers[1](x)])).save(tmp_path / "x.keras")

    def edited(part):
        if isinstance(part, list):
            return [edited(each) for each in part]
        if not isinstance(part, dict):
            return part
        return {k: value if k == key and not isinstance(v, list) else edited(v) for k, v in part.items()}

    with zipfile.ZipFile(tmp_path / "x.keras") as file, zipfile.ZipFile(tmp_path / "y.keras", "w") as other:
        for name in file.namelist():
            data = file.read(name)
            other.writestr(name, json.dumps(edited(json.loads(data))) if name == "config.json" else data)
    assert (tmp_path / "x.keras").read_bytes() != (tmp_path / "y.keras").read_bytes()
    with pytest.raises(tff.InputError, match="the configuration of a FlowLayer"):
        tf.keras.models.load_model(tmp_path / "y.keras")


@pytest.mark.kerases
def test_a_base_with_a_layer_of_its_own_is_one_flow_again(tmp_path):
    base = make_small("nice", 2)
    x = tf.keras.Input([2])
    layers = [tff.FlowLayer(make_small("nice", 2, base=base)), tff.FlowLayer(base)]
    model = tf.keras.Model(x, tf.keras.layers.Add()([layers[0](x), layers[1](2.0 * x)]))
    model.save(tmp_path / "x.keras")
    other = tf.keras.models.load_model(tmp_path / "x.keras", compile=False)
    np.testing.assert_array_equal(other(ROWS), model(ROWS))
    assert len(other.trainable_variables) == len(model.trainable_variables)
    copies = copy.deepcopy(layers)
    assert copies[0].flow.distribution is copies[1].flow is not base
    flows = pickle.loads(pickle.dumps([layer.flow for layer in layers]))
    assert flows[0].distribution is flows[1]
    np.testing.assert_array_equal(flows[0].log_prob(ROWS), layers[0](ROWS))


@pytest.mark.kerases
@pytest.mark.parametrize("name", ["FlowModel", "FlowLayer"])
def test_a_file_is_read_where_nobody_has_imported_the_class(name, tmp_path, monkeypatch):
    inputs = tf.keras.Input([2])
    model = build() if name == "FlowModel" else tf.keras.Model(inputs, tff.FlowLayer(make_small("nice", 2))(inputs))
    registry = tf.keras.utils.get_custom_objects()
    model.save(tmp_path / "x.keras")
    monkeypatch.setitem(registry, f"tfp_flows>{name}", registry[f"tfp_flows>{name}"])  # it comes back
    del registry[f"tfp_flows>{name}"]
    tff._name_to_keras(name)
    other = tf.keras.models.load_model(tmp_path / "x.keras")
    assert type(other) is type(model)
    np.testing.assert_array_equal(other(ROWS), model(ROWS))


@pytest.mark.kerases
def test_models_written_with_a_recipe_alone_are_read():
    flow = make_small("nice", 2)
    layer = tff.FlowLayer.from_config({"flow": recipe_of(flow), "name": "density", "trainable": False})
    assert (layer.name, layer.trainable, recipe_of(layer.flow)) == ("density", False, recipe_of(flow))


@pytest.mark.kerases
def test_a_layer_samples_encodes_and_decodes():
    layer = tff.FlowLayer(scramble(make_small("real_nvp", 2, batch_norm=False)))
    np.testing.assert_array_equal(layer.sample(4, seed=0), layer.flow.sample(4, seed=0))
    np.testing.assert_allclose(layer.decode(layer.encode(ROWS)), ROWS, atol=1e-4)


@pytest.mark.slow
def test_a_model_is_exported_as_its_flow(tmp_path):
    flow = make_small("maf", 2)
    model = tff.FlowModel(flow)
    model.export(tmp_path / "export")
    plain = tf.saved_model.load(tmp_path / "export")
    np.testing.assert_allclose(plain.log_prob(tf.constant(ROWS[:5])), flow.log_prob(ROWS[:5]), rtol=1e-6)
    with pytest.raises(tff.InputError, match="export writes the tf_saved_model"):
        model.export(tmp_path / "other", format="onnx")


class Part:
    """An object of the user's own."""

    def __init__(self, flow):
        self.flow = flow


@pytest.mark.kerases
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(tf.keras, "Variable"), reason="tf_keras finds the variables of modules by itself")
@pytest.mark.parametrize(
    ("held", "run_eagerly"),
    [
        (lambda flow: flow, False),
        (lambda flow: {"parts": [Part(flow)]}, False),
        pytest.param(lambda flow: [flow], True, marks=pytest.mark.slow),
    ],
)
def test_a_flow_that_keras_does_not_see_says_so(held, run_eagerly, recwarn):
    class Holder(tf.keras.Model):
        def __init__(self, flow):
            super().__init__()
            self.held = held(flow)
            self.inner = tf.keras.layers.Dense(2)

        def call(self, x):
            flow = self.held["parts"][0].flow if isinstance(self.held, dict) else self.held
            flow = flow[0] if isinstance(flow, list) else flow
            return (flow if isinstance(flow, tff.FlowLayer) else flow.log_prob)(self.inner(x))

    for wrapped in (make_small("nice", 2), tff.FlowLayer(make_small("nice", 2))):
        model = Holder(wrapped)
        model.compile("adam", loss=lambda _, log_prob: -log_prob, run_eagerly=run_eagerly)
        model.fit(ROWS[:40], ROWS[:40, 0], batch_size=20, verbose=0)
        said = [str(warning.message) for warning in recwarn.list if "FlowLayer" in str(warning.message)]
        assert said == [
            "nice is an attribute of Holder, and Keras 3 does not see its variables, to train or to save them: hold "
            "tff.FlowLayer(flow) in its place."
        ]


@pytest.mark.kerases
def test_a_layer_that_is_frozen_stays_so(tmp_path):
    flow = make_small("nice", 2)
    layer = tff.FlowLayer(flow, trainable=False)
    model = tf.keras.Sequential([tf.keras.Input([2]), layer])
    assert model.trainable_weights == []
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    assert again.trainable_weights == []
    assert len(again.weights) == len(flow.variables)
    again.layers[-1].trainable = True
    assert len(again.trainable_weights) == len(flow.trainable_variables)
    assert len(tff.FlowLayer(flow).trainable_weights) == len(flow.trainable_variables)


@pytest.mark.skipif(not KERAS_3, reason="tf_keras finds variables by itself")
def test_a_flow_in_two_layers_takes_the_step_of_one():
    """Whether it is in both itself, or as the base of another flow."""

    def after_a_step(layers):
        x = tf.keras.Input([2])
        first, second = layers(make_small("nice", 2))
        model = tf.keras.Model(x, tf.keras.layers.Add()([first(x), second(2.0 * x)]))
        model.compile(tf.keras.optimizers.SGD(0.01), loss=lambda _, log_prob: -log_prob, jit_compile=False)
        model.train_on_batch(ROWS, np.zeros(len(ROWS)))
        assert len(model.trainable_variables) == len({id(v.value) for v in model.trainable_variables})
        return [v.numpy() for v in first.flow.trainable_variables]

    alone = after_a_step(lambda flow: [tff.FlowLayer(flow)] * 2)
    both = after_a_step(lambda flow: [tff.FlowLayer(flow), tff.FlowLayer(flow)])
    for one, other in zip(alone, both, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    base = make_small("nice", 2)
    flow = make_small("nice", 2, base=base)
    layers = [tff.FlowLayer(base), tff.FlowLayer(flow)]
    assert {id(v) for v in layers[0].variables} < {id(v) for v in layers[1].variables}
    layers[0].trainable = False  # whatever is frozen in layers, a training of the flow's own trains
    assert len(tff.FlowModel(base).trainable_variables) == len(base.trainable_variables)


@pytest.mark.kerases
@pytest.mark.slow
def test_validation_data_may_be_an_array():
    history = build().fit(ROWS, validation_data=ROWS, epochs=1, verbose=0).history
    assert np.isfinite(history["val_nll"]).all()


def test_classes_are_refused():
    for call in (build().fit, build().train_on_batch):
        with pytest.raises(tff.InputError, match=r"class_weight must be None.*give sample_weight"):
            call(ROWS, class_weight={0: 1.0})


@pytest.mark.kerases
def test_terminate_on_nan_stops_at_the_first_loss_that_is_none():
    history = build().fit(
        np.full_like(ROWS, 1e30), epochs=3, batch_size=50, verbose=0, callbacks=tf.keras.callbacks.TerminateOnNaN()
    )
    assert len(history.epoch) == 1


@pytest.mark.kerases
@pytest.mark.parametrize("optimizer", [None, "adamm", 3])
def test_what_is_no_optimizer_is_refused(optimizer):
    with pytest.raises(tff.InputError, match=f"optimizer must be one of tf.keras.optimizers.*got {optimizer!r}"):
        build().compile(optimizer)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([["a", "b"]] * 5), "row 1, column 1 is 'a'; expected a finite number"),
        (ROWS[:0], r"x must have rows; got shape \[0, 2\]"),
    ],
)
def test_what_are_no_rows_is_refused(x, message):
    model = build()
    for call in (model.fit, model.evaluate, model.predict, model.train_on_batch, model.predict_on_batch):
        with pytest.raises(tff.InputError, match=message):
            call(x)


@pytest.mark.kerases
def test_a_stream_of_dicts_is_refused():
    stream = tf.data.Dataset.from_tensor_slices({"a": ROWS[:, 0], "b": ROWS[:, 1]}).batch(50)
    with pytest.raises(tff.InputError, match=r"x of a batch must be a tensor.*got a dict of a, b"):
        build().fit(stream, verbose=0)
