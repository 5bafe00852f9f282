"""Columns that are not the whole line: intervals, half-lines, whole numbers."""

import copy
import pickle
import warnings

import numpy as np
import pandas
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import EXHAUSTIVE, make_small, mostly_slow, scramble
from test_cli import FAST, call, run
from test_flows import fresh, jacobian_of

import tfp_flows as tff
from tfp_flows.bijectors import Support
from tfp_flows.training.noise import noise_for
from tfp_flows.training.rows import as_source

tfd = tfp.distributions
CONTEXT = 2
OPTIONS = {"support": {0: (0.0, None), 1: (-1.0, 3.0), 2: (0, 16)}, "dequantize": [2]}  # of four columns
CASES = [
    pytest.param(name, dtype, size, id=f"{name} {dtype}{' context' * (size > 0)}", marks=marks)
    for name, dtype, size, marks in [
        ("maf", "float64", CONTEXT, ()),
        ("planar", "float32", 0, pytest.mark.slow),
        ("nsf_coupling", "float32", 0, pytest.mark.slow),
        ("nsf", "float64", 0, pytest.mark.slow),
        ("naf", "float32", CONTEXT, pytest.mark.slow),
        ("nsf_coupling", "float64", 0, EXHAUSTIVE),
        ("nsf", "float32", CONTEXT, EXHAUSTIVE),
        ("naf", "float64", 0, EXHAUSTIVE),
        *(
            (name, dtype, size, EXHAUSTIVE)
            for name in ("iaf", "real_nvp", "nice")
            for dtype, size in (("float32", CONTEXT), ("float64", 0))
        ),
    ]
]
table = pytest.mark.parametrize(("name", "dtype", "context_size"), CASES)


def build(name, dtype, context_size):
    options = {"context_size": context_size} if context_size else {}
    return scramble(make_small(name, 4, dtype=dtype, **options, **OPTIONS))


def some_rows(n=20, seed=0):
    rng = np.random.default_rng(seed)
    columns = [rng.gamma(2.0, size=n), rng.uniform(-1, 3, n), rng.binomial(16, 0.3, n), rng.normal(size=n)]
    return np.stack(columns, axis=1)


def given_context(flow, n=20):
    return {"context": np.random.default_rng(1).normal(size=(n, CONTEXT))} if flow.context_size else {}


@table
def test_laws(name, dtype, context_size, tmp_path):
    """Samples and their log-probability, rows outside, state: for every chain, both dtypes, with a context."""
    flow = build(name, dtype, context_size)
    given, rows = given_context(flow), some_rows()
    x, log_prob = flow.sample_and_log_prob(() if context_size else 20, seed=0, **given)
    np.testing.assert_array_equal(x, flow.sample(() if context_size else 20, seed=0, **given))
    np.testing.assert_allclose(flow.log_prob(fresh(x), **given), log_prob, rtol=1e-5)
    x = x.numpy()
    assert (x[:, 0] > 0).all()
    assert ((x[:, 1] > -1) & (x[:, 1] < 3)).all()
    assert ((x[:, 2] == np.floor(x[:, 2])) & (x[:, 2] >= 0) & (x[:, 2] <= 16)).all()
    inside = flow.log_prob(rows, **given).numpy()
    assert np.isfinite(inside).all()
    for column, values in ((0, (0, -1, -np.inf, np.inf)), (1, (-1, 3, 7)), (2, (-1, 17, 2.5, np.inf))):
        for value in values:
            moved = rows.copy()
            moved[::2, column] = value
            with tf.GradientTape() as tape:
                found = flow.log_prob(moved, **given)
                total = tf.reduce_sum(tf.where(tf.math.is_finite(found), found, 0.0))
            assert (found.numpy()[::2] == -np.inf).all(), (column, value)
            np.testing.assert_allclose(found.numpy()[1::2], inside[1::2], rtol=1e-5)
            gradients = tape.gradient(total, flow.trainable_variables)
            assert all(np.isfinite(g).all() for g in gradients if g is not None)
    unknown = rows.copy()
    unknown[0, 0] = unknown[1, 2] = np.nan
    assert np.isnan(flow.log_prob(unknown, **given).numpy()[:2]).all()
    flow.save(tmp_path)
    for again in (tff.load(tmp_path), pickle.loads(pickle.dumps(flow)), copy.deepcopy(flow), flow.copy()):
        np.testing.assert_array_equal(again.log_prob(rows, **given), inside)
        np.testing.assert_array_equal(again.support, flow.support)
    np.testing.assert_array_equal(tff.make(**flow.config).support, flow.support)


