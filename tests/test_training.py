"""fit and FlowModel, on whichever Keras this process has: test_processes.py runs this file again under tf_keras."""

import math
import os
import signal
import warnings

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, mostly_slow, scramble

import tfp_flows as tff

QUICK = {"verbose": False, "jit_compile": False, "epochs": 3, "batch_size": 64}


@pytest.fixture(scope="module")
def rows():
    return tff.datasets.gaussian().sample(600, seed=0)


def test_reaches_the_entropy_of_a_gaussian():
    law = tff.datasets.gaussian()
    flow = tff.mlp(event_size=2, num_layers=1, seed=0)
    history = tff.fit(flow, law, epochs=8, steps_per_epoch=40, batch_size=500, learning_rate=1e-2, verbose=False)
    x = law.sample(20_000, seed=9)
    gap = np.mean(law.log_prob(x) - flow.log_prob(x).numpy())  # KL, with the entropy's own noise taken out
    assert -0.002 < gap < 0.01
    assert history.history["val_gap"][-1] == pytest.approx(history.history["val_nll"][-1] - law.entropy, abs=1e-4)


@pytest.mark.parametrize("kind", mostly_slow(["frame", "batches", "stream", "array", "tensor", "list"], 1))
def test_takes_rows_from_anywhere(kind, rows):
    import pandas

    x = {
        "array": lambda: rows,
        "tensor": lambda: tf.constant(rows),
        "list": lambda: rows[:80].tolist(),
        "frame": lambda: pandas.DataFrame(rows, columns=["a", "b"]),
        "stream": lambda: tf.data.Dataset.from_tensor_slices(rows).repeat().batch(64),
        "batches": lambda: tf.data.Dataset.from_tensor_slices((rows,)).batch(64, drop_remainder=True),
    }[kind]()
    flow = make_small("nice", 2)
    before = float(-tf.reduce_mean(flow.log_prob(rows)))
    history = tff.fit(flow, x, **QUICK, steps_per_epoch=9 if kind == "stream" else None)
    assert float(-tf.reduce_mean(flow.log_prob(rows))) < before
    assert len(history.history["nll"]) == 3
    assert ("val_nll" in history.history) == (kind not in ("stream", "batches"))


@pytest.mark.slow
def test_context_is_learnt(rng):
    c = rng.uniform(-2, 2, size=(2000, 1))
    x = 3.0 * c + rng.normal(size=(2000, 1))
    flow = tff.maf(event_size=1, context_size=1, num_layers=1, hidden_units=(16,), seed=0)
    tff.fit(flow, x, context=c, verbose=False, epochs=30, batch_size=200, learning_rate=1e-2, jit_compile=False)
    means = flow.sample(4000, context=[[-1.0], [1.5]], seed=0).numpy().mean(axis=0)[:, 0]
    np.testing.assert_allclose(means, [-3.0, 4.5], atol=0.25)


@pytest.mark.slow
def test_rows_of_weight_zero_do_not_count(rng):
    x = np.concatenate([rng.normal(-5, 1, size=(300, 1)), rng.normal(5, 1, size=(300, 1))])
    weight = np.repeat([1.0, 0.0], 300)
    flow = tff.mlp(event_size=1, num_layers=2, seed=0)
    tff.fit(flow, x, sample_weight=weight, **QUICK)
    assert flow.sample(500, seed=0).numpy().max() < 2.0


@pytest.mark.kerases
def test_best_weights_are_restored_by_value(rows):
    """Trap 11: a copy of a distribution shares its variables and keeps nothing."""
    flow = make_small("maf", 2)
    history = tff.fit(
        flow,
        rows[:400],
        validation_data=rows[400:],
        verbose=False,
        epochs=5,
        batch_size=50,
        learning_rate=0.1,
        schedule="constant",
        clip_norm=None,
        jit_compile=False,
    ).history["val_nll"]
    assert np.argmin(history) < len(history) - 1, "the last epoch is the best: this test tests nothing"
    assert -flow.log_prob(rows[400:]).numpy().mean() == pytest.approx(min(history), abs=1e-4)


