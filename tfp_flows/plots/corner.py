"""Every column against every other: what a flow of many columns has learnt, on one page."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from tfp_flows.checks import check_seed, check_sizes
from tfp_flows.datasets import as_table, matched
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.plots.contexts import context_of_rows, given_text
from tfp_flows.plots.frames import DATA, MODEL, check_figure, in_one_period
from tfp_flows.plots.mass import Side, levels_of, mass_of, side_of, spread
from tfp_flows.plots.names import columns_text, name_of, picked, shortened
from tfp_flows.words import in_short, plural

__all__ = ["MOST_COLUMNS", "corner"]

MOST_COLUMNS = 10  # panels of more are too small to read
SAMPLES = 20_000
SHARES = (0.9, 0.5)
FILLS = ("#d9d9d9", "#a8a8a8")  # of the data's 90 % and 50 %
PALE = ("#d6e6f2", "#9cc4df")  # of the model's, where it is alone
MOST_DOTS = 1_500


def corner(
    flow: Flow,
    x: Any = None,
    *,
    context: Any = None,
    n: int | None = None,
    columns: Sequence[str | int] | None = None,
    limits: Mapping[str | int, tuple[float, float]] | Sequence[tuple[float, float]] | None = None,
    seed: int = 0,
) -> Figure:
    """Every column, and every pair of columns, of samples of the flow, over those of rows of data where there are some.

    On the diagonal are the marginal densities: of the data as a histogram in grey, of the samples as a line in blue.
    Below it are pairs of columns: the areas that hold 50 % and 90 % of the rows' mass in greys, with dots for rows
    outside, and lines around the areas that hold as much of the samples'. A flow that fits has lines at the greys'
    edges. Both are counted on the same grid and smoothed alike, by a Gaussian three quarters as wide as Scott's rule.

    Frames are the same for both. They hold nearly all of the data; a circular column has one period, a column with a
    support that is near begins and ends with it, and whole numbers (`dequantize`) have bins of one, up to 60 of them.

    Args:
      flow: the flow; if it knows the names of its columns, the axes are labelled with them.
      x: rows `[N, D]`; None for samples alone.
      context: one row `[C]`, at which all samples are drawn; or `[N, C]`, the context of each row of x: a sample is
        drawn for each.
      n: how many samples; None for 20,000, or as many as there are rows of context, beside which n is left out.
      columns: which to show, by names or numbers from 0, in their order; at most 10 fit on a page.
      limits: `(low, high)` of each column that is shown, in a list; or of some, by names or numbers, in a dictionary.
      seed: of the samples.

    Raises:
      InputError: for more than 10 columns, rows that are not the flow's, a context that does not go with them, limits
        that are none.

    >>> import tfp_flows as tff
    >>> flow = tff.maf(event_size=3, num_layers=2, hidden_units=(8,), seed=0)
    >>> tff.plots.corner(flow, n=200)
    <Figure size ... with 6 Axes>
    """
    check_figure(flow)
    check_seed(seed)
    names = flow.columns or (None if x is None else as_table(x).columns)
    shown = picked(flow, columns, names)
    if len(shown) > MOST_COLUMNS:
        raise InputError(
            f"columns must be at most {MOST_COLUMNS} of the {flow.event_size}, as in columns=[0, 1, 2]; "
            f"got {in_short(columns)}, which is {len(shown)}."
        )
    given = _limits(limits, shown, names, flow.event_size)
    rows = None if x is None else in_one_period(flow, matched(x, flow.columns, event_size=flow.event_size))
    context = context_of_rows(flow, context, None if rows is None else len(rows))
    drawn = _samples(flow, context, n, seed)
    parts = [drawn[:, shown]] if rows is None else [rows[:, shown].astype(np.float64), drawn[:, shown]]
    known, fewest = parts[0][np.isfinite(parts[0]).all(axis=1)], min(map(len, parts))
    if not len(known):
        raise InputError(f"flow must have samples that are finite; those of {flow.name} are not.")
    sides = [side_of(flow, i, known[:, k], given.get(i), fewest) for k, i in enumerate(shown)]
    spreads = [spread(side, known[:, k], fewest) for k, side in enumerate(sides)]
    figure, axes = _panels(sides)
    for (i, j), axis in axes.items():
        if i == j:
            _marginal(axis, [part[:, i] for part in parts], sides[i])
        else:
            _joint(axis, [part[:, [j, i]] for part in parts], (sides[j], sides[i]), (spreads[j], spreads[i]))
    letters = max(13, 64 // len(shown))  # of a line
    _label(axes, ["\n".join(_lines(name_of(i, names, 2 * letters), letters)) for i in shown], sides)
    _legend(figure, flow, context, parts, columns_text(flow, shown))
    return figure


def _samples(flow: Flow, context: np.ndarray | None, n: int | None, seed: int) -> np.ndarray:
    """Samples `[n, D]`: so many at one context, or without; or one for each row of context."""
    if context is None or context.ndim == 1:
        n = SAMPLES if n is None else n
        check_sizes(n=n)
        return flow.sample_in_float64(n, seed=seed, context=context).numpy()
    if n is not None:
        raise InputError(f"n must be left out beside rows of context, each of which has a sample; got {in_short(n)}.")
    return flow.sample_in_float64((), seed=seed, context=context).numpy()


def _limits(
    limits: Any, shown: Sequence[int], names: Sequence[str] | None, event_size: int
) -> dict[int, tuple[float, float]]:
    """The frames that were asked for, by the numbers of their columns."""
    if limits is None:
        return {}
    if isinstance(limits, Mapping):
        known = {name: i for i, name in enumerate(names or ())} | {i: i for i in range(event_size)}
        pairs = [(known.get(key), pair) for key, pair in limits.items()]
    else:
        is_list = isinstance(limits, (list, tuple, np.ndarray)) and len(limits) == len(shown)
        pairs = list(zip(shown, limits, strict=True)) if is_list else [(None, None)]
    found = {column: _as_pair(pair) for column, pair in pairs}
    if not all(column in shown and pair for column, pair in found.items()):
        raise InputError(
            f"limits must be (low, high), finite and in order, for each of the {len(shown)} columns shown, or for "
            f"some of them by name or number in a dictionary; got {in_short(limits)}."
        )
    return {column: pair for column, pair in found.items() if column is not None and pair}


def _as_pair(pair: Any) -> tuple[float, float] | None:
    """The ends of a frame; None for what is none."""
    try:
        low, high = (float(end) for end in pair)
    except (TypeError, ValueError):
        return None
    return (low, high) if -np.inf < low < high < np.inf else None


def _panels(sides: Sequence[Side]) -> tuple[Figure, dict[tuple[int, int], Axes]]:
    """A page, with a panel for each pair of columns on the diagonal and below it."""
    count = len(sides)
    width = {1: 5.0, 2: 6.5, 3: 8.0, 4: 9.0}.get(count, 5.0 + 1.1 * count)
    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0.0, hspace=0.0, rect=(0.01, 0.01, 0.98, 0.98))
    figure = Figure(figsize=(width, width), layout=layout)
    grid = figure.add_gridspec(count, count)
    axes = {(i, j): figure.add_subplot(grid[i, j]) for i in range(count) for j in range(i + 1)}
    for (i, j), axis in axes.items():
        axis.set_xlim(sides[j].frame)
        if i != j:
            axis.set_ylim(sides[i].frame)
        axis.spines[:].set(color="#666666", linewidth=0.7)
    return figure, axes


def _marginal(axis: Axes, parts: Sequence[np.ndarray], side: Side) -> None:
    """Densities of one column: of the data filled, of the samples as a line."""
    heights = [np.histogram(part, side.bins)[0] / (len(part) * np.diff(side.bins)) for part in parts]
    fills = [FILLS[0], None] if len(parts) == 2 else [PALE[0]]
    for height, fill, colour in zip(heights, fills, [DATA, MODEL][-len(parts) :], strict=True):
        if fill:
            axis.stairs(height, side.bins, fill=True, color=fill)
        axis.stairs(height, side.bins, color=colour, lw=1.5 if colour == MODEL else 0.7)
    axis.set_ylim(0.0, 1.12 * max(height.max() for height in heights) or 1.0)


def _joint(
    axis: Axes, parts: Sequence[np.ndarray], sides: tuple[Side, Side], spreads: tuple[np.ndarray, np.ndarray]
) -> None:
    """Areas that hold shares of the data's mass, the rows outside as dots, and lines around those of the samples'."""
    for part, is_data in zip(parts, [True, False][-len(parts) :], strict=True):
        mass = mass_of(part, sides, spreads)
        levels = levels_of(mass, SHARES)
        u, v, heights = _to_the_frame(mass, sides)
        rising = sorted({level for level in levels if 0 < level < heights.max()})
        if not rising:
            continue
        if is_data or len(parts) == 1:
            fills = (FILLS if is_data else PALE)[-len(rising) :]
            axis.contourf(u, v, heights.T, [*rising, np.inf], colors=fills)
        if is_data:
            _dots(axis, part, mass < rising[0], sides)
        else:
            axis.contour(u, v, heights.T, rising, colors=MODEL, linewidths=[1.0, 1.5][-len(rising) :])


def _to_the_frame(mass: np.ndarray, sides: tuple[Side, Side]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Densities at points along both sides, from end to end of the frame: a whole number has its own as a step."""
    middles = []
    for k, side in enumerate(sides):
        width = side.cells[1] - side.cells[0]
        if side.steps:  # both ends of each step, close together
            at = np.sort(np.concatenate([side.cells[:-1] + 1e-3 * width, side.cells[1:] - 1e-3 * width]))
            mass = np.repeat(mass, 2, axis=k)
        else:
            at = (side.cells[1:] + side.cells[:-1]) / 2
        mass = np.pad(mass, [(1, 1) if k == j else (0, 0) for j in range(2)], "wrap" if side.comes_round else "edge")
        middles.append(np.concatenate([[side.frame[0]], at, [side.frame[1]]]))
    return *middles, mass