@table
def test_the_density_underneath_is_exact(name, dtype, context_size):
    flow = build(name, "float64", context_size)
    given, rows = given_context(flow, 4), some_rows(4)
    latent = flow.encode(rows, **given).numpy()
    np.testing.assert_allclose(flow.decode(latent, **given), rows, atol=1e-8)
    below = flow.continuous
    moved = rows + np.array([0, 0, 0.5, 0])
    jacobian = jacobian_of(lambda x: below.encode(x, **given), moved)
    gaussian = -0.5 * (latent**2).sum(axis=1) - 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(below.log_prob(moved, **given), gaussian + np.linalg.slogdet(jacobian)[1], atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_compiled_is_eager_at_any_rank(jit_compile):
    flow, x = build("maf", "float64", 0), some_rows(12).reshape(2, 1, 1, 3, 1, 2, 4)
    log_prob = tf.function(flow.log_prob, jit_compile=jit_compile, autograph=False)
    np.testing.assert_allclose(log_prob(x), flow.log_prob(x.reshape(-1, 4)).numpy().reshape(x.shape[:-1]), rtol=1e-9)
    assert flow.log_prob(x, batch_size=5).shape == x.shape[:-1]


ENDS = [(0.0, 1.0), (0.0, None), (None, 0.0), (1e6, None), (1e6, 1e6 + 1), (-3e37, 3e37), (None, None), (0.1, 0.3)]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_number_leaves_the_support_or_is_nan(ends, dtype):
    layer = Support(*[[end] for end in ends], dtype=dtype)
    low, high = layer.low[0], layer.high[0]
    sizes = 10.0 ** np.arange(-30, 38)
    z = tf.constant(np.concatenate([-sizes, [0.0], sizes])[:, None], dtype)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        x = layer.forward(z)
        log_det = layer.forward_log_det_jacobian(z, event_ndims=1)
    x = x.numpy().astype(np.float64)[:, 0]
    assert ((x > low) & (x < high)).all()
    assert not np.isnan(log_det).any()
    assert not np.isnan(tape.gradient(log_det, z)).any()
    edges = tf.constant([[value] for value in (low, high, low - 1, high + 1) if np.isfinite(value)], dtype)
    if len(edges) and abs(edges.numpy()).max() < 1e5:
        assert (layer.inverse_log_det_jacobian(edges, event_ndims=1).numpy() == -np.inf).all()
        assert np.isfinite(layer.inverse(edges)).all()


def test_rows_of_float64_keep_their_digits_through_a_float32_flow():
    rng = np.random.default_rng(0)
    x = 1.7e9 + rng.gamma(2.0, size=(500, 1))
    flows = [
        tff.maf(1, num_layers=1, support={0: (1.7e9, None)}, dtype=dtype, seed=0) for dtype in ("float32", "float64")
    ]
    for flow in flows:
        flow.standardize(x)
    np.testing.assert_allclose(*(flow.log_prob(x) for flow in flows), atol=1e-4)
    np.testing.assert_allclose(flows[0].standardized(x).numpy().std(), 1.0, rtol=1e-5)


def test_standardize_gets_what_reaches_it():
    flow = build("maf", "float64", 0)
    x = some_rows(5000)
    flow.standardize(x)
    z = flow.standardized(x).numpy()
    np.testing.assert_allclose([z.mean(axis=0), z.std(axis=0)], [np.zeros(4), np.ones(4)], atol=1e-9)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.0, None), (None, 2.0)])
