"""Whether numbers that should be uniform are: probability integral transforms, and ranks of simulated truths.

u = cdf(y | c)                       PIT: uniform on [0, 1] where the model's law of y is the data's
r = #{draws of the model < truth}    SBC: uniform on 0, ..., L, of L draws from the posterior of a simulated truth
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.checks import as_list, check_names, check_sizes
from tfp_flows.datasets import as_table
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = ["Uniforms", "as_uniforms", "coverage_of", "fractions_of", "p_values_of", "uniform_band", "uniformity"]

FEWEST = 20  # values: two bins of ten
MOST_BINS = 20
POINTS = 100  # at which curves are compared, at most
SIMULATIONS = 4_000


class Uniforms(NamedTuple):
    """Values `[N, P]` that should be uniform: in [0, 1], or whole numbers from 0 to `draws`; and P names, if known."""

    values: np.ndarray
    draws: int | None
    names: tuple[str, ...] | None


def as_uniforms(values: Any, draws: int | None = None, columns: Sequence[str] | None = None) -> Uniforms:
    """Values `[N, P]`, or `[N]`, checked.

    Raises:
      InputError: for numbers that are not from 0 to 1, or with `draws` no whole numbers from 0 to that; for fewer than
        20 of them; for names that are not P different ones.
    """
    table = as_table(values, name="values")
    rows = table.rows.astype(np.float64)
    if draws is not None:
        check_sizes(draws=draws)
        good, what = (rows >= 0) & (rows <= draws) & (rows == np.floor(rows)), f"ranks, whole numbers from 0 to {draws}"
    else:
        good, what = (rows >= 0) & (rows <= 1), "probabilities from 0 to 1, or ranks with draws=…, the largest there is"
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise InputError(f"values must be {what}; got {rows[row, column]:g} in row {row + 1}, column {column + 1}.")
    if len(rows) < FEWEST:
        raise InputError(f"values must have at least {FEWEST} rows to tell whether they are uniform; got {len(rows)}.")
    names = table.columns
    if columns is not None:
        listed = [columns] if isinstance(columns, str) else as_list(columns)
        if listed is None or len(listed) != rows.shape[1]:
            wanted = plural(rows.shape[1], "name")
            raise InputError(f"columns must be a list of {wanted}, one for each column; got {in_short(columns)}.")
        names = tuple(map(str, listed))
        check_names("columns", names)
    return Uniforms(rows, draws, names)


def uniformity(values: Any, *, draws: int | None = None) -> np.ndarray:
    """The p-value of each column's being uniform, `[P]`, by Pearson's chi-squared test.

    Bins are of equal probability, as far as whole numbers allow: 20 of them, or as many as leave ten values to each, or
    as there are ranks. Under uniformity p is uniform itself: of P columns that all are, the least is below 0.01 / P in
    one case of a hundred.

    Args:
      values: `[N, P]`, or `[N]` for one column: probabilities, such as `flow.cdf(y, context=c)` of held-out rows; or
        ranks, how many of L draws from a posterior are below the truth that its data were simulated from. The draws
        must be independent, and so must the rows.
      draws: L, for ranks; None for probabilities.

    Raises:
      InputError: for values that are neither, or fewer than 20.

    >>> import numpy as np, tfp_flows as tff
    >>> ranks = np.random.default_rng(0).integers(0, 100, size=(1000, 2))  # from 0 to 99
    >>> bool((tff.plots.uniformity(ranks, draws=99) > 0.01).all())
    True
    >>> bool(tff.plots.uniformity(np.random.default_rng(0).beta(2, 2, size=1000))[0] < 1e-3)  # law too broad
    True

    Source: Talts et al., Validating Bayesian inference algorithms with simulation-based calibration, arXiv:1804.06788.
    """
    return p_values_of(as_uniforms(values, draws))


def p_values_of(uniforms: Uniforms) -> np.ndarray:
    """The p-value of each column's being uniform, `[P]`."""
    values, draws, _ = uniforms
    most = MOST_BINS if draws is None else min(MOST_BINS, draws + 1)
    bins = max(2, min(most, len(values) // 10))
    if draws is None:
        places = np.minimum((values * bins).astype(int), bins - 1)
        shares = np.full(bins, 1 / bins)
    else:
        places = (values * bins // (draws + 1)).astype(int)
        shares = np.bincount(np.arange(draws + 1) * bins // (draws + 1), minlength=bins) / (draws + 1)
    counts = np.stack([np.bincount(column, minlength=bins) for column in places.T])
    expected = len(values) * shares
    squared = ((counts - expected) ** 2 / expected).sum(axis=1)
    return tf.math.igammac(tf.constant((bins - 1) / 2, tf.float64), tf.constant(squared / 2, tf.float64)).numpy()


def fractions_of(uniforms: Uniforms) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `[K]`, and the fraction of each column's values that are below the quantiles there, `[K, P]`."""
    values, draws, _ = uniforms
    if draws is None:
        points = np.arange(1, POINTS) / POINTS
        ends = points
    else:
        ends = np.unique(np.linspace(0, draws - 1, min(POINTS, draws)).round())
        points = (ends + 1) / (draws + 1)
    ordered = np.sort(values, axis=0)
    below = [np.searchsorted(column, ends, side="right") for column in ordered.T]
    return points, np.stack(below, axis=1) / len(values)


def coverage_of(uniforms: Uniforms) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `[K]` of central intervals, and the fraction of each column's values inside them, `[K, P]`.

    How far from the middle a uniform value is, is uniform as well; ranks have as many intervals as there are pairs.
    """
    values, draws, names = uniforms
    if draws is None:
        return fractions_of(Uniforms(np.abs(2 * values - 1), None, names))
    outermost = np.unique(np.linspace(1, draws // 2, min(POINTS, draws // 2)).round())[::-1]
    points = (draws + 1 - 2 * outermost) / (draws + 1)
    depth = np.minimum(values, draws - values)
    return points, np.stack([(depth >= at).mean(axis=0) for at in outermost]) if len(points) else depth[:0]


def uniform_band(count: int, points: np.ndarray, share: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Fractions `[K]` between which those of so many uniform values are, at all of the `points [K]` at once.

    At each point the number of values below is binomial. All K intervals leave out the same probability g at either
    end, the largest for which 95 % of simulated samples are inside everywhere; the simulations are the same each time.

    Source: Säilynoja, Bürkner, Vehtari, Graphical test for discrete uniformity and its applications in goodness-of-fit
    evaluation and multiple sample comparison, arXiv:2103.10522, algorithm 1.
    """
    shares = np.diff(np.concatenate([[0.0], points, [1.0]])).clip(0.0)
    draws = np.random.default_rng(0).multinomial(count, shares / shares.sum(), size=SIMULATIONS)
    below = draws.cumsum(axis=1)[:, :-1]
    outside = np.minimum(_binomial_cdf(below, count, points), 1 - _binomial_cdf(below - 1, count, points))
    tail = np.quantile(outside.min(axis=1), 1 - share)
    low = _least(lambda k: _binomial_cdf(k, count, points) >= tail, count, len(points))
    high = _least(lambda k: 1 - _binomial_cdf(k, count, points) < tail, count, len(points))
    return low / count, high / count


def _binomial_cdf(below: np.ndarray, count: int, share: np.ndarray) -> np.ndarray:
    """The probability of at most `below` of so many values, each with its share."""
    k = np.clip(np.floor(below), 0, count - 1).astype(np.float64)
    share = np.broadcast_to(share, k.shape)
    found = tf.math.betainc(*(tf.constant(part, tf.float64) for part in (count - k, k + 1, 1 - share))).numpy()
    return np.where(below < 0, 0.0, np.where(below >= count, 1.0, found))


def _least(is_enough: Any, count: int, size: int) -> np.ndarray:
    """The least of 0, ..., count for which a condition that stays true is true, at each of so many points."""
    low, high = np.zeros(size), np.full(size, float(count))
    while (low < high).any():
        middle = np.floor((low + high) / 2)
        enough = is_enough(middle)
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    return low
