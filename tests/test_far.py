"""Columns far from 0 and closely spaced, such as seconds since 1970, in flows of float32."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from conftest import mostly_slow

import tfp_flows as tff
from tfp_flows.training.standard import COARSE, coarse_column, coarse_detail

FAR = [(1e8, 1.0), (1.7e9, 50.0), (3.0, 1e-9)]
QUICK = {"verbose": False, "jit_compile": False}
PROBABILITIES = np.array([0.1587, 0.5, 0.8413])  # of -1, 0, 1 standard deviations


def line(**options) -> tff.Flow:
    """One affine layer, which starts as the normal law that it is standardised by."""
    return tff.maf(1, num_layers=1, hidden_units=(4,), seed=0, **options)


def standardised(offset: float, scale: float, **options) -> tff.Flow:
    flow = line(**options)
    flow.standardize(offset + scale * np.random.default_rng(0).normal(size=(4000, 1)))
    return flow


@pytest.mark.parametrize(("offset", "scale"), FAR)
def test_cumulative_probabilities_keep_the_digits_of_rows(offset, scale):
    flow, z = standardised(offset, scale), np.array([[-1.0], [0.0], [1.0]])
    x = offset + scale * z
    np.testing.assert_allclose(flow.cdf(x), PROBABILITIES, atol=0.02)
    np.testing.assert_allclose(flow.survival_function(x), 1 - PROBABILITIES, atol=0.02)
    np.testing.assert_allclose(np.exp(flow.log_cdf(x)), flow.cdf(x), rtol=1e-5)
    np.testing.assert_allclose(np.exp(flow.log_survival_function(x)), flow.survival_function(x), rtol=1e-5)
    assert flow.cdf(x).dtype == tf.float32


@pytest.mark.parametrize(("low", "high", "at"), [(1.7e9, None, 1.7e9 + 20), (None, 1.7e9, 1.7e9 - 20)])
def test_cumulative_probabilities_beside_far_ends(low, high, at):
    """One rises from its end, and one falls to it."""
    flow = line(support={0: (low, high)})
    rows = 1.7e9 + (1 if high is None else -1) * np.random.default_rng(0).lognormal(3.0, 0.5, size=(4000, 1))
    flow.standardize(rows)
    assert flow.cdf([[at]]).numpy()[0] == pytest.approx((rows <= at).mean(), abs=0.03)


@pytest.mark.parametrize(("offset", "scale"), FAR)
def test_samples_in_float64_have_all_their_digits(offset, scale):
    flow = standardised(offset, scale)
    x = flow.sample_in_float64(4000, seed=0)
    assert x.dtype == tf.float64
    assert len(np.unique(x)) > 3900
    z = (x.numpy() - offset) / scale
    assert z.mean() == pytest.approx(0.0, abs=0.05)
    assert z.std() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(x.numpy().astype("float32"), flow.sample(4000, seed=0))
    log_prob = -0.5 * z[:, 0] ** 2 - np.log(scale) - 0.9189
    np.testing.assert_allclose(flow.log_prob(x), log_prob, atol=0.3)


@pytest.mark.slow
def test_samples_in_float64_are_whole_inside_and_on_the_circle():
    """Each of the first layers, beside a context and in pieces."""
    options = {"num_layers": 1, "hidden_units": (4,), "num_bins": 4, "context_size": 1, "seed": 0}
    ends = {0: (1_700_000_000, 1_700_000_999), 1: (1.7e9, 1.7e9 + 999.0)}
    flow = tff.nsf(3, dequantize=[0], support=ends, circular={2: (1e6, 1e6 + 24.0)}, **options)
    context = np.zeros([500, 1])
    for x in (
        flow.sample_in_float64(context=context, seed=0).numpy(),
        flow.sample_in_float64(500, context=[0.0], seed=0, batch_size=100).numpy(),
    ):
        assert x.shape == (500, 3)
        assert set(x[:, 0] - 1_700_000_000) <= set(range(1000))
        assert len(set(x[:, 0])) > 200
        assert ((x[:, 1] > 1.7e9) & (x[:, 1] < 1.7e9 + 999)).all()
        assert ((x[:, 2] >= 1e6) & (x[:, 2] < 1e6 + 24)).all()
        assert len(np.unique(x[:, 1:])) > 950
        assert np.isfinite(flow.log_prob(x, context=context)).all()


@pytest.mark.slow
def test_runs_draw_rows_with_all_their_digits(tmp_path):
    seconds = 1.7e9 + np.random.default_rng(0).normal(0.0, 50.0, 400)
    tff.datasets.write_rows(tmp_path / "x.csv", seconds[:, None], header=["time"])
    options = {"num_layers": 1, "hidden_units": (4,)}
    with pytest.warns(tff.RoundingWarning, match="'time' is 1.7e\\+09 give or take 49"):
        run = tff.Run.train(tmp_path / "run", flow="maf", options=options, data=tmp_path / "x.csv", epochs=1, verbose=0)
    drawn = run.sample(300, seed=0)
    assert drawn.rows.dtype == np.float64
    assert len(np.unique(drawn.rows)) > 290
    assert drawn.rows.std() == pytest.approx(50.0, rel=0.3)
    tff.datasets.write_rows(tmp_path / "y.csv", drawn)
    np.testing.assert_array_equal(tff.datasets.read_rows(tmp_path / "y.csv"), drawn.rows)
    with pytest.raises(tff.InputError, match=r"n must be an integer of at most"):
        run.sample(99_999_999_999)
    with pytest.raises(tff.InputError, match="subtract an offset"):
        run.distill(tmp_path / "student", options=options, epochs=1, steps_per_epoch=2, verbose=0)


@pytest.mark.parametrize("teacher", ["flow", "far ends", "distribution"])
def test_no_student_of_samples_that_are_all_the_same(teacher):
    import tensorflow_probability as tfp

    law, options = tfp.distributions.MultivariateNormalDiag([1e8], [1.0]), {}
    if teacher == "flow":
        law = standardised(1e8, 1.0)
    elif teacher == "far ends":
        options = {"support": {0: (1.7e9, None)}}
        law = line(**options)
        law.standardize(1.7e9 + np.random.default_rng(0).gamma(2.0, 10.0, size=(1000, 1)))
    student = tff.iaf(1, num_layers=1, hidden_units=(4,), seed=1, **options)
    with pytest.raises(tff.InputError, match=r"column 1 is 1e\+08|column 1 is 1.7e\+09"):
        tff.distill(law, student, epochs=1, steps_per_epoch=2, **QUICK)
    assert student.is_unstandardized
    if teacher == "flow":
        both = [f(1, num_layers=1, hidden_units=(4,), dtype="float64", seed=0) for f in (tff.maf, tff.iaf)]
        both[0].standardize(1e8 + np.random.default_rng(0).normal(size=(4000, 1)))
        assert tff.distill(*both, epochs=1, steps_per_epoch=2, **QUICK).history["val_kl"][0] > -0.05


@pytest.mark.parametrize(
    ("offset", "scale", "dtype", "whole", "warned"),
    mostly_slow(
        [
            *[(2000.0, 10.0, "float32", False, False), (1e8, 5.0, "float32", True, True)],
            *[(*far, "float32", False, True) for far in FAR],
            *[(1.7e9, 50.0, "float64", False, False), (1e6, 5.0, "float32", True, False)],
            (0.0, 1e-3, "float32", False, False),
        ],
        2,
        3,
        several=True,
    ),
)
def test_fit_warns_of_samples_that_will_be_rounded(offset, scale, dtype, whole, warned):
    x = offset + scale * np.random.default_rng(0).normal(size=(200, 1))
    flow = line(dtype=dtype, **({"dequantize": [0]} if whole else {}))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        tff.fit(flow, np.round(x) if whole else x, epochs=1, **QUICK)
    sentences = [str(w.message) for w in found if issubclass(w.category, tff.RoundingWarning)]
    assert len(sentences) == warned
    assert all("column 1" in s and 'dtype="float64"' in s for s in sentences)


def nearly_equal(offset=2000.0, spread=1e-5):
    """Two columns that differ by much less than float32 numbers of their size do, and a third between them."""
    a, b, c = np.random.default_rng(0).normal(size=(3, 1000))
    return np.stack([offset + a, c, offset + a + spread * b], axis=1)


@pytest.mark.parametrize(
    ("offset", "spread", "options", "warned"),
    mostly_slow(
        [
            (2000.0, 1e-5, {}, True),
            (2000.0, 1.0, {}, False),
            (3000.0, 1e-5, {"support": {0: (0.0, None), 2: (0.0, 9000.0)}}, True),
            (2000.0, 1e-5, {"whiten": False}, False),
            (0.0, 1e-2, {}, False),
            (2000.0, 1e-5, {"dtype": "float64"}, False),
        ],
        several=True,
    ),
)
def test_fit_warns_of_differences_that_samples_lose(offset, spread, options, warned):
    """No column is coarse by itself. A flow that does not whiten is blind to them anyway."""
    flow = tff.maf(3, num_layers=1, hidden_units=(4,), seed=0, **options)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        tff.fit(flow, nearly_equal(offset, spread), epochs=1, **QUICK)
    sentences = [str(w.message) for w in found if issubclass(w.category, tff.RoundingWarning)]
    assert len(sentences) == warned
    assert all("column 3 is a linear function of those before it" in s for s in sentences)


def test_rows_in_order_are_not_judged_by_the_first_of_them():
    rng = np.random.default_rng(0)
    x = np.stack([1000 + np.sort(rng.uniform(size=40_000)), rng.normal(size=40_000)], axis=1)
    flow = tff.maf(2, num_layers=1, hidden_units=(4,), seed=0)
    flow.standardize(x)
    assert coarse_detail(flow, x) is None


def test_no_student_of_differences_that_are_lost():
    teacher, student = (f(3, num_layers=1, hidden_units=(4,), seed=0) for f in (tff.maf, tff.iaf))
    teacher.standardize(nearly_equal())
    with pytest.raises(tff.InputError, match="would be rounded: column 3 is a linear function of those before it"):
        tff.distill(teacher, student, epochs=1, steps_per_epoch=2, **QUICK)
    assert student.is_unstandardized


@pytest.mark.slow
def test_a_student_that_ends_far_from_its_teacher_says_so():
    teacher = tff.maf(3, num_layers=1, hidden_units=(4,), seed=0)
    teacher.standardize(nearly_equal(0.0, 1e-3))
    student = tff.iaf(3, num_layers=1, hidden_units=(4,), whiten=False, seed=0)
    with pytest.warns(UserWarning, match=r"nats from its teacher: .* whiten=True"):
        tff.distill(teacher, student, epochs=1, steps_per_epoch=2, **QUICK)


def test_what_is_lost_at_the_bound():
    """The mean log-density that rounding takes from a normal law and from narrow modes."""
    rng, step = np.random.default_rng(0), COARSE
    for width, most in ((1.0, 1e-7), (0.01, 1e-3)):
        x = width * rng.normal(size=1_000_000)
        lost = np.mean((step * np.round(x / step)) ** 2 - x**2) / (2 * width**2)
        assert lost == pytest.approx(step**2 / (24 * width**2), abs=max(most, 2e-4))


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_what_float32_has_no_numbers_for_is_coarse(size):
    assert "column 'a'" in coarse_column(size * np.random.default_rng(0).normal(size=(100, 1)), ["a"])


@pytest.mark.parametrize("name", ["nsf_coupling", "nsf", "maf"])
def test_gradients_of_rows_far_off_are_numbers(name):
    """Where log p is one: bounded outputs of networks have slopes of nothing there, times numbers that are large."""
    flow = tff.make(name, event_size=2, num_layers=1, hidden_units=(8,), seed=0)
    for size in (1e6, 1e12, 1e15, 1e17):
        x = tf.fill([1, 2], size)
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = flow.log_prob(x)
        assert np.isfinite(log_prob).all()
        assert np.isfinite(tape.gradient(log_prob, x)).all()