class Swap(tf.keras.callbacks.Callback):
    """Validates other weights than those that are trained, as Keras' SwapEMAWeights does."""

    def on_test_begin(self, logs=None):
        self.own = self.model.get_weights()
        self.model.set_weights([0.5 * weight for weight in self.own])

    def on_test_end(self, logs=None):
        self.model.set_weights(self.own)


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(["nice", "maf"], 1, kerases=1))  # maf: with batch norm
def test_the_weights_that_were_validated_are_kept(name, rows):
    """And with them their statistics."""
    flow = make_small(name, 2)
    history = tff.fit(flow, rows[:400], validation_data=rows[400:], callbacks=[Swap()], **QUICK)
    assert -flow.log_prob(rows[400:]).numpy().mean() == pytest.approx(
        history.history["val_nll"][history.best_epoch], abs=1e-4
    )


@pytest.mark.slow
def test_keras_own_backup_counts_epochs_on(rows, tmp_path):
    class Stop(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def backup():
        return tf.keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    options = QUICK | {"epochs": 5}
    with pytest.raises(tff.TrainingInterrupted):
        tff.fit(make_small("nice", 2), rows, callbacks=[backup(), Stop()], **options)
    flow = make_small("nice", 2)
    history = tff.fit(flow, rows, callbacks=[backup()], **options)
    assert history.epoch == [2, 3, 4]
    assert history.best_epoch in history.epoch


@pytest.mark.slow
def test_a_training_that_had_ended_by_keras_own_backup_keeps_its_weights(rows, tmp_path):
    backup = tf.keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), delete_checkpoint=False)
    flows = [make_small("nice", 2), make_small("nice", 2)]
    for flow in flows:
        history = tff.fit(flow, rows, callbacks=[backup], **QUICK)
    assert (history.epoch, history.best_epoch) == ([], 2)
    nll = [-flow.log_prob(rows).numpy().mean() for flow in (*flows, make_small("nice", 2))]
    assert nll[1] == pytest.approx(nll[0], abs=0.05)  # of the last epoch, and of the best
    assert nll[2] > nll[1] + 1


@pytest.mark.slow
def test_stops_after_epochs_without_improvement(rows):
    optimizer = tf.keras.optimizers.SGD(0.0)
    with pytest.warns(UserWarning, match="no epoch had a lower validation NLL"):
        history = tff.fit(make_small("nice", 2), rows, optimizer=optimizer, patience=2, **(QUICK | {"epochs": 20}))
    assert len(history.history["nll"]) == 3


