"""The laws of `tff.check`: good flows keep them, and each way of being wrong is caught by the law that it breaks."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import PLANES, make_small, scramble
from scipy import stats

import tfp_flows as tff
from tfp_flows import laws
from tfp_flows.energy import energy_test
from tfp_flows.integral import integral_of

tfb = tfp.bijectors
LAWS = ["round trip", "log-det", "density", "integral", "entropy", "calibration", "two-sample"]
LOG_105 = float(np.log(1.05))


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr("tfp_flows.integral.ROUNDS", 2)
    monkeypatch.setattr(laws, "CONTEXTS", 1)


class Half(tfb.Bijector):
    """x = u / 2 + wrong, whose log-det is off by another wrong."""

    def __init__(self, inverse=0.0, log_det=0.0, past=-np.inf):
        super().__init__(forward_min_event_ndims=1, dtype=tf.float32, name="half")
        self.wrong_inverse, self.wrong_log_det, self.past = inverse, log_det, past

    def _forward(self, u):
        return 0.5 * u

    def _inverse(self, x):
        return 2.0 * x + tf.where(x > self.past, self.wrong_inverse, 0.0)

    def _inverse_log_det_jacobian(self, x):
        return tf.cast(x.shape[-1] * np.log(2.0) + self.wrong_log_det, x.dtype)


class Heavy(tff.bases.Gaussian):
    """A base whose density comes to 1.05."""

    def _log_prob(self, x):
        return super()._log_prob(x) + LOG_105


class Scaled(tff.Flow):
    """A flow whose `log_prob` is not that of its parts."""

    def _log_density(self, x, **kwargs):
        return super()._log_density(x, **kwargs) + LOG_105


def rows_of(flow, n=1000, seed=9, **given):
    return flow.sample_in_float64(n, seed=seed, **given).numpy()


def half(**wrong):
    return tff.Flow([Half(**wrong)], event_size=2)


BROKEN = {
    "log-det": (lambda: half(log_det=0.05), {"log-det", "integral"}),
    "inverse": (lambda: half(inverse=0.05), {"round trip"}),
    "inverse of some rows": (lambda: half(inverse=0.02, past=0.5), {"round trip"}),
    "density": (lambda: Scaled([Half()], event_size=2), {"density", "integral"}),
    "base": (lambda: tff.Flow([Half()], event_size=2, base=Heavy(loc=np.zeros(2, "float32"))), {"integral"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_caught_by_its_law(name):
    make, expected = BROKEN[name]
    report = tff.check(make())
    assert set(report.failed) == expected
    assert not report.holds
    assert not report.is_density
    assert [law.name for law in report.laws] == LAWS


def test_a_good_flow_keeps_the_laws_and_says_what_was_not_tried():
    report = tff.check(half())
    assert report.holds
    assert report.is_density
    assert [law.name for law in report.laws if law.holds is None] == ["entropy", "calibration", "two-sample"]
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["holds"] * 4
    assert lines[5].endswith("there are no rows")
    assert report["integral"].measured == pytest.approx(1.0, abs=0.02)
    with pytest.raises(KeyError):
        report["taste"]


def test_a_density_below_the_entropy_is_caught():
    data = tff.datasets.gaussian()
    for base, failed in (("normal", set()), (Heavy(loc=np.zeros(2, "float32")), {"integral", "entropy"})):
        flow = tff.Flow([tff.bijectors.Standardize(2, whiten=True)], event_size=2, base=base)
        flow.standardize(data.sample(100_000, seed=1))
        report = tff.check(flow, dataset=data)
        assert set(report.failed) == failed
        assert report["entropy"].measured == pytest.approx(-LOG_105 if failed else 0.0, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_flow_of_other_rows_is_a_density_that_does_not_fit(seed):
    flow, rng = half(), np.random.default_rng(seed)
    for rows in (0.5 * rng.normal(size=(1000, 2)) + 0.25, 0.3 * rng.normal(size=(1000, 2))):
        report = tff.check(flow, rows, seed=seed)
        assert report.failed == ("calibration", "two-sample")
        assert report.is_density
    turned = 0.5 * rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 1000)  # each column by itself is right
    assert tff.check(flow, turned, seed=seed).failed == ("two-sample",)
    assert tff.check(flow, 0.5 * rng.normal(size=(1000, 2)), seed=seed).holds


@pytest.mark.slow
def test_a_context_that_is_another_rows_is_caught():
    flow = scramble(make_small("maf", 2, context_size=1), scale=0.5)
    context = np.random.default_rng(0).normal(size=(1000, 1))
    rows = rows_of(flow, (), context=context)
    assert tff.check(flow, rows, context=context).holds
    report = tff.check(flow, rows, context=np.roll(context, 1, axis=0))
    assert "two-sample" in report.failed
    assert report.is_density


@pytest.mark.parametrize("name", PLANES)
def test_chains_keep_the_laws_on_their_own_samples(name):
    flow = scramble(make_small(name, 2))
    report = tff.check(flow, rows_of(flow))
    assert report.holds, report
    assert report["integral"].holds is not None, report


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"support": {0: (0.0, None), 1: (0.0, 1.0)}},
        {"circular": {1: (-180.0, 180.0)}},
        {"dequantize": [0]},
        {"base": "student_t"},
        {"base": "mixture", "dtype": "float64"},
        {"context_size": 2},
    ],
    ids=str,
)
def test_columns_bases_and_contexts_keep_the_laws(options, rng):
    flow = make_small("nsf", 2, **options)
    if "circular" not in options:
        flow = scramble(flow)
    context = rng.normal(size=(1000, 2)) if "context_size" in options else None
    report = tff.check(flow, rows_of(flow, () if context is not None else 1000, context=context), context=context)
    assert report.holds, report
    untried = {law.name for law in report.laws if law.holds is None}
    assert untried == {"entropy"} | ({"calibration"} if "dequantize" in options else set())
    assert ("whole numbers" in [law.name for law in report.laws]) == ("dequantize" in options)


def test_whole_numbers_whose_sum_is_above_one_are_caught():
    class Generous(tff.Flow):
        def _log_prob(self, x, **kwargs):
            return super()._log_prob(x, **kwargs) + (0.2 if self.dequantize else 0.0)

    flow = Generous([tfb.Scale(8.0)], event_size=2, dequantize=[0])
    assert tff.check(flow).failed == ("whole numbers",)


def test_laws_that_are_too_large_are_said_not_to_be_tried(monkeypatch):
    monkeypatch.setattr(laws, "MOST_COLUMNS", 3)
    flow = make_small("maf", 4)
    report = tff.check(flow, rows_of(flow, 15))
    assert {law.name: law.text for law in report.laws if law.holds is None} == {
        "log-det": "its Jacobian is taken of up to 3 columns, and there are 4",
        "integral": "taken over up to 3 columns, and there are 4",
        "entropy": "the rows' own law is not known",
        "calibration": "it takes 20 rows, and there are 15",
        "two-sample": "it takes 20 rows, and there are 15",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flow": 3}, r"^flow must be a tff\.Flow; got 3\.$"),
        ({"x": np.ones([30, 3])}, r"^x has 3 columns; expected 2\.$"),
        ({"context": np.ones([30, 1])}, r"^context was given, but this flow was built without"),
        ({"dataset": "siggraph"}, r"^dataset must be one of tff\.datasets; got 'siggraph'\.$"),
        ({"seed": -1}, r"^seed must be an integer from 0 to"),
        ({"flow": "conditional"}, r"^context must be rows of 1 column, as maf needs them; got none\.$"),
        (
            {"flow": "conditional", "x": np.ones([30, 2]), "context": np.ones([20, 1])},
            r"^context must have a row for each of the 30 rows of x; got 20\.$",
        ),
        (
            {"flow": "conditional", "context": np.ones([20, 1]), "dataset": tff.datasets.gaussian()},
            r"^dataset must be left out for a flow with a context",
        ),
        ({"flow": "of three", "dataset": tff.datasets.gaussian()}, r"^dataset must be of 3 columns; gaussian has 2\.$"),
    ],
)
def test_bad_arguments_are_one_sentence(given, message):
    flows = {"conditional": lambda: make_small("maf", 2, context_size=1), "of three": lambda: make_small("maf", 3)}
    flow = given.get("flow", "half")
    given = {name: value for name, value in given.items() if name != "flow"}
    with pytest.raises(tff.InputError, match=message):
        tff.check(half() if flow == "half" else flows[flow]() if isinstance(flow, str) else flow, **given)


@pytest.mark.parametrize("size", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_integrals_are_within_their_errors(size):
    def scaled_normal(factor, x):
        return np.reshape(stats.multivariate_normal(np.zeros(size)).logpdf(x), -1) + np.log(factor)

    off = []
    for seed in range(5):
        centres = 1.4 * np.random.default_rng(seed).normal(size=(300, size))
        steps = 0.2 * np.eye(size)
        secants = centres[:, None] - steps, centres[:, None] + steps
        for factor in (1.0, 3.0):
            log_prob = functools.partial(scaled_normal, factor)
            found = integral_of(log_prob, centres, secants, seed=seed)
            off.append((found.value - factor) / found.error)
            assert found.error < 0.01 * factor
            assert found.pareto_k < 0.5
    assert abs(np.array(off)).max() < 4
    assert abs(np.mean(off)) < 1


def test_integral_of_columns_with_ends_and_on_a_circle():
    laws = stats.gamma(2.0), stats.beta(0.6, 2.0), stats.vonmises(2.0, loc=3.0)
    rng = np.random.default_rng(0)
    centres = np.stack([law.rvs(400, random_state=rng) for law in laws], axis=1)
    centres[:, 2] %= 2 * np.pi
    steps = np.array([0.2, 0.0, 0.4]) * np.eye(3)
    ahead, behind = (np.clip(centres[:, None] + s * steps, 1e-3, None) for s in (1, -1))
    ahead[:, 1, 1] = 1.0 - 0.8 * (1.0 - centres[:, 1])
    found = integral_of(
        lambda x: sum(law.logpdf(column) for law, column in zip(laws, x.T, strict=True)),
        centres,
        (behind, ahead),
        support=(np.array([0.0, 0.0, -np.inf]), np.array([np.inf, 1.0, np.inf])),
        circular={2: (0.0, 2 * np.pi)},
    )
    assert abs(found.value - 1) < 4 * found.error
    assert found.error < 0.02


@pytest.mark.parametrize("paired", [False, True])
def test_p_values_of_one_law_are_uniform_and_of_two_are_small(paired, monkeypatch):
    monkeypatch.setattr("tfp_flows.energy.PERMUTATIONS", 199)
    rng = np.random.default_rng(0)
    found = [energy_test(*rng.normal(size=(2, 40, 2)), paired=paired, seed=i).p_value for i in range(200)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    x, y = rng.normal(size=(2, 200, 2))
    assert energy_test(x, 1.5 * y, paired=paired).p_value == 1 / 200  # none of 199
    distances = [np.linalg.norm(a[:, None] - b, axis=-1).mean() for a, b in ((x, y), (x, x), (y, y))]
    assert energy_test(x, y).distance == pytest.approx(2 * distances[0] - distances[1] - distances[2], abs=1e-5)
