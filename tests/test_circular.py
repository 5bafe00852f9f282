"""Columns that come round again: angles, hours of the day, phases."""

import copy
import pickle
import warnings

import numpy as np
import pandas
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import EXHAUSTIVE, make_small, mostly_slow, scramble, scramble_variables
from test_cli import call, run
from test_derivatives import assert_derivatives
from test_flows import fresh, jacobian_of
from test_solver import inputs, made_of, pair

import tfp_flows as tff
from tfp_flows.bases import Torus
from tfp_flows.bijectors import Circle, Rotate

CONTEXT = 2
HOURS, ANGLES = {0: 24.0}, {0: 24.0, 2: (-180.0, 180.0)}  # of one column, and of three: the one between is on the line
CASES = [
    pytest.param(name, d, circular, dtype, size, id=f"{name} {d} {dtype}{' context' * (size > 0)}", marks=marks)
    for name, d, circular, dtype, size, marks in [
        ("nsf", 3, ANGLES, "float64", CONTEXT, ()),
        ("nsf_coupling", 3, ANGLES, "float32", 0, pytest.mark.slow),
        ("nsf", 1, HOURS, "float32", 0, pytest.mark.slow),
        ("nsf_coupling", 1, HOURS, "float64", CONTEXT, EXHAUSTIVE),
        ("nsf_coupling", 3, ANGLES, "float64", CONTEXT, EXHAUSTIVE),
        ("nsf_coupling", 2, {0: 24.0, 1: 1.0}, "float64", 0, EXHAUSTIVE),
        ("nsf", 2, {0: 24.0, 1: 1.0}, "float64", CONTEXT, pytest.mark.slow),
        ("nsf", 3, ANGLES, "float32", CONTEXT, EXHAUSTIVE),
    ]
]
table = pytest.mark.parametrize(("name", "d", "circular", "dtype", "context_size"), CASES)


def build(name, d, circular, dtype="float64", context_size=0, **options):
    options |= {"context_size": context_size} if context_size else {}
    return scramble(make_small(name, d, circular=circular, dtype=dtype, **options))


def given_context(flow, n):
    return {"context": np.random.default_rng(1).normal(size=(n, CONTEXT))} if flow.context_size else {}