def test_cdf_and_quantile(ends):
    flow = scramble(tff.maf(1, num_layers=1, support={0: ends}, dtype="float64", seed=0))
    p = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(flow.cdf(flow.quantile(p)), p, atol=1e-9)
    assert (np.diff(flow.quantile(p).numpy()[:, 0]) > 0).all()
    if ends[0] is not None:
        assert flow.cdf(np.array([ends[0] - 1])) < 1e-9
    if ends[1] is not None:
        assert flow.cdf(np.array([ends[1] + 1])) > 1 - 1e-9


def test_cdf_of_whole_numbers():
    flow = scramble(tff.maf(1, num_layers=1, support={0: (0, 5)}, dequantize=[0], dtype="float64", seed=0))
    drawn = flow.sample(20_000, seed=0).numpy()[:, 0]
    steps = flow.cdf(np.arange(-1.0, 7.0)[:, None]).numpy()
    np.testing.assert_allclose(steps, [(drawn <= k).mean() for k in range(-1, 7)], atol=0.02)
    assert (steps[0] < 1e-9) & (steps[-2] > 1 - 1e-9)
    assert float(flow.quantile(0.5)[0]) == np.median(drawn)


# Whole numbers.


@pytest.mark.slow
def test_the_bound_is_the_mean_over_fixed_noises_and_training_draws_its_own():
    flow, x = build("planar", "float64", 0), some_rows(50)
    bound = flow.log_prob(x)
    np.testing.assert_array_equal(bound, flow.log_prob(x))
    moved = [flow.continuous.log_prob(x + np.array([0, 0, u, 0])) for u in (np.arange(8) + 0.5) / 8]
    np.testing.assert_allclose(bound, np.mean(moved, axis=0), rtol=1e-12)
    first, second = (flow.log_prob(x, training=True).numpy() for _ in range(2))
    assert (first != second).all()
    assert np.isfinite(first).all()
    many = flow.log_prob(np.repeat(x[:5], 2000, axis=0), training=True).numpy().reshape(5, -1)
    np.testing.assert_allclose(many.mean(axis=1), bound[:5], atol=4 * many.std(axis=1).max() / 2000**0.5 + 0.01)


def test_probabilities_of_whole_numbers_add_up_to_one_at_most():
    flow = scramble(tff.maf(1, num_layers=2, support={0: (0, 16)}, dequantize=[0], seed=0))
    total = float(tf.reduce_sum(flow.prob(np.arange(17.0)[:, None])))
    assert 0.9 < total <= 1.0


def batches(source, start):
    return [part.numpy() for block in source.batches(start).take(2) for part in block]