@pytest.mark.kerases
@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(rows):
    flow = make_small("maf", 2)

    class Blow(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                for variable in flow.trainable_variables:
                    variable.assign(variable * math.nan)

    with pytest.raises(tff.DivergenceError, match=r"loss was (nan|inf) in epoch 2: the weights of epoch 1"):
        tff.fit(flow, rows, callbacks=[Blow()], **QUICK)
    assert np.isfinite(flow.log_prob(rows)).all()


@pytest.mark.kerases
@pytest.mark.slow
def test_an_interrupt_leaves_the_best_weights_and_the_history(rows):
    flow = make_small("nice", 2)

    class Interrupt(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(tff.TrainingInterrupted) as stop:
        tff.fit(flow, rows[:500], validation_data=rows[500:], callbacks=[Interrupt()], **QUICK)
    history = stop.value.history.history["val_nll"]
    assert len(history) == 2
    assert -flow.log_prob(rows[500:]).numpy().mean() == pytest.approx(min(history), abs=1e-4)
    assert isinstance(stop.value, KeyboardInterrupt)


def values(flow):
    return [v.numpy() for v in flow.variables]


def assert_values(flow, expected):
    for variable, value in zip(flow.variables, expected, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
@pytest.mark.parametrize("given", mostly_slow(["validation_data", "split"], 1))
def test_a_validation_that_is_never_finite_names_its_rows_and_changes_nothing(given, rows):
    """Statistics included: the same flow trains on good rows afterwards."""
    flow = make_small("nice", 2)
    before = values(flow)
    if given == "split":
        x, held_out = rows.copy(), {}
        number = int(np.random.default_rng(0).permutation(len(x))[5])  # of those that are held out
        x[number] = 1e30
    else:
        x, number, held_out = rows, 17, {"validation_data": rows[:100].copy()}
        held_out["validation_data"][number] = 1e30
    where = "x" if given == "split" else "validation_data"
    message = rf"was inf in every epoch, for row {number + 1} \(1e\+30, 1e\+30\) of {where} has no finite log-density"
    with pytest.raises(tff.DivergenceError, match=message) as raised:
        tff.fit(flow, x, **held_out, **QUICK)
    assert "the flow is as it was before" in str(raised.value)
    assert raised.value.history.best_epoch is None
    assert_values(flow, before)
    history = tff.fit(flow, rows, **QUICK)
    assert np.isfinite(history.history["val_nll"]).all()


@pytest.mark.slow
def test_a_divergence_leaves_no_statistics_behind(rows):
    """Nor batch norm's, nor those of rows that another training would not want."""
    flow = make_small("real_nvp", 2, num_layers=2)
    before = values(flow)
    with pytest.raises(tff.DivergenceError, match="in epoch 1: the flow is as it was before"):
        tff.fit(flow, 1e6 * rows, learning_rate=1e30, clip_norm=None, **QUICK)
    assert_values(flow, before)
    assert flow.is_unstandardized
    assert np.isfinite(tff.fit(flow, rows, **QUICK).history["val_nll"]).all()


@pytest.mark.kerases
@pytest.mark.slow
def test_an_interrupt_before_the_first_epoch_has_ended_changes_nothing(rows):
    flow = make_small("nice", 2)
    before = values(flow)

    class Interrupt(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(tff.TrainingInterrupted, match="interrupted in epoch 1: the flow is as it was before") as stop:
        tff.fit(flow, rows, callbacks=[Interrupt()], **(QUICK | {"batch_size": 8}))
    assert (stop.value.history.history, stop.value.history.best_epoch) == ({}, None)
    assert_values(flow, before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maf", "planar"])  # with batch norm, and without
def test_a_training_that_helps_nothing_leaves_the_flow_as_it_started(name, rows):
    flow = make_small(name, 2)
    tff.fit(flow, rows, epochs=5, verbose=False)
    before = flow.log_prob(rows)
    with pytest.warns(UserWarning, match="^no epoch had a lower validation NLL than the start, "):
        history = tff.fit(flow, rows, epochs=3, learning_rate=3.0, clip_norm=None, verbose=False)
    assert history.best_epoch == -1
    assert len(history.history["val_nll"]) == 3
    np.testing.assert_allclose(flow.log_prob(rows), before, rtol=1e-5 if name == "maf" else 0)


@pytest.mark.slow
def test_few_rows_of_many_columns_are_fitted_no_worse_than_by_a_gaussian(rng):
    rows = rng.normal(size=[2080, 12]) @ rng.normal(size=[12, 12])
    train, held_out, test = np.split(rows, [60, 80])
    flow = tff.nsf(12, num_layers=2, hidden_units=(32,), whiten=True, seed=0)
    with pytest.warns(UserWarning, match="no epoch had a lower validation NLL"):
        tff.fit(flow, train, validation_data=held_out, epochs=3, steps_per_epoch=200, verbose=False)
    gaussian = scipy.stats.multivariate_normal(train.mean(axis=0), np.cov(train.T)).logpdf(test)
    assert flow.log_prob(test).numpy().mean() > gaussian.mean()


@pytest.mark.slow
def test_the_history_knows_the_best_epoch(rows):
    history = tff.fit(make_small("nice", 2), rows, **QUICK)
    assert history.best_epoch == np.argmin(history.history["val_nll"])


@pytest.mark.slow
def test_reproducible_by_seed(rows):
    results = []
    for seed in (0, 0, 1):
        flow = make_small("nice", 2, num_layers=2)
        tff.fit(flow, rows, seed=seed, **(QUICK | {"epochs": 1}))
        results.append(flow.log_prob(rows[:5]).numpy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
    assert np.all(results[0] != results[2])


@pytest.mark.kerases
def test_statistics_come_from_the_training_rows(rows):
    """Trap 15, and DESIGN's rule that log_prob is in the data's units: no scaling by hand."""
    flow = make_small("nice", 2)
    tff.fit(flow, 1000.0 * rows, validation_split=0.0, **(QUICK | {"epochs": 1}))
    np.testing.assert_allclose(flow.layers[0].scale, 1000.0 * rows.std(axis=0), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("validation", [True, False])
def test_batch_norm_statistics_are_set_before_weights_are_kept(rows, validation):
    """Trap 15: the kept weights and the statistics that belong to them, with a validation and without."""
    flow = make_small("real_nvp", 2, num_layers=2)
    held_out = {"validation_data": rows} if validation else {"validation_split": 0.0}
    tff.fit(flow, rows, **held_out, **(QUICK | {"epochs": 2}))
    kept = [layer.mean.numpy() for layer in flow.layers if isinstance(layer, tff.bijectors.BatchNorm)]
    flow.set_batch_norm(rows)
    again = [layer.mean.numpy() for layer in flow.layers if isinstance(layer, tff.bijectors.BatchNorm)]
    assert np.any(kept[0] != 0.0)
    np.testing.assert_allclose(kept, again, atol=1e-5)


@pytest.mark.slow
def test_a_second_fit_goes_on_from_the_first(rows):
    flow = make_small("mlp", 2, num_layers=1)
    tff.fit(flow, rows, **(QUICK | {"epochs": 1}))
    loc = flow.layers[0].loc.numpy()
    tff.fit(flow, rows + 1.0, **(QUICK | {"epochs": 1}))
    np.testing.assert_array_equal(flow.layers[0].loc, loc)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_doubles_train_too(rows, jit_compile):
    flow = make_small("nice", 2, dtype="float64")
    history = tff.fit(flow, rows, **(QUICK | {"jit_compile": jit_compile}))
    assert history.history["nll"][-1] < history.history["nll"][0]


@pytest.mark.slow
def test_a_density_of_sequential_passes_warns(rows):
    """Trap 19: the density of our IAF is about one pass; with a network that is no MADE, it is a pass a dimension."""
    options = QUICK | {"epochs": 1, "steps_per_epoch": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tff.fit(make_small("iaf", 2), rows, **options)
    foreign = tfp.bijectors.AutoregressiveNetwork(params=2, hidden_units=[4], event_shape=[2])
    foreign.build([2])
    inverted = tfp.bijectors.Invert(tff.bijectors.MaskedAutoregressiveFlow(foreign), name="inverted")
    with pytest.warns(UserWarning, match="2 passes of the network in each of its 1 layers.*maf is the faster"):
        tff.fit(tff.Flow([inverted], event_size=2), rows, **options)


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("count", mostly_slow([7, 2, 1], 1))
def test_halves_of_a_batch_have_the_loss_and_gradient_of_the_whole(batch_norm, count, rng):
    flow = scramble(make_small("maf", 2, context_size=1, batch_norm=batch_norm, dtype="float64"))
    x, context, weight = rng.normal(size=(count, 2)), rng.normal(size=(count, 1)), rng.uniform(size=count)
    data = tuple(map(tf.constant, (x, context, weight)))
    with tf.GradientTape(persistent=True) as tape:
        losses, weights = tff.FlowModel(flow).losses_of(data, training=True)
        loss = tf.reduce_sum(losses * weights)
        nll = -flow.log_prob(x, context=context, training=True)
        expected = tf.reduce_sum(nll * weight)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    for variable in flow.trainable_variables:
        expected_gradient = tape.gradient(expected, variable)
        np.testing.assert_allclose(tape.gradient(loss, variable), expected_gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_rows_may_share_a_context(shape, rng):
    flow = scramble(make_small("maf", 2, context_size=1, batch_norm=False))
    x, context = tf.constant(rng.normal(size=(6, 2)), tf.float32), tf.ones(shape)
    losses, _ = tff.FlowModel(flow).losses_of((x, context), training=True)
    np.testing.assert_allclose(losses, -flow.log_prob(x, context=context), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(["maf", "iaf"], 1, 0, kerases=1))
def test_flow_model_trains_through_plain_keras(name, rows):
    """Traps 8 and 9: Keras 3 sees no variables in a tf.Module, and a while loop breaks its functional models."""
    flow = make_small(name, 2)
    model = tff.FlowModel(flow, entropy=0.0)
    assert isinstance(model, tf.keras.Model)
    assert len(model.trainable_variables) == len(flow.trainable_variables) > 0
    model.compile(tf.keras.optimizers.Adam(1e-2), jit_compile=False)
    before = [v.numpy() for v in flow.trainable_variables]
    history = model.fit(rows, epochs=3, batch_size=100, validation_split=0.2, verbose=0).history
    assert set(history) == {"nll", "gap", "val_nll", "val_gap"}
    assert history["nll"][-1] < history["nll"][0]
    assert any(np.any(v.numpy() != b) for v, b in zip(flow.trainable_variables, before, strict=True))
    np.testing.assert_allclose(
        model.evaluate(rows, verbose=0, return_dict=True)["nll"], -flow.log_prob(rows).numpy().mean(), rtol=1e-4
    )
    np.testing.assert_allclose(model(rows), flow.log_prob(rows), rtol=1e-4)


def test_nothing_to_train_is_refused(rows):
    flow = tff.Flow([tff.bijectors.Standardize(2)], event_size=2)
    with pytest.raises(tff.InputError, match="no trainable variables"):
        tff.fit(flow, rows, **QUICK)


def test_a_variable_that_the_density_ignores_is_refused(rows):
    flow = make_small("nice", 2)
    flow.idle = tf.Variable(1.0, name="idle")
    with pytest.raises(tff.InputError, match="does not depend on idle"):
        tff.fit(flow, rows, **QUICK)


@pytest.mark.kerases
def test_validation_counts_every_row_once():
    """Batches are padded to one size; the padding must not count, nor any row be lost."""
    from tfp_flows.training.rows import Rows, batches_of

    x = np.arange(23, dtype="float32")[:, None]
    batches = list(batches_of(Rows(x), 5))
    assert {tuple(b[0].shape) for b in batches} == {(5, 1)}
    kept = np.concatenate([b[0].numpy()[b[2].numpy() > 0] for b in batches])
    np.testing.assert_array_equal(kept, x)


@pytest.mark.parametrize("in_blocks", [True, False])
@pytest.mark.parametrize(("steps", "count"), [(None, 30), (9, 9)])
def test_a_pass_takes_every_row_once_in_blocks_or_not(in_blocks, steps, count):
    from tfp_flows.training.noise import noise_for
    from tfp_flows.training.rows import as_source

    x, flow = np.arange(60, dtype="float32")[:, None], make_small("mlp", 1)
    options = {"batch_size": 2, "validation_split": 0.0, "noise": noise_for(flow, None, 0)}
    source = as_source(x, None, None, flow, steps_per_epoch=steps, in_blocks=in_blocks, **options)
    assert source.steps == count
    assert source.in_blocks == (({30: 15, 9: 9}[count]) if in_blocks else 0)
    drawn = np.concatenate([rows.numpy().ravel() for rows, _, _ in source.batches(0).take(90)])
    for start in range(0, 180, 60):
        np.testing.assert_array_equal(np.sort(drawn[start : start + 60]), x.ravel())
    assert np.any(drawn[:60] != drawn[60:120])


def test_a_prime_number_of_steps_makes_equal_blocks_all_the_same():
    from tfp_flows.training.rows import _in_equal_blocks, steps_at_once

    for steps in range(1, 500):
        kept = _in_equal_blocks(steps)
        assert 0.96 * steps < kept <= steps
        assert steps_at_once(kept) >= min(steps, 13)


@pytest.mark.slow
def test_an_optimizer_of_another_model_is_refused_and_that_of_the_same_flow_goes_on(rows):
    first, other = make_small("nice", 2), make_small("nice", 2)
    before = [v.numpy() for v in other.variables]
    optimizer = tf.keras.optimizers.Adam(1e-3)
    tff.fit(first, rows, optimizer=optimizer, **QUICK)
    tff.fit(first, rows, optimizer=optimizer, **QUICK)
    for train in (tff.fit, lambda flow, x, **options: tff.distill(first, flow, **options)):
        with pytest.raises(
            tff.InputError, match=r"another model was trained with: pass a new tf\.keras\.optimizers\.Adam"
        ):
            train(other, rows, optimizer=optimizer, **QUICK)
    for variable, value in zip(other.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros([10, 3])}, "3 columns"),
        ({"x": np.array([[1.0, np.nan]] * 5)}, "nan"),
        ({"x": np.ones([10, 2])}, "column 1 is 1.0 in all 9 rows of training"),
        ({"x": np.ones([1, 2])}, "row"),
        ({"x": [["a", "b"]] * 3}, "'a'"),
        ({"context": np.zeros([5, 1])}, "context"),
        ({"context": np.zeros([600, 1])}, "context was given, but nice was built without"),
        ({"validation_data": (np.zeros([5, 2]), np.zeros([5, 1]))}, "context was given, but nice was built without"),
        ({"sample_weight": np.ones(5)}, "sample_weight must have a row for each of the 600 rows"),
        ({"sample_weight": -np.ones(600)}, "sample_weight must be at least 0"),
        ({"epochs": 0}, "epochs must be an integer of at least 1; got 0"),
        ({"batch_size": 2.5}, "batch_size must be an integer of at least 1; got 2.5"),
        ({"validation_split": 0.999}, "x must have at least 2 rows to train on, .*=0.999; got "),
        ({"validation_split": 1.0}, "validation_split must be at least 0 and below 1; got 1.0"),
        ({"checkpoint_every": -1, "checkpoint": "never"}, "checkpoint_every is -1; expected a number from 0"),
        ({"learning_rate": tf.keras.optimizers.schedules.CosineDecay(1e-3, 9)}, "pass it in an optimizer"),
        ({"validation_data": tff.datasets.banana()}, "validation_data must be rows in memory"),
        ({"validation_data": np.zeros([5, 3])}, "validation_data has 3 columns"),
        ({"x": (row for row in np.zeros([5, 2]))}, "x is a generator; expected a table"),
        (
            {"optimizer": "adam", "learning_rate": 1e-3},
            "learning_rate is for the Adam that optimizer stands in place of",
        ),
        ({"optimizer": "adam", "schedule": "cosine"}, "schedule is for the Adam that optimizer stands in place of"),
        ({"schedule": "linear"}, "schedule must be one of cosine, one_cycle, constant; got 'linear'"),
        ({"x": tf.data.Dataset.range(3).repeat()}, "steps_per_epoch is needed"),
        ({"x": tff.datasets.banana(), "context": np.zeros([5, 1])}, "rows in memory"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_trained(change, message, rows):
    flow = scramble(make_small("nice", 2))
    before = [v.numpy() for v in flow.variables]
    arguments = {"x": rows, **QUICK} | change
    with pytest.raises(tff.InputError, match=message):
        tff.fit(flow, arguments.pop("x"), **arguments)
    for variable, value in zip(flow.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def streamed(*parts, size=50):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(size)


STREAMED = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
NO_CONTEXT, HOLE = np.zeros([200, 0], "float32"), np.where(np.arange(200) == 150, np.nan, 1.0).astype("float32")


@pytest.mark.parametrize(
    ("parts", "context_size", "sentence"),
    [
        ((STREAMED, NO_CONTEXT, -np.ones(200)), 0, "sample_weight must be at least 0, and not all 0; got a minimum"),
        ((STREAMED, NO_CONTEXT, np.zeros(200)), 0, "sample_weight must be at least 0, and not all 0"),
        ((STREAMED, NO_CONTEXT, HOLE), 0, "sample_weight: row 151, column 1 is nan"),
        ((STREAMED, NO_CONTEXT, STREAMED), 0, r"sample_weight must be a number for each row .* got shape \[50, 2\]"),
        ((STREAMED, STREAMED[:, 0]), 1, r"context must be a row for each row .* \[B, 1\]; got shape \[50\]"),
        ((STREAMED, STREAMED), 1, "context has 2 columns; expected 1"),
        ((STREAMED, HOLE[:, None]), 1, "context: row 151, column 1 is nan"),
        ((STREAMED,) * 4, 0, "x must be a tf.data.Dataset of batches .* got elements of 4 parts"),
    ],
)
def test_batches_of_a_pipeline_are_checked(parts, context_size, sentence):
    flow = make_small("nice", 2, **({"context_size": context_size} if context_size else {}))
    with pytest.raises(tff.InputError, match=sentence):
        tff.fit(flow, streamed(*parts), epochs=1, verbose=False, jit_compile=False)
    assert flow.is_unstandardized


@pytest.mark.slow
def test_weights_below_zero_far_down_a_pipeline_end_the_training(monkeypatch):
    from tfp_flows.training import rows

    monkeypatch.setattr(rows, "STATISTICS_ROWS", 100)
    weights = np.where(np.arange(200) < 150, 1.0, -1.0).astype("float32")
    with pytest.raises(tff.DivergenceError, match="the loss was nan in epoch 1"):
        tff.fit(
            make_small("nice", 2),
            streamed(STREAMED, NO_CONTEXT, weights),
            epochs=1,
            verbose=False,
            jit_compile=False,
        )
