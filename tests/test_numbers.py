"""Numbers that could be wrong in silence: offsets, scales, weights, statistics of other rows, columns by position."""

import warnings

import numpy as np
import pandas
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, mostly_slow, scramble

import tfp_flows as tff

tfb = tfp.bijectors
QUICK = {"verbose": False, "jit_compile": False}
ENTROPY = 0.5 * np.log(2 * np.pi * np.e)  # of N(0, 1)


def line(context_size: int = 0) -> tff.Flow:
    """One affine layer: it can be a normal distribution, and nothing else."""
    return tff.maf(1, num_layers=1, hidden_units=(8,), context_size=context_size, seed=0)


@pytest.mark.parametrize(
    ("offset", "scale"),
    mostly_slow(
        [(1.7e9, 1e3), (3.0, 1e-9), (0.0, 1e-200), (1e8, 1.0), (0.0, 1.0), (0.0, 1e9), (0.0, 1e200)], several=True
    ),
)
def test_offsets_and_scales_do_not_change_the_likelihood(offset, scale):
    """In float32, seconds since 1970 are multiples of 128: the flow takes off their mean before it rounds."""
    z = np.random.default_rng(0).normal(size=(2000, 1))
    flow = line()
    tff.fit(flow, offset + scale * z, epochs=2, learning_rate=1e-3, **QUICK)
    assert flow.dtype == tf.float32
    nll = -flow.log_prob(offset + scale * np.random.default_rng(1).normal(size=(5000, 1))).numpy().mean()
    assert nll - np.log(scale) == pytest.approx(ENTROPY, abs=0.03)
    x = offset + scale * z[:5]
    np.testing.assert_allclose(flow.encode(x), (x - np.mean(x)) / scale, atol=2.0)
    np.testing.assert_allclose(flow.log_prob(x), flow.log_prob(x.tolist()), rtol=1e-6)


def test_whole_numbers_keep_their_digits():
    flow = line()
    flow.standardize(np.array([[1_700_000_000], [1_700_000_002]]))
    assert flow.layers[0].loc.numpy() == 1_700_000_001
    np.testing.assert_allclose(flow.log_prob([[1_700_000_000]]), flow.log_prob([[1_700_000_002]]), rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [20, 200])
def test_weights_count_the_same_whatever_the_batch(batch_size):
    """9 in 10 of the weight on 1 in 100 of the rows: dividing each batch by its own weights would drown them."""
    rng = np.random.default_rng(0)
    heavy = np.arange(2000) % 100 == 0
    x = np.where(heavy, 5.0, -5.0)[:, None] + rng.normal(size=(2000, 2))
    weight = np.where(heavy, 1.0, 0.0011)
    flow = tff.nsf_coupling(2, num_layers=2, hidden_units=(16,), num_bins=16, interval=5.0, seed=0)
    options = {"epochs": 30, "batch_size": batch_size, "validation_split": 0.0, "learning_rate": 5e-3, **QUICK}
    tff.fit(flow, x, sample_weight=weight, **options)
    found = (flow.sample(8000, seed=0).numpy()[:, 0] > 0).mean()
    assert found == pytest.approx(weight[heavy].sum() / weight.sum(), abs=0.05)