def _dots(axis: Axes, x: np.ndarray, is_outside: np.ndarray, sides: tuple[Side, Side]) -> None:
    """Some of the rows `[N, 2]` in cells that are outside the areas."""
    cell = [np.searchsorted(side.cells, x[:, k], side="right") - 1 for k, side in enumerate(sides)]
    inside = np.all([(at >= 0) & (at < len(side.cells) - 1) for at, side in zip(cell, sides, strict=True)], axis=0)
    u, v = (at[inside] for at in cell)
    dots = x[inside][is_outside[u, v]][:MOST_DOTS]
    axis.scatter(*dots.T, s=1.5, c=DATA, linewidths=0, alpha=0.5, rasterized=True, zorder=1)


def _label(axes: dict[tuple[int, int], Axes], names: Sequence[str], sides: Sequence[Side]) -> None:
    """Names and numbers at the left and at the bottom."""
    last = len(names) - 1
    for (i, j), axis in axes.items():
        axis.tick_params(labelsize=8, length=2.5, color="#666666", labelbottom=i == last, labelleft=j == 0 and i > 0)
        _numbers(axis.xaxis, sides[j], names[j] if i == last else "")
        axis.tick_params(axis="x", rotation=45)
        if i == j:
            axis.set_yticks([])
        else:
            _numbers(axis.yaxis, sides[i], names[i] if j == 0 else "")
    axes[0, 0].figure.align_labels()