def some_rows(flow, n=20):
    """Rows of any period, and on the seam."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, flow.event_size))
    for i, (low, high) in flow.circular.items():
        x[:, i] = rng.uniform(low, high, n) + (high - low) * rng.integers(-2, 3, n)
        x[:3, i] = low, high, low - 3 * (high - low)
    return x


def turned(flow, x, turns):
    moved = x.copy()
    for i, (low, high) in flow.circular.items():
        moved[:, i] += turns * (high - low)
    return moved


@table
def test_laws(name, d, circular, dtype, context_size, tmp_path):
    """Periods, the seam, samples and their log-probability, state: for both chains, both dtypes, with a context."""
    flow = build(name, d, circular, dtype, context_size)
    given, x = given_context(flow, 20), some_rows(flow)
    inside = flow.log_prob(x, **given).numpy()
    assert np.isfinite(inside).all()
    close = 1e-9 if dtype == "float64" else 1e-4
    for turns in (-7, 1, 40):
        np.testing.assert_allclose(flow.log_prob(turned(flow, x, turns), **given), inside, atol=close)
    for i, (low, high) in flow.circular.items():
        seam = np.repeat(x[4:5], 4, axis=0)
        seam[:, i] = low, high, low - 1e-10 * (high - low), low + 1e-10 * (high - low)
        one = {key: np.repeat(value[4:5], 4, axis=0) for key, value in given.items()}
        assert np.ptp(flow.log_prob(seam, **one)) < 100 * close
        far = x.copy()
        far[::2, i] = np.inf
        far[1::2, i] = np.nan
        found = flow.log_prob(far, **given).numpy()
        assert (found[::2] == -np.inf).all()
        assert np.isnan(found[1::2]).all()
    drawn, log_prob = flow.sample_and_log_prob(() if context_size else 20, seed=0, **given)
    np.testing.assert_array_equal(drawn, flow.sample(() if context_size else 20, seed=0, **given))
    rounding = 1e-9 if dtype == "float64" else 1e-2  # of float32, times slopes as steep as these weights make them
    np.testing.assert_allclose(flow.log_prob(fresh(drawn), **given), log_prob, atol=rounding)
    flow.save(tmp_path)
    for again in (tff.load(tmp_path), pickle.loads(pickle.dumps(flow)), copy.deepcopy(flow), flow.copy()):
        np.testing.assert_array_equal(again.log_prob(x, **given), inside)
        assert again.circular == flow.circular
    assert tff.make(**flow.config).circular == flow.circular


@table
def test_the_density_is_exact(name, d, circular, dtype, context_size):
    flow = build(name, d, circular, "float64", context_size)
    given, x = given_context(flow, 4), some_rows(flow)[4:8]
    u = flow.encode(x, **given)
    back = flow.decode(fresh(u), **given).numpy()
    np.testing.assert_allclose(*(np.exp(2j * np.pi * on_circles(flow, rows)) for rows in (back, x)), atol=1e-9)
    np.testing.assert_allclose(back[:, on_line(flow)], x[:, on_line(flow)], atol=1e-9)
    jacobian = jacobian_of(lambda x: flow.encode(x, **given), x)
    log_det = np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(flow.log_prob(x, **given), flow.distribution.log_prob(u) + log_det, atol=1e-8)


def on_line(flow):
    return [i for i in range(flow.event_size) if i not in flow.circular]


def on_circles(flow, x):
    """Turns, from the low ends."""
    return np.stack([(x[:, i] - low) / (high - low) for i, (low, high) in flow.circular.items()], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nsf", pytest.param("nsf_coupling", marks=pytest.mark.slow)])
def test_the_density_integrates_to_one_over_one_period(name):
    flow = build(name, 1, HOURS)
    x = np.arange(0.0, 24.0, 24 / 20_000)[:, None]
    assert flow.prob(x).numpy().mean() * 24 == pytest.approx(1.0, abs=1e-5)
    flow = build(name, 2, {0: 24.0, 1: (-1.0, 1.0)})
    x, y = np.meshgrid(np.arange(0, 24, 24 / 300), np.arange(-1, 1, 2 / 300))
    assert flow.prob(np.stack([x, y], axis=-1)).numpy().mean() * 48 == pytest.approx(1.0, abs=2e-3)
    flow = build(name, 2, {1: (-1.0, 1.0)}, num_layers=1)
    x, y = np.meshgrid(np.arange(-30, 30, 0.06), np.arange(-1, 1, 2 / 300))
    assert flow.prob(np.stack([x, y], axis=-1)).numpy().mean() * 120 == pytest.approx(1.0, abs=3e-3)


@pytest.mark.slow
def test_second_derivatives():
    flow = build("nsf", 3, ANGLES, context_size=CONTEXT, num_layers=2, octaves=1)
    x = some_rows(flow)[4:8]
    context = given_context(flow, 4)["context"]
    assert_derivatives(lambda x, c: tf.reduce_sum(flow.log_prob(x, context=c)), x, context, flow.trainable_variables)


@pytest.mark.parametrize(
    ("name", "dtype"), [("nsf", "float32"), pytest.param("nsf_coupling", "float64", marks=pytest.mark.slow)]
)
def test_gradients_at_the_seam_are_finite(name, dtype):
    flow = build(name, 3, ANGLES, dtype)
    x = fresh(np.array([[low, 0.3, high] for low in (0.0, 24.0, -1e-12, 24 - 1e-6) for high in (-180.0, 180.0, 540.0)]))
    x = tf.cast(x, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = flow.log_prob(x)
    assert np.isfinite(log_prob).all()
    for gradient in tape.gradient(log_prob, [x, *flow.trainable_variables]):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("ends", [(0.0, 24.0), (-180.0, 180.0), (0.1, 0.3), (1e6, 1e6 + 1), (-0.7, 2.3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_number_leaves_its_period_or_its_circle(ends, dtype):
    layer = Circle(*[[end] for end in ends], interval=3.0, dtype=dtype)
    number = np.dtype(dtype).type
    z = np.concatenate([np.linspace(-9, 9, 1001), [np.nextafter(number(3), number(0)), -np.nextafter(number(3), 0)]])
    x = layer.forward(tf.constant(z[:, None], dtype)).numpy().astype(np.float64)
    assert ((x >= ends[0]) & (x < ends[1])).all()
    for rows in (x, x + np.arange(-500, 503)[:, None] * (ends[1] - ends[0])):
        assert (abs(layer.inverse(tf.constant(rows, dtype)).numpy()) <= 3.0).all()
        assert (abs(layer.of_any_dtype(tf.constant(rows))[0].numpy()) <= 3.0).all()
    rotate = Rotate(1, [0], interval=3.0, rng=np.random.default_rng(0), dtype=dtype)
    for direction in (rotate.forward, rotate.inverse):
        assert (abs(direction(tf.constant(z[:, None], dtype)).numpy()) <= 3.0 + 1e-6).all()


@pytest.mark.slow
def test_samples_of_many_seeds_are_inside():
    flow = build("nsf", 1, {0: (0.1, 0.3)}, "float32")
    drawn = flow.sample(200_000, seed=0).numpy().astype(np.float64)
    assert ((drawn >= 0.1) & (drawn < 0.3)).all()


@pytest.mark.slow
def test_rows_of_float64_keep_their_digits_through_a_float32_flow():
    x = 1.7e9 + np.random.default_rng(0).uniform(0, 86_400, (500, 1))
    flows = [build("nsf", 1, {0: 86_400.0}, dtype) for dtype in ("float32", "float64")]
    np.testing.assert_allclose(*(flow.log_prob(x) for flow in flows), atol=1e-3)


# What the networks see, and the solver.

SEEN = tff.networks.CircularFourier(1, 2.0, (True, False, True, False, False) * 4, damped_beyond=2.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event_size", "options"),
    [
        (3, {}),
        (9, {"order": "random"}),
        pytest.param(9, {"context_size": 2, "residual": True, "hidden_units": (24, 24)}, marks=pytest.mark.slow),
    ],
)
def test_solved_as_by_the_loop(event_size, options):
    made = made_of(event_size, features=SEEN.taken(range(event_size)), **options)
    u, context = inputs(event_size, options)
    weights, found = tf.constant(np.random.default_rng(3).normal(size=u.shape)), []
    for layer in pair(made):
        with tf.GradientTape() as tape:
            sources = [u, *context.values(), *made.trainable_variables]
            tape.watch(sources)
            x = layer.forward(u, **context)
            log_det = layer.inverse_log_det_jacobian(x, 1, **context)
            loss = tf.reduce_sum(weights * tf.sin(x)) + tf.reduce_sum(tf.square(log_det))
        found.append([x, *tape.gradient(loss, sources, unconnected_gradients="zero")])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_features_are_periodic_and_have_their_slopes(rng):
    features = SEEN.taken(range(3))
    x = fresh(rng.normal(size=(4, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        seen = features(x)
    jacobian = tape.batch_jacobian(seen, x, experimental_use_pfor=False).numpy()
    np.testing.assert_allclose(np.einsum("nifi->nif", jacobian), features.slopes(x), atol=1e-12)
    around = features(x + np.array([4.0, 0.0, -8.0])).numpy()
    np.testing.assert_allclose(around, seen, atol=1e-12)
    plain = tff.networks.Fourier(1, 2.0, damped_beyond=2.0)(x[:, 1:2]).numpy()[0, 0]
    np.testing.assert_allclose(seen[0, 1].numpy()[[0, 1, 3]], plain, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("mixing", [[[2, 0, 1], None, [1, 0, 2]], "none"])
def test_whatever_the_order_of_the_columns(mixing):
    for name in ("nsf", "nsf_coupling"):
        flow = build(name, 3, ANGLES, num_layers=3, mixing=mixing, octaves=1)
        x = some_rows(flow)
        np.testing.assert_allclose(flow.log_prob(turned(flow, x, 3)), flow.log_prob(x), atol=1e-9)


# The base.


@pytest.mark.slow
@pytest.mark.parametrize("rest", mostly_slow(["normal", "student_t", "mixture"], 1))
def test_the_base_is_a_law(rest):
    base = Torus(3, [1], interval=2.0, rest=rest, dtype="float64")
    scramble_variables(base.variables)
    u = base.sample(20_000, seed=0).numpy()
    assert (abs(u[:, 1]) <= 2.0).all()
    np.testing.assert_allclose(u.mean(axis=0), base.mean(), atol=0.05)
    np.testing.assert_allclose(u.var(axis=0), base.variance(), rtol=0.1)
    alone = base.rest.log_prob(u[:, [0, 2]])
    np.testing.assert_allclose(base.log_prob(u), alone - np.log(4.0))
    edges = np.array([[0.0, 2.0, 0.0], [0.0, -2.0, 0.0], [0.0, 2.0000001, 0.0]])
    assert np.ptp(base.log_prob(edges)) == 0
    flow = build("nsf", 3, ANGLES, base=rest)
    again = pickle.loads(pickle.dumps(flow))
    np.testing.assert_array_equal(flow.sample(5, seed=0), again.sample(5, seed=0))


# Beside the other options, and through everything else that a flow goes through.


def model_fit(flow, x):
    """Keras' own `fit`."""
    model = tff.FlowModel(flow)
    model.compile(jit_compile=False)
    model.fit(x, verbose=0)


