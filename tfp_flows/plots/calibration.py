"""Whether probabilities mean what they say: values that should be uniform, with the band that uniform ones stay in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfp_flows.errors import InputError
from tfp_flows.plots.frames import DATA, FLOOR, MODEL
from tfp_flows.plots.names import name_of
from tfp_flows.uniformity import as_uniforms, coverage_of, fractions_of, p_values_of, uniform_band
from tfp_flows.words import plural

__all__ = ["calibration"]

COLOURS = (MODEL, "#E69F00", "#009E73", "#CC79A7", FLOOR, "#56B4E9", DATA, "#F0E442")  # Okabe and Ito's
MOST_CURVES = len(COLOURS)


def calibration(values: Any, *, draws: int | None = None, columns: Sequence[str] | None = None) -> Figure:
    """How far values are from uniform, and how often central intervals hold the truth, each with a 95 % band.

    On the left, for each probability p, is the fraction of values below p, less p: near zero for a model whose law is
    the data's. On the right, for central intervals that should hold p of the truths, is the fraction that they hold.
    Curves of uniform values stay inside the grey band, at all points at once, in 95 of 100 cases. A curve that leaves
    it on the left says that the model's values are too high (above) or too low (below); on the right, that its
    intervals are too wide (above) or too narrow (below). The legend has the p-values of `tff.plots.uniformity`.

    Args:
      values: `[N, P]`, or `[N]` for one column: the PIT of held-out rows, `flow.cdf(y, context=c)` for D = 1; or with
        `draws` the ranks of simulation-based calibration: how many of L draws from the posterior are below the truth.
      draws: L, the largest rank that there can be; None for probabilities.
      columns: P names; by default those that the values have, as a DataFrame does.

    Raises:
      InputError: for values that are not from 0 to 1, or no ranks; for fewer than 20 rows, or more than 8 columns.

    >>> import tfp_flows as tff
    >>> flow = tff.maf(event_size=1, num_layers=2, seed=0)
    >>> tff.plots.calibration(flow.cdf(flow.sample(500, seed=0)))
    <Figure size ... with 2 Axes>

    Source: Säilynoja, Bürkner, Vehtari, Graphical test for discrete uniformity and its applications in goodness-of-fit
    evaluation and multiple sample comparison, arXiv:2103.10522, for the band and for the left panel; Talts et al.,
    Validating Bayesian inference algorithms with simulation-based calibration, arXiv:1804.06788, for ranks.
    """
    uniforms = as_uniforms(values, draws, columns)
    count, curves = uniforms.values.shape
    if curves > MOST_CURVES:
        raise InputError(f"values must have at most {MOST_CURVES} columns, which can be told apart; got {curves}.")
    if draws is not None and draws < 2:
        raise InputError(f"draws must be at least 2, for central intervals; got {draws}.")
    figure = Figure(figsize=(10.5, 5.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    what = "PIT" if draws is None else f"rank of {plural(draws, 'draw')}"
    p_values = p_values_of(uniforms)
    names = [f"{name_of(i, uniforms.names)}, " if uniforms.names or curves > 1 else "" for i in range(curves)]
    labels = [f"{name}p = {_in_digits(p)}" for name, p in zip(names, p_values, strict=True)]
    _curves(left, *fractions_of(uniforms), count, labels, differences=True)
    left.axhline(0.0, color=DATA, lw=0.8)
    left.set(xlabel=f"{what}, as a part of 1" if draws else what, ylabel="fraction below, less the uniform one")
    left.set_title(f"{plural(count, 'value')}{' each' if curves > 1 else ''}: ECDF less that of uniform ones")
    _curves(right, *coverage_of(uniforms), count, labels, differences=False)
    right.plot([0, 1], [0, 1], color=DATA, lw=0.8)
    right.set(xlabel="central interval", ylabel="truths that it holds", ylim=(0, 1), title="Coverage of intervals")
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    right.text(0.04, 0.94, "intervals too wide", transform=right.transAxes, va="top", color=DATA)
    right.text(0.96, 0.06, "intervals too narrow", transform=right.transAxes, ha="right", color=DATA)
    for axis in (left, right):
        axis.set_xlim(0, 1)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=min(5, 1 + curves), frameon=False
    )
    return figure


def _curves(
    axis: Axes, points: np.ndarray, fractions: np.ndarray, count: int, labels: Sequence[str], *, differences: bool
) -> None:
    """The band of uniform values at probabilities `[K]`, and curves of `fractions [K, P]`, from 0 to 1."""
    low, high = uniform_band(count, points)
    less = points if differences else 0.0 * points
    at, ends = np.concatenate([[0.0], points, [1.0]]), ([0.0], [0.0 if differences else 1.0])
    low, high = (np.concatenate([ends[0], edge - less, ends[1]]) for edge in (low, high))
    axis.fill_between(at, low, high, color="#dddddd", lw=0, label="95 % of uniform samples")
    for fraction, label, colour in zip(fractions.T, labels, COLOURS, strict=False):
        axis.plot(at, np.concatenate([ends[0], fraction - less, ends[1]]), color=colour, lw=1.5, label=label)


def _in_digits(p: float) -> str:
    return f"{p:.2f}" if p >= 0.01 else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 0 else "0"