def _lines(name: str, letters: int) -> list[str]:
    """A name in two lines, where it is long."""
    first, *more = textwrap.wrap(name, letters, break_on_hyphens=False) or [""]
    return [first, shortened(" ".join(more), letters)] if more else [first]


def _numbers(axis: Any, side: Side, name: str) -> None:
    """Few ticks, and the name, with what all their numbers leave out, as a power of ten."""
    axis.set_major_locator(MaxNLocator(4, integer=side.steps, steps=[1, 2, 3, 5, 6, 10]))
    axis.set_major_formatter(ScalarFormatter(useMathText=True))
    axis.get_major_formatter().format_ticks(axis.get_majorticklocs())
    offset = axis.get_major_formatter().get_offset()
    axis.get_offset_text().set_visible(False)
    axis.set_label_text(f"{name}\n{offset}" if name and offset else name, fontsize=10)


def _legend(figure: Figure, flow: Flow, context: np.ndarray | None, parts: Sequence[np.ndarray], columns: str) -> None:
    """What is what, in the empty corner; above the panel where there is but one."""
    title = [columns]
    if context is not None:
        at = given_text(flow, context) if context.ndim == 1 else "the context of each row"
        title.append(f"samples at {at}")
    of_samples = f"{plural(len(parts[-1]), 'sample')} of {flow.name}"
    fills = FILLS if len(parts) == 2 else PALE
    handles: list[Any] = [Line2D([], [], color=MODEL, lw=1.5, label=of_samples)]
    if len(parts) == 2:
        rows = f"{plural(len(parts[0]), 'row')} of data"
        handles.insert(0, Patch(facecolor=FILLS[0], edgecolor=DATA, lw=0.7, label=rows))
    count = parts[0].shape[1]
    for fill, share, width in zip(fills, SHARES, (1.0, 1.5), strict=True) if count > 1 else ():
        handles.append(Patch(facecolor=fill, edgecolor=MODEL, lw=width, label=f"{100 * share:.0f} % of the mass"))
    place = {"loc": "outside upper center"} if count == 1 else {"loc": "upper right", "bbox_to_anchor": (0.99, 0.99)}
    figure.legend(
        handles=handles,
        title="\n".join(filter(None, title)) or None,
        frameon=False,
        fontsize=min(14, 7.5 + count),
        title_fontsize=min(14, 7.5 + count),
        alignment="left",
        **place,
    )