@pytest.mark.slow
def test_beside_support_whole_numbers_and_whitening(tmp_path):
    flow = build(
        *("nsf", 4, {1: 24.0}, "float32"),
        **{"support": {0: (0.0, None)}, "dequantize": [1], "whiten": True},
    )
    rng = np.random.default_rng(0)
    line = rng.normal(size=300)
    x = np.stack([rng.gamma(2.0, size=300), rng.integers(0, 24, 300), line, line + 0.1 * rng.normal(size=300)], axis=1)
    flow.standardize(x)
    before = flow.log_prob(x).numpy()
    z = flow.standardized(x).numpy()
    assert 3 < abs(z[:, 1]).max() <= 6  # the interval beside circles
    assert abs(np.corrcoef(z[:, [0, 2, 3]].T) - np.eye(3)).max() < 0.05
    np.testing.assert_array_equal(flow.log_prob(x + np.array([0, 24, 0, 0])), before)
    assert (flow.log_prob(x + np.array([0, 0.5, 0, 0])).numpy() == -np.inf).all()
    hours = flow.sample(500, seed=0).numpy()[:, 1]
    assert ((hours == np.floor(hours)) & (hours >= 0) & (hours <= 23)).all()
    np.testing.assert_array_equal(flow.support, [[0] + [-np.inf] * 3, [np.inf] * 4])
    x[:, 1] += 24 * rng.integers(-3, 3, 300)  # nothing is outside
    with warnings.catch_warnings(action="error", category=UserWarning):
        tff.fit(flow, x, epochs=1, steps_per_epoch=2, verbose=False)
    flow.save(tmp_path)
    np.testing.assert_array_equal(tff.load(tmp_path).log_prob(x), flow.log_prob(x))


