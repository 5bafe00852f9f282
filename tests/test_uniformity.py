"""p-values and the band of values that should be uniform, against simulations and against SciPy."""

import numpy as np
import pytest
from scipy import stats

import tfp_flows as tff
from tfp_flows.uniformity import Uniforms, as_uniforms, coverage_of, fractions_of, uniform_band

ROWS = 1000


@pytest.mark.parametrize(("draws", "rows"), [(None, 1000), (99, 1000), (7, 500), (30, 200)])
@pytest.mark.parametrize("seed", [0, 1])
def test_p_values_of_uniform_values_are_uniform(draws, rows, seed):
    rng = np.random.default_rng(seed)
    values = rng.random([rows, 400]) if draws is None else rng.integers(0, draws + 1, [rows, 400])
    found = tff.plots.uniformity(values, draws=draws)
    assert found.shape == (400,)
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_p_values_are_those_of_scipy(rng):
    ranks = rng.integers(0, 12, 100)  # 12 ranks in 10 bins, two of which have two
    counts = np.bincount(ranks * 10 // 12, minlength=10)
    shares = np.bincount(np.arange(12) * 10 // 12) / 12
    expected = stats.chisquare(counts, 100 * shares).pvalue
    np.testing.assert_allclose(tff.plots.uniformity(ranks, draws=11), [expected], rtol=1e-6)


@pytest.mark.parametrize("wrong", [lambda z: z + 0.25, lambda z: 1.3 * z, lambda z: z / 1.3], ids=["shift", "+", "-"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_values_that_are_not_uniform_are_found(wrong, seed):
    z = np.random.default_rng(seed).normal(size=ROWS)
    u = stats.norm.cdf(wrong(z))
    assert tff.plots.uniformity(u)[0] < 1e-3
    assert tff.plots.uniformity(np.floor(100 * u), draws=100)[0] < 1e-3
    assert tff.plots.uniformity(stats.norm.cdf(z))[0] > 0.01


def test_a_flow_is_calibrated_on_its_own_samples_alone():
    flow = tff.maf(event_size=1, context_size=1, num_layers=2, hidden_units=(8,), seed=0)
    context = np.random.default_rng(0).normal(size=[ROWS, 1])
    y = flow.sample(context=context, seed=1).numpy()
    assert tff.plots.uniformity(flow.cdf(y, context=context))[0] > 0.01
    assert tff.plots.uniformity(flow.cdf(y + 0.5, context=context))[0] < 1e-3


@pytest.mark.parametrize(("draws", "rows"), [(None, 100), (None, 2000), (19, 300), (6, 40)])
def test_uniform_values_stay_inside_the_band(draws, rows):
    """At all points at once in 95 of 100 cases, for the fraction below and for the coverage."""
    rng = np.random.default_rng(7)
    values = rng.random([rows, 3000]) if draws is None else rng.integers(0, draws + 1, [rows, 3000])
    for curves in (fractions_of, coverage_of):
        points, fractions = curves(Uniforms(values, draws, None))
        low, high = uniform_band(rows, points)
        inside = ((fractions >= low[:, None]) & (fractions <= high[:, None])).all(axis=0).mean()
        assert 0.935 <= inside <= 0.99, curves  # few ranks leave few bands to choose from
        assert (np.diff(points) > 0).all()
        np.testing.assert_allclose(fractions.mean(axis=1), points, atol=5 * 0.5 / np.sqrt(3000 * rows))


def test_the_band_is_of_all_points_at_once():
    points = np.arange(1, 100) / 100
    low, high = uniform_band(ROWS, points)
    assert low[49] < stats.binom.ppf(0.025, ROWS, 0.5) / ROWS
    assert high[49] > stats.binom.ppf(0.975, ROWS, 0.5) / ROWS
    wide, _ = uniform_band(ROWS, points, share=0.999)
    assert wide[49] < low[49]


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.full(30, 1.5), {}, r"values must be probabilities from 0 to 1, or ranks .* got 1\.5 in row 1, column 1"),
        (np.arange(30), {"draws": 28}, r"whole numbers from 0 to 28; got 29 in row 30, column 1"),
        (np.full(30, 0.5), {"draws": 9}, "whole numbers from 0 to 9; got 0.5"),
        (np.full(19, 0.5), {}, "at least 20 rows .* got 19"),
        (np.full(30, np.nan), {}, "values: 30 values are missing or nan"),
        (np.zeros(30), {"draws": 0}, "draws must be an integer of at least 1; got 0"),
        ("ab", {}, "values is a str"),
    ],
)
def test_values_are_probabilities_or_ranks(values, options, message):
    for call in (tff.plots.uniformity, tff.plots.calibration):
        with pytest.raises(tff.InputError, match=message):
            call(values, **options)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.full([30, 9], 0.5), {}, "values must have at most 8 columns, .* got 9"),
        (np.full([30, 2], 0.5), {"columns": ["a"]}, r"columns must be a list of 2 names.*got \['a'\]"),
        (np.full([30, 2], 0.5), {"columns": ["a", "a"]}, "columns has 2 columns named 'a'"),
        (np.full(30, 1), {"draws": 1}, "draws must be at least 2, .* got 1"),
    ],
)
def test_what_a_figure_of_calibration_cannot_show_is_refused(values, options, message):
    with pytest.raises(tff.InputError, match=message):
        tff.plots.calibration(values, **options)


def test_names_of_a_table_are_in_the_legend(rng):
    uniforms = as_uniforms({"mu": rng.random(50), "sigma": rng.random(50)})
    assert uniforms.names == ("mu", "sigma")
    figure = tff.plots.calibration({"mu": rng.random(50), "sigma": rng.random(50)})
    assert [text.get_text().split(",")[0] for text in figure.legends[0].get_texts()][1:] == ["mu", "sigma"]