def test_a_pass_takes_rows_as_often_as_their_weights_say():
    from tfp_flows.training.rows import Rows, _one_pass

    weight = np.array([0.0, 1.0, 2.0, 0.5, 0.5, 0.0])
    counts = np.zeros(6)
    for seed in range(400):
        drawn = np.bincount(_one_pass(Rows(np.zeros([6, 1]), None, weight), np.random.default_rng(seed)), minlength=6)
        expected = 6 * weight / weight.sum()
        assert drawn.sum() == 6
        assert ((drawn >= np.floor(expected)) & (drawn <= np.ceil(expected))).all()
        counts += drawn
    np.testing.assert_allclose(counts / 400, 6 * weight / weight.sum(), atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("size", mostly_slow([1e-300, 1e300, 1e-42, 1e36]))
def test_the_size_of_weights_does_not_matter(size):
    x = np.random.default_rng(0).normal(size=(200, 1))
    weight = np.random.default_rng(1).uniform(0.5, 1.5, 200)
    nll = [
        tff.fit(line(), x, sample_weight=w, epochs=2, **QUICK).history["val_nll"][-1] for w in (weight, size * weight)
    ]
    assert nll[0] == pytest.approx(nll[1], rel=1e-5)


def test_rows_of_weight_zero_are_not_held_out():
    x = np.random.default_rng(0).normal(size=(300, 1))
    weight = np.repeat([0.0, 1.0], [280, 20])
    history = tff.fit(line(), x, sample_weight=weight, epochs=2, **QUICK).history["val_nll"]
    assert all(0.5 < nll < 5 for nll in history)


# Statistics.


def test_every_layer_gets_the_statistics_of_what_reaches_it():
    """Behind a sigmoid the rows are logits: the statistics of the raw rows would be far off."""
    logits = 3.0 + 0.5 * np.random.default_rng(0).normal(size=(2000, 2))
    x = 1.0 / (1.0 + np.exp(-logits))
    layers = [tfb.Sigmoid(), tff.bijectors.Standardize(2), tff.bijectors.Planar(2, rng=np.random.default_rng(0))]
    flow = tff.Flow(layers, event_size=2)
    flow.standardize(x)
    np.testing.assert_allclose(flow.layers[1].loc, logits.mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(flow.layers[1].scale, logits.std(axis=0), rtol=1e-3)


def test_batch_norm_gets_weights_no_less_than_what_reaches_it():
    x = np.random.default_rng(0).normal(5.0, 2.0, size=(500, 2))
    flow = tff.Flow([tff.bijectors.Standardize(2), tff.bijectors.BatchNorm(2)], event_size=2)
    flow.standardize(x)
    flow.set_batch_norm(x)
    np.testing.assert_allclose(flow.layers[1].mean, 0.0, atol=1e-5)
    np.testing.assert_allclose(flow.encode(x).numpy().std(axis=0), 1.0, atol=1e-3)


@pytest.mark.slow
def test_a_context_is_standardised():
    rng = np.random.default_rng(0)
    c = rng.uniform(0.0, 2000.0, size=(2000, 1))
    x = 0.01 * c + 0.1 * rng.normal(size=(2000, 1))
    nll = {}
    for name, context in {"raw": c, "by hand": (c - c.mean()) / c.std()}.items():
        flow = line(context_size=1)
        nll[name] = tff.fit(flow, x, context=context, epochs=5, **QUICK).history["val_nll"][-1]
    assert nll["raw"] == pytest.approx(nll["by hand"], abs=1e-3)


@pytest.mark.slow
def test_a_constant_context_is_no_division_by_zero():
    flow = line(context_size=2)
    x, context = np.random.default_rng(0).normal(size=(2, 300, 2))
    context[:, 1] = 3.3
    tff.fit(flow, x[:, :1], context=context, epochs=1, **QUICK)
    given = flow.log_prob(x[:5, :1], context=context[:5])
    assert np.isfinite(given).all()
    for other in (context[:5].astype("float32"), context[:5] + np.array([0.0, 0.01])):
        np.testing.assert_allclose(flow.log_prob(x[:5, :1], context=other), given, atol=0.1)


@pytest.mark.parametrize("value", [3.3, 1.7e9 + 0.1, 1e-300, 1e300, 0.0])
@pytest.mark.parametrize("count", [10, 12_345])
def test_the_scale_of_a_constant_is_one(value, count):
    """The mean of equal numbers is rounded, and their distance from it is no spread."""
    layer, x = tff.bijectors.Standardize(2), np.full([count, 2], value)
    x[:, 1] = np.arange(count)
    layer.set_statistics(x)
    assert (layer.loc.numpy()[0], layer.scale.numpy()[0]) == (value, 1.0)
    x[::2, 0] += 1.0  # rows of no weight
    layer.set_statistics(x, np.arange(count) % 2.0)
    assert (layer.loc.numpy()[0], layer.scale.numpy()[0]) == (value, 1.0)
    x[:, 0] = value + np.spacing(value) * (np.arange(count) % 3)  # as computed numbers are
    layer.set_statistics(x)
    assert (layer.loc.numpy()[0], layer.scale.numpy()[0]) == (value, 1.0)


@pytest.mark.slow
def test_rows_of_weight_zero_say_nothing_of_old_statistics(rng):
    x, weights = rng.normal(size=(1000, 2)), np.ones(1000)
    x[:100] *= 1000
    weights[:100] = 0
    flow = make_small("maf", 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*by the statistics of an earlier fit")
        for _ in range(2):
            tff.fit(flow, x, sample_weight=weights, epochs=1, steps_per_epoch=1, verbose=False)


@pytest.mark.slow
def test_a_second_fit_says_when_the_old_statistics_do_not_fit():
    rng = np.random.default_rng(0)
    flow = line()
    tff.fit(flow, rng.normal(size=(200, 1)), epochs=1, **QUICK)
    with pytest.warns(UserWarning, match=r"column 1 has mean 2\d.* by the statistics of an earlier fit.*restandardize"):
        tff.fit(flow, rng.normal(20.0, 1.0, size=(200, 1)), epochs=1, **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "no epoch had")
        tff.fit(flow, rng.normal(0.1, 1.1, size=(200, 1)), epochs=1, **QUICK)
        tff.fit(flow, rng.normal(20.0, 1.0, size=(200, 1)), epochs=1, restandardize=False, **QUICK)
        tff.fit(flow, rng.normal(1000.0, 50.0, size=(200, 1)), epochs=1, restandardize=True, **QUICK)
    assert flow.layers[0].loc.numpy()[0] == pytest.approx(1000.0, abs=20)


@pytest.mark.slow
def test_a_second_fit_looks_at_the_context_too():
    rng = np.random.default_rng(0)
    flow, x, c = line(context_size=1), rng.normal(size=(200, 1)), rng.normal(size=(200, 1))
    tff.fit(flow, x, context=c, epochs=1, **QUICK)
    with pytest.warns(UserWarning, match="context: column 1 has mean"):
        tff.fit(flow, x, context=c + 50.0, epochs=1, **QUICK)


def test_a_context_that_is_missing_is_refused_and_nothing_is_touched():
    flow, x = line(context_size=1), np.random.default_rng(0).normal(size=(100, 1))
    for missing in ({}, {"context": x, "validation_data": x}):
        with pytest.raises(tff.InputError, match="context must be rows of 1 column"):
            tff.fit(flow, x, epochs=1, **missing, **QUICK)
    assert flow.is_unstandardized


# Columns.


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    return pandas.DataFrame({"height": rng.normal(1.7, 0.1, 300), "weight": rng.normal(70.0, 9.0, 300)})


def test_named_columns_are_matched_by_name(people):
    flow = scramble(make_small("maf", 2, batch_norm=False))
    tff.fit(flow, people, epochs=1, **QUICK)
    assert list(flow.columns) == ["height", "weight"]
    right = flow.log_prob(people).numpy()
    np.testing.assert_array_equal(flow.log_prob(people[["weight", "height"]]), right)
    np.testing.assert_array_equal(flow.log_prob({"weight": people["weight"], "height": people["height"]}), right)
    np.testing.assert_array_equal(flow.log_prob(people.to_numpy()), right)
    np.testing.assert_array_equal(flow.encode(people[["weight", "height"]]), flow.encode(people))
    for wrong in (people.rename(columns={"weight": "mass"}), people.assign(age=3.0)):
        with pytest.raises(tff.InputError, match=r"weight|age"):
            flow.log_prob(wrong)
        with pytest.raises(tff.InputError, match=r"weight|age"):
            tff.fit(flow, wrong, epochs=1, **QUICK)


@pytest.mark.slow
def test_a_series_is_a_row_by_its_index_or_a_column_by_its_name(people):
    flow = scramble(make_small("maf", 2, batch_norm=False))
    tff.fit(flow, people, epochs=1, **QUICK)
    row = people.iloc[0]
    for turned in (row, row[["weight", "height"]]):
        np.testing.assert_array_equal(flow.log_prob(turned), flow.log_prob(people)[0])
    np.testing.assert_array_equal(flow.log_prob(row.reset_index(drop=True)), flow.log_prob(people)[0])
    with pytest.raises(tff.InputError, match="x has no column 'weight'"):
        flow.log_prob(row.rename({"weight": "mass"}))
    flow = scramble(tff.maf(1, context_size=1, num_layers=1, hidden_units=(8,), seed=0))
    tff.fit(flow, people["weight"], context=people["height"], epochs=1, **QUICK)
    assert (flow.columns, flow.context_columns) == (("weight",), ("height",))
    frames = flow.log_prob(people[["weight"]], context=people[["height"]])
    np.testing.assert_array_equal(flow.log_prob(people["weight"], context=people["height"]), frames)
    assert flow.sample(3, context=people["height"]).shape == (3, 300, 1)
    with pytest.raises(tff.InputError, match="x has no column 'weight'"):
        flow.log_prob(people["height"], context=people["height"])


@pytest.mark.slow
@pytest.mark.parametrize("part", ["context", "sample_weight", "validation_data"])
def test_an_index_in_another_order_is_refused(part, people):
    flow = scramble(tff.maf(1, context_size=1, num_layers=1, hidden_units=(8,), seed=0))
    x, c, w = people[["weight"]], people[["height"]], people["height"].rename("w")
    turned = {"context": c.iloc[::-1]}
    if part == "sample_weight":
        turned = {"context": c, "sample_weight": w.sample(frac=1, random_state=0)}
    if part == "validation_data":
        turned = {"context": c, "validation_data": (x, c.iloc[::-1])}
    with pytest.raises(tff.InputError, match=r"has the index of \w+ in another order"):
        tff.fit(flow, x, epochs=1, **turned, **QUICK)
    tff.fit(flow, x, epochs=1, context=c.reset_index(drop=True), **QUICK)


@pytest.mark.slow
def test_names_of_the_context_are_matched_and_saved(people, tmp_path):
    flow = scramble(tff.maf(1, context_size=1, num_layers=1, hidden_units=(8,), seed=0))
    tff.fit(flow, people[["weight"]], context=people[["height"]], epochs=1, **QUICK)
    flow.save(tmp_path)
    again = tff.load(tmp_path)
    assert (list(again.columns), list(again.context_columns)) == (["weight"], ["height"])
    with pytest.raises(tff.InputError, match="context has no column 'height'"):
        again.log_prob(people[["weight"]], context=people[["weight"]])


@pytest.mark.slow
def test_validation_data_is_matched_by_name_in_the_first_fit(people):
    x, c = people[["weight"]], people.assign(age=np.arange(300.0) ** 1.1)[["height", "age"]]
    far = people.assign(height=100.0 * people["height"])
    pair = make_small("maf", 2, batch_norm=False)
    history = tff.fit(pair, far, validation_data=far[["weight", "height"]], epochs=1, **QUICK).history
    assert history["val_nll"][0] == pytest.approx(history["nll"][0], abs=1.0)
    flow = tff.maf(1, context_size=2, num_layers=1, hidden_units=(8,), seed=0)
    history = tff.fit(flow, x, context=c, validation_data=(x, c[["age", "height"]]), epochs=1, **QUICK).history
    assert history["val_nll"][0] == pytest.approx(history["nll"][0], abs=1.0)
    with pytest.raises(tff.InputError, match="no column 'weight'"):
        tff.fit(
            make_small("nice", 2), people, validation_data=people.rename(columns={"weight": "m"}), epochs=1, **QUICK
        )


@pytest.mark.slow
def test_a_training_that_comes_to_nothing_leaves_the_names_as_they_were(people):
    flow = make_small("nice", 2)
    with pytest.raises(tff.DivergenceError):
        tff.fit(flow, people, optimizer=tf.keras.optimizers.SGD(1e38), epochs=1, **QUICK)
    assert flow.columns is None
    tff.fit(flow, people.rename(columns={"weight": "mass"}), epochs=1, **QUICK)


def test_two_columns_of_one_name_are_refused(people):
    flow = make_small("maf", 2)
    with pytest.raises(tff.InputError, match="x has 2 columns named 'a'; expected one"):
        tff.fit(flow, pandas.DataFrame(people.to_numpy(), columns=["a", "a"]), epochs=1, **QUICK)
    assert flow.columns is None


@pytest.mark.slow
def test_a_column_without_a_density_is_named_in_a_warning():
    rng = np.random.default_rng(0)
    table = pandas.DataFrame({"height": rng.normal(size=300), "sons": rng.poisson(3.0, 300), "id": np.arange(300)})
    flow = make_small("nice", 3)
    with pytest.warns(UserWarning, match="density") as caught:
        tff.fit(flow, table, epochs=1, **QUICK)
    said = [str(warning.message) for warning in caught if "density" in str(warning.message)]
    assert len(said) == 2
    assert "'sons' has whole numbers only" in said[0]
    assert "'id'" in said[1]


def test_a_column_that_only_rows_without_weight_vary_in_is_refused():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2))
    x[50:, 1] = 1.0
    weight = np.repeat([0.0, 1.0], 50)
    flow = make_small("nice", 2)
    with pytest.raises(tff.InputError, match=r"column 2 is 1.0 in all 45 rows of training of positive weight"):
        tff.fit(flow, x, sample_weight=weight, epochs=1, **QUICK)
    assert flow.is_unstandardized


# Batches.


def test_few_rows_make_a_training_of_many_steps():
    from tfp_flows.training.rows import batch_size_for

    assert [batch_size_for(n) for n in (10, 100, 600, 5000, 100_000)] == [32, 32, 32, 250, 500]
    sizes = [batch_size_for(n) for n in range(1, 20_000, 7)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("learning_rate", -1e-3),
        ("learning_rate", "fast"),
        ("learning_rate", float("nan")),
        ("clip_norm", 0.0),
        ("patience", 0),
        ("patience", 1.5),
        ("steps_per_epoch", 0),
        ("validation_split", "half"),
        ("validation_split", float("nan")),
        ("seed", -1),
        ("seed", None),
        ("seed", 1.5),
        ("checkpoint_every", -1.0),
        ("learning_rate", True),
        ("epochs", 2**31),
        ("jit_compile", "no"),
        ("verbose", "loud"),
        ("restandardize", "yes"),
        ("entropy", "low"),
        ("entropy", float("nan")),
        ("optimizer", "fast"),
        ("optimizer", 3),
        ("optimizer", {"a": 1}),
        ("callbacks", print),
        ("callbacks", [print]),
        ("strategy", "mirrored"),
        ("checkpoint", 3),
        ("checkpoint", ""),
        ("checkpoint", __file__),
        ("validation_data", ()),
        ("schedule", "linear"),
    ],
)
def test_options_that_cannot_work_are_refused(option, value):
    flow = line()
    with pytest.raises(tff.InputError, match=option):
        tff.fit(flow, np.random.default_rng(0).normal(size=(50, 1)), **({"epochs": 1, **QUICK} | {option: value}))
    assert flow.is_unstandardized


def test_an_optimizer_may_be_named_and_a_callback_stand_alone():
    seen = []
    note = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    x = np.random.default_rng(0).normal(size=(50, 1))
    history = tff.fit(line(), x, **{"epochs": 2, **QUICK, "optimizer": "sgd", "callbacks": note})
    assert seen == [0, 1]
    assert type(history.model.optimizer).__name__ == "SGD"


def test_options_may_be_numbers_of_numpy():
    options = {
        "seed": np.int64(3),
        "clip_norm": np.float64(1),
        "learning_rate": np.float64(1e-3),
        "epochs": np.int32(1),
    }
    tff.fit(line(), np.random.default_rng(0).normal(size=(50, 1)), **QUICK, **options)