@pytest.mark.parametrize(
    "train", mostly_slow([lambda *a: tff.fit(*a, epochs=1, steps_per_epoch=2, verbose=False), model_fit], 0, 1)
)
def test_a_circle_has_no_mean_to_be_far_off(train):
    """Rows near the seam, which in a fit of a flow that has statistics, or in Keras', are far from 0."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.vonmises(-0.7, 20.0, 300), rng.normal(size=300)], axis=1)
    flow = make_small("nsf", 2, circular={0: (-1.0, 2 * np.pi - 1.0)}, num_layers=1)
    with warnings.catch_warnings(action="error", category=UserWarning):
        train(flow, x)
        train(flow, x)


@pytest.mark.slow
def test_whole_numbers_are_warned_of():
    x = np.random.default_rng(0).integers(0, 24, (400, 1))
    with pytest.warns(UserWarning, match="whole numbers.*dequantize"):
        tff.fit(make_small("nsf", 1, circular=HOURS), x, epochs=1, steps_per_epoch=1, verbose=False)


@pytest.mark.slow
def test_probabilities_of_hours_add_up_to_one_at_most():
    flow = build("nsf", 1, HOURS, dequantize=[0])
    assert 0.9 < float(tf.reduce_sum(flow.prob(np.arange(24.0)[:, None]))) <= 1.0


@pytest.mark.slow
def test_compiled_is_eager_at_any_rank():
    flow = build("nsf", 3, ANGLES)
    x = some_rows(flow, 24).reshape(2, 1, 3, 1, 4, 3)
    eager = flow.log_prob(x.reshape(-1, 3)).numpy().reshape(x.shape[:-1])
    for jit_compile in (False, True):
        log_prob = tf.function(flow.log_prob, jit_compile=jit_compile, autograph=False)
        np.testing.assert_allclose(log_prob(x), eager, rtol=1e-9)


@pytest.mark.slow
def test_recomputed_layers_have_the_same_gradients():
    for name, option in (("nsf", "recompute"), ("nsf_coupling", "reversible")):
        flows = [build(name, 3, ANGLES, **options) for options in ({}, {option: True})]
        found = []
        for flow in flows:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(flow.log_prob(some_rows(flow)))
            found.append(tape.gradient(loss, flow.trainable_variables))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-8)


@pytest.mark.slow
def test_figures_and_students():
    flow, student = (make_small(name, 2, circular=HOURS) for name in ("nsf", "nsf_coupling"))
    figure = tff.plots.density(flow, limits=((-9, 50), (-5, 5)), resolution=200)  # one period, whatever the frame
    assert figure.axes[0].get_title().endswith("its integral over twice this frame is 1.00")
    rows = tff.plots.samples(flow, np.array([[25.0, 0.0], [-1.0, 1.0]])).axes[0].collections[0].get_offsets()
    np.testing.assert_array_equal(rows, [[1.0, 0.0], [23.0, 1.0]])
    assert 0.9 < tff.plots.integral(flow, ((0.0, 24.0), (-12.0, 12.0)), resolution=300) < 1.1
    history = tff.distill(flow, student, epochs=1, steps_per_epoch=2, verbose=False)
    assert np.isfinite(history.history["kl"]).all()
    with pytest.raises(tff.InputError, match=r"the student must be built with .*circular=\{0: \(0.0, 24.0\)\}"):
        tff.distill(flow, make_small("iaf", 2), epochs=1, steps_per_epoch=2, verbose=False)


@pytest.mark.parametrize("what", ["cdf", "quantile"])
def test_there_is_no_cdf_on_a_circle(what):
    with pytest.raises(tff.InputError, match=f"^{what} needs layers that say whether they increase.*circle"):
        getattr(build("nsf", 1, HOURS), what)([0.5])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"circular": {3: 24.0}}, "circular must name columns by their numbers from 0 to 2; got 3"),
        ({"circular": {"hour": 24.0}}, "circular must name columns by their numbers from 0 to 2; got 'hour'"),
        ({"circular": [0]}, r"circular must be a dict, as in \{0: 24.0\}; got \[0\]"),
        ({"circular": {0: 24.0, "0": 1.0}}, "circular must have one period for each column"),
        ({"circular": {0: 0.0}}, "circular must be a period above 0, or its ends.*got 0.0 for 0"),
        ({"circular": {0: None}}, "circular must be a period above 0, or its ends.*got None for 0"),
        ({"circular": {0: (1.0, 1.0)}}, r"circular must be a period.*got \(1.0, 1.0\) for 0"),
        ({"circular": {0: (0.0, np.inf)}}, r"circular must be a period.*got \(0.0, inf\) for 0"),
        ({"circular": {0: (0.0, 1.0, 2.0)}}, "circular must be a period"),
        ({"circular": {0: (1e9, 1e9 + 1)}}, "low and high must leave room for numbers of float32"),
        ({"circular": {0: 0.5}, "dequantize": [0]}, "circular must have whole ends.*got 0.5 for 0"),
        ({"circular": HOURS, "support": {0: (0, None)}}, "support must be of other columns than circular; got 0"),
        ({"circular": HOURS, "mixing": "linear"}, "mixing must not be 'linear' with circular columns"),
        ({"circular": HOURS, "act_norm": True}, "act_norm must be False with circular columns"),
        ({"circular": HOURS, "batch_norm": True}, "batch_norm must be False with circular columns"),
        ({"circular": HOURS, "tails": "free"}, "tails must be 'equal' with circular columns.*got 'free'"),
        ({"circular": HOURS, "tails": "identity"}, "tails must be 'equal' with circular columns.*got 'identity'"),
        (
            {"circular": HOURS, "base": tfp.distributions.MultivariateNormalDiag(np.zeros(3, "float32"))},
            "base must be one of normal, student_t, mixture with circular columns.*got MultivariateNormalDiag",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    for chain in (tff.nsf, tff.nsf_coupling):
        with pytest.raises(tff.InputError, match=said):
            chain(3, num_layers=1, **options)


def test_other_chains_do_not_take_it_in_silence():
    for name in {*tff.flows.names()} - {"nsf", "nsf_coupling"}:
        with pytest.raises(tff.InputError, match=f"flow must be .* to have circular columns; got '{name}'"):
            tff.make(name, event_size=2, circular=HOURS)


def test_layers_and_features_that_cannot_be_are_refused():
    for make, said in (
        (lambda: Circle([0.0], [None]), r"low and high must both be numbers or both None; low\[0\] is 0.0"),
        (lambda: Circle([0.0], [0.0]), "low must be below high"),
        (lambda: Circle([0.0], [1.0], interval=0), "interval must be a number above 0"),
        (lambda: Rotate(2, [2]), "circular must be a list of different columns"),
        (lambda: Torus(2, [0], rest="uniform"), "rest must be one of normal"),
        (lambda: tff.networks.MADE(2, features=SEEN), "features must say of 2 inputs whether they are circular"),
        (lambda: tff.bijectors.Standardize(2, keep=[2]), "keep must be a list of different columns"),
    ):
        with pytest.raises(tff.InputError, match=said):
            make()


@pytest.fixture
def words(tmp_path):
    rng = np.random.default_rng(0)
    rows = {"hour": rng.integers(0, 24, 300), "angle": rng.uniform(-180, 180, 300), "height": rng.normal(size=300)}
    pandas.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    sizes = ["--epochs", "1", "--steps-per-epoch", "2", "--num-layers", "1", "--hidden-units", "4"]
    return ["train", "--data", tmp_path / "a.csv", *sizes, "--out", tmp_path / "first"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_the_command(words, tmp_path):
    named = ["--circular", "hour:24", "--circular", "angle:-180:180"]
    assert call(*words, *named, "--whole", "hour", "--auto") == 0
    first = tff.Run.open(tmp_path / "first")
    flow = first.flow
    assert (flow.circular, flow.dequantize, flow.support) == ({0: (0.0, 24.0), 1: (-180.0, 180.0)}, (0,), None)
    settings = first.settings | {"circular": {2: (-180.0, 180.0)}, "auto": False, "verbose": False}
    assert tff.Run.train(tmp_path / "second", **settings).flow.circular == {1: (-180.0, 180.0)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--circular", "hour"], "--circular must be NAME:PERIOD or NAME:LOW:HIGH"),
        (["--circular", "hour:x:24:"], "--circular must be NAME:PERIOD or NAME:LOW:HIGH"),
        (["--circular", "snow:24"], "--circular has 'snow'; the columns of"),
        (["--circular", "angle:180:-180"], "--circular must be a period above 0"),
        (["--circular", "hour:24", "--circular", "1:12"], "--circular must have one entry for each column"),
        (["--circular", "hour:24", "--flow", "maf"], "--flow must be nsf_coupling or nsf to have circular columns"),
        (
            ["--circular", "hour:24", "--circular", "hour:12"],
            "--circular must have one entry for each column; got 'hour', which has two.",
        ),
        (
            ["--circular", "hour:24", "--support", "hour:0:"],
            "--support must be of other columns than circular; got 'hour' in both.",
        ),
        (
            ["--support", "hour:0:", "--support", "hour::9"],
            "--support must have one entry for each column; got 'hour', which has two.",
        ),
        (["--support", "hour:nan:"], "open, as in price:0:; got 'hour:nan:'."),
        (["--support", "hour:1e400:"], "open, as in price:0:; got 'hour:1e400:'."),
    ],
)
def test_the_command_refuses(options, message, words, tmp_path, capsys):
    status, _, said = run(capsys, *words, *options)
    assert (status, message in said) == (2, True), said
    assert not (tmp_path / "first").exists()


# Known laws.


@pytest.mark.slow
def test_gap_of_a_known_law_of_an_angle_and_a_number_that_depends_on_it():
    rng = np.random.default_rng(0)
    angle = rng.vonmises(3.0, 2.0, 20_000)  # across the seam
    number = 2 * np.sin(angle) + 0.3 * rng.normal(size=20_000)
    x = np.stack([angle, number], axis=1)
    truth = tfp.distributions.VonMises(np.float64(3), 2.0).log_prob(angle) + tfp.distributions.Normal(
        2 * np.sin(angle), 0.3
    ).log_prob(number)
    flow = tff.nsf(2, num_layers=2, hidden_units=(32, 32), num_bins=16, circular={0: (-np.pi, np.pi)}, seed=0)
    tff.fit(flow, x[:10_000], epochs=15, learning_rate=5e-3, verbose=False)
    gap = np.mean(truth[10_000:]) - flow.log_prob(x[10_000:]).numpy().mean()
    assert -0.02 < gap < 0.04