@pytest.mark.parametrize("in_blocks", [False, True])
def test_noise_is_fresh_and_found_again_from_any_step(in_blocks):
    flow = build("maf", "float32", 0)
    options = {"batch_size": 10, "steps_per_epoch": 4, "validation_split": 0.0, "in_blocks": in_blocks}
    options["noise"] = noise_for(flow, None, 3)
    x = some_rows(80)
    at = 4 if in_blocks else 1
    source = as_source(x, None, None, flow, **options)
    whole = [part.numpy() for block in source.batches(0).take(8 // at) for part in block]
    again = batches(as_source(x, None, None, flow, **options), 4)
    for a, b in zip(whole[3 if in_blocks else 12 :], again, strict=False):
        np.testing.assert_array_equal(a, b)
    drawn = np.concatenate([block.numpy().reshape(-1, 4) for block in whole[::3] for block in [tf.constant(block)]])
    noise = drawn[:, 2] - np.floor(drawn[:, 2])
    assert len(np.unique(noise)) == len(noise)
    assert abs(noise.mean() - 0.5) < 0.15
    np.testing.assert_array_equal(np.sort(drawn[:, 0]), np.sort(x[:, 0]))  # a pass, and no noise there


def test_a_stream_gets_noise_too():
    flow = build("maf", "float32", 0)
    stream = tf.data.Dataset.from_tensor_slices(some_rows(40)).batch(10)
    options = {"batch_size": None, "steps_per_epoch": None, "validation_split": 0.0, "in_blocks": False}
    options["noise"] = noise_for(flow, None, 3)
    source = as_source(stream, None, None, flow, **options)
    first = [batch.numpy() for batch in source.batches(0).take(3)]
    np.testing.assert_array_equal(first[1], next(iter(source.batches(1))))
    assert (first[0][:, 2] % 1 != 0).all()


@pytest.mark.slow
def test_keras_own_fit_draws_noise_for_each_step():
    flow, x = build("maf", "float32", 0), some_rows(40).astype("float32")
    model = tff.FlowModel(flow)
    first, second = (model.losses_of(tf.constant(x), training=True)[0].numpy() for _ in range(2))
    assert (first != second).all()
    model.compile("adam", jit_compile=False)
    history = model.fit(x, batch_size=20, epochs=1, verbose=0, validation_data=(x,)).history
    assert np.isfinite(history["val_nll"]).all()
    layer = tff.FlowLayer(flow)
    assert (layer(x, training=True).numpy() != layer(x, training=True).numpy()).any()
    np.testing.assert_array_equal(layer(x), flow.log_prob(x))


@pytest.mark.slow
def test_what_is_no_number_is_not_taken_inside():
    flow = tff.maf(2, num_layers=1, hidden_units=(4,), context_size=1, support={0: (0, None), 1: (0, 1)}, seed=0)
    assert np.isnan(flow.sample(3, context=[[np.nan]], seed=0)).all()
    assert np.isnan(flow.decode([[np.nan, np.nan]], context=[[0.0]])).all()
    one = tff.maf(1, num_layers=1, hidden_units=(4,), support={0: (0, 1)}, seed=0)
    assert np.isnan(tf.function(one.quantile)(tf.constant([np.nan, -0.1, 1.1]))).all()  # eager ones are refused


def test_nothing_is_beyond_the_ends():
    flow = tff.maf(1, num_layers=1, hidden_units=(4,), support={0: (0, 1)}, seed=0)
    beyond = [[-1.0], [0.0], [1.0], [2.0], [np.inf]]
    np.testing.assert_array_equal(flow.log_cdf(beyond), [-np.inf, -np.inf, 0, 0, 0])
    np.testing.assert_array_equal(flow.survival_function(beyond), [1, 1, 0, 0, 0])


def test_a_student_without_the_teachers_support_is_refused():
    teacher = tff.maf(1, num_layers=1, hidden_units=(4,), support={0: (0, 1)}, seed=0)
    with pytest.raises(tff.InputError, match=r"the student must be built with .*support=\{0: \(0.0, 1.0\)\}"):
        tff.distill(teacher, tff.maf(1, num_layers=1, seed=0), epochs=1, steps_per_epoch=2, verbose=False)


# What is refused, and proposed.


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((3, 0), 0.0, "x: row 4, column 'a' is 0, and its support is above 0, without the ends"),
        ((5, 1), 3.0, "row 6, column 'b' is 3, and its support is above -1 and below 3, without the ends"),
        ((7, 2), 17.0, "row 8, column 'c' is 17, and its support is whole numbers from 0 up to 16"),
        ((9, 2), 0.5, "row 10, column 'c' is 0.5, no whole number; train it without dequantize, or round it"),
        ((9, 2), 2.0**41, "row 10, column 'c' is 2.19902e.12, too large for noise of .* at most 1.1e.12, or train it"),
    ],
)
def test_fit_refuses_rows_outside(place, value, said):
    x = some_rows(40)
    x[place] = value
    frame = pandas.DataFrame(x, columns=list("abcd"))
    flow = make_small("maf", 4, **OPTIONS)
    with pytest.raises(tff.InputError, match=said):
        tff.fit(flow, frame, verbose=False)
    with pytest.raises(tff.InputError, match=said.replace("x: ", "validation_data: ")):
        tff.fit(flow, some_rows(40), validation_data=frame, verbose=False)
    with pytest.raises(tff.InputError, match=f"row {place[0] + 1}, column {place[1] + 1} is"):
        tff.fit(flow, tf.data.Dataset.from_tensor_slices(x).batch(8), verbose=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"support": {4: (0, None)}}, "support must name columns by their numbers from 0 to 3; got 4"),
        ({"support": {"price": (0, None)}}, "support must name columns by their numbers from 0 to 3; got 'price'"),
        ({"support": {0: 1.0}}, r"support must be a pair \(low, high\).*got 1.0 for 0"),
        ({"support": {0: (1, 1)}}, r"support must have its low end below the high one; got \(1, 1\) for 0"),
        ({"support": {0: (0.5, None)}, "dequantize": [0]}, "support must have whole ends.*got"),
        ({"support": [(0, 1)]}, "support must be a dict"),
        ({"support": {0: (1e9, 1e9 + 1)}}, "low and high must leave room for numbers of float32"),
        ({"dequantize": [4]}, r"dequantize must be a list of different columns.*from 0 to 3; got \[4\]"),
        ({"dequantize": [1, 1]}, r"dequantize must be a list of different columns.*got \[1, 1\]"),
        ({"dequantize": "sons"}, "dequantize must be a list of different columns.*got 'sons'"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with pytest.raises(tff.InputError, match=said):
        tff.maf(4, num_layers=1, **options)


def columns_of(n=2000):
    """Columns of all kinds, and what is to be proposed for each: its support, and whether it is whole."""
    rng = np.random.default_rng(0)
    yield rng.gamma(2.0, size=n), (0.0, None), False
    yield rng.lognormal(size=n), (0.0, None), False
    yield rng.beta(0.7, 0.7, n), (0.0, 1.0), False
    yield rng.poisson(3.0, n), (0.0, None), True
    yield rng.integers(0, 2, n), (0.0, 1.0), True
    yield rng.integers(0, 256, n), (0.0, 255.0), True
    yield rng.poisson(3.0, n) - 2, None, True
    yield rng.normal(size=n), None, False
    yield 100 + rng.exponential(size=n), None, False
    yield rng.normal(0.5, 0.05, n), None, False
    yield np.maximum(rng.normal(size=n), 0), None, False  # zero in half of the rows
    yield -rng.gamma(2.0, size=n), None, False


def test_proposals():
    columns, ends, whole = zip(*columns_of(), strict=True)
    proposal = tff.datasets.propose(np.stack(columns, axis=1))
    assert proposal["support"] == {i: pair for i, pair in enumerate(ends) if pair}
    assert proposal["dequantize"] == [i for i, is_whole in enumerate(whole) if is_whole]
    assert set(proposal.reasons) == {*proposal["support"], *proposal["dequantize"]}
    x = np.stack(columns, axis=1)
    flow = make_small("maf", len(columns), **proposal)
    assert np.isfinite(flow.log_prob(x[:50])).all()
    assert tff.datasets.propose(np.random.default_rng(0).normal(size=(500, 2))) == {}


@pytest.mark.slow
def test_no_warning_of_whole_numbers_that_are_dequantized():
    flow = make_small("maf", 4, **OPTIONS)
    with warnings.catch_warnings(action="error", category=UserWarning):
        tff.fit(flow, some_rows(400), epochs=1, steps_per_epoch=1, verbose=False)


# Beyond the flow: figures, files, students, the command.


SMALL_TABLE = {"support": {0: (0.0, None), 1: (0, None)}, "dequantize": [1]}


@pytest.mark.slow
def test_figures_and_students():
    flow, student = (make_small(name, 2, **SMALL_TABLE) for name in ("maf", "iaf"))
    tff.plots.density(flow, limits=((0, 5), (0, 8)), resolution=40)
    tff.plots.layers(flow, n=50)
    assert 0.9 < tff.plots.integral(flow, ((0.0, 200.0), (-1.0, 199.0)), resolution=1000) < 1.1
    history = tff.distill(flow, student, epochs=1, steps_per_epoch=2, verbose=False)
    assert np.isfinite(history.history["kl"]).all()


@pytest.mark.slow
def test_exports(tmp_path):
    flow = make_small("planar", 2, **SMALL_TABLE)
    flow.export(tmp_path)
    exported, x = tf.saved_model.load(str(tmp_path)), flow.sample(5, seed=0)
    np.testing.assert_allclose(exported.log_prob(x), flow.log_prob(x), rtol=1e-5)
    np.testing.assert_array_equal(exported.sample(5, tf.constant([0, 1])).numpy()[:, 1] % 1, np.zeros(5))


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_the_command(tmp_path, capsys):
    names = ["rain", "share", "sons", "height"]
    pandas.DataFrame(some_rows(300), columns=names).to_csv(tmp_path / "a.csv", index=False)
    words = ["train", "--flow", "maf", "--data", tmp_path / "a.csv", *FAST, "--hidden-units", "8,8"]
    first, second = tmp_path / "first", tmp_path / "second"
    status, out, said = run(capsys, *words, "--auto", "--support", "share:-1:3", "--out", first)
    assert status == 0
    assert "NLL at most" in out
    assert "column 'rain' is above 0 with a long tail to the right: support (0, None)" in said
    flow = tff.load(first)
    np.testing.assert_array_equal(flow.support, [[0, -1, 0, -np.inf], [np.inf, 3, np.inf, np.inf]])
    assert flow.dequantize == (2,)
    assert call("train", "--from", first, "--no-auto", "--whole", "sons", "--out", second) == 0
    flow = tff.load(second)
    np.testing.assert_array_equal(flow.support, [[-np.inf, -1, -np.inf, -np.inf], [np.inf, 3, np.inf, np.inf]])
    assert flow.dequantize == (2,)
    for options, message in [
        (["--support", "rain:0"], "--support must be NAME:LOW:HIGH"),
        (["--support", "rain:0:1:2"], "as in price:0:; got 'rain:0:1:2', and there is no column 'rain:0'."),
        (["--support", "snow:0:"], "--support has 'snow'; the columns of"),
        (["--support", "rain:2:1"], "--support must have its low end below the high one; got [2.0, 1.0] for 'rain'"),
        (["--support", "share:0:3"], "column 'share' is -"),
        (["--whole", "rain"], " below the header, column 'rain' is"),
        (["--whole", "snow"], "--whole has 'snow'; the columns of"),
    ]:
        status, _, said = run(capsys, *words, *options, "--out", tmp_path / "third")
        assert (status, message in said) == (2, True), said
    assert not (tmp_path / "third").exists()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("ends", [(1e300, None), (None, -1e300), (0, 1e39), (-1e300, 1e300)])
def test_ends_that_float32_cannot_hold_are_refused_in_one_sentence(ends):
    with pytest.raises(tff.InputError, match=r"^low and high must be at most 8.51e\+37 in size in float32; low\[0\]"):
        tff.maf(2, num_layers=1, support={0: ends})
    assert tff.maf(2, num_layers=1, support={0: ends}, dtype="float64").dtype == "float64"


# Known laws.

LAWS = [
    ("Beta(2, 5)", tfd.Beta(np.float64(2), 5), (0, 1), False),
    ("Gamma(2)", tfd.Gamma(np.float64(2), 1), (0, None), False),
    ("Poisson(3)", tfd.Poisson(np.float64(3)), (0, None), True),
]


@pytest.mark.parametrize(
    ("name", "law", "ends", "is_whole"), mostly_slow(LAWS[::-1], 0, several=True), ids=[law[0] for law in LAWS[::-1]]
)
def test_gap_of_known_laws(name, law, ends, is_whole):
    x = law.sample(20_000, seed=0).numpy()[:, None]
    options = {"support": {0: ends}, "dequantize": [0] if is_whole else []}
    flow = tff.nsf(1, num_layers=2, hidden_units=(32, 32), num_bins=64 if is_whole else 16, seed=0, **options)
    tff.fit(flow, x[:10_000], epochs=20, verbose=False)
    gap = float(np.mean(law.log_prob(x[10_000:])) - np.mean(flow.log_prob(x[10_000:])))
    assert -0.02 < gap < 0.03
    drawn = flow.sample(50_000, seed=0).numpy()
    assert (drawn >= 0).all() if is_whole else (drawn > 0).all()
    if is_whole:
        total = float(tf.reduce_sum(flow.prob(np.arange(60.0)[:, None])))
        assert 0.97 < total < 1.005  # at most one, but for the error of an estimate from eight noises
    else:
        t = (np.arange(10_000) + 0.5) / 10_000
        grid = t if ends[1] else t / (1 - t)
        mass = (np.exp(flow.log_prob(grid[:, None])) * np.gradient(grid, t)).mean()
        assert mass == pytest.approx(1.0, abs=0.01)
