"""Data beside samples."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfp_flows.datasets import matched
from tfp_flows.flow import Flow
from tfp_flows.plots.contexts import at_context, context_of_rows
from tfp_flows.plots.frames import (
    DATA,
    MODEL,
    Limits,
    check_figure,
    in_one_period,
    label_axes,
    limits_of,
    panels,
    scatter,
)
from tfp_flows.plots.names import two_of
from tfp_flows.words import plural

__all__ = ["samples"]


def samples(
    flow: Flow,
    x: np.ndarray,
    *,
    context: np.ndarray | None = None,
    columns: Sequence[str | int] | None = None,
    limits: Limits | None = None,
    seed: int = 0,
) -> Figure:
    """Rows of data beside as many samples of the flow: scatter plots of two columns, histograms for D = 1.

    Args:
      flow: the flow; if it knows the names of its columns, the axes are labelled with them.
      x: rows `[N, D]`; of the order of 10,000 look best. Those of circular columns are shown in one period.
      context: that of each row, `[N, C]`: a sample is drawn for each; or one row `[C]`, at which all are drawn.
      columns: which two to show, by names or numbers from 0, of more than two; `corner` shows all of them.
      limits: the frame of both panels; by default that of the data. For D = 1 it is that of x and of the density.
      seed: of the samples.

    Raises:
      InputError: for rows that are not the flow's, a context that does not go with them, limits that are no frame, or
        more than two columns and no word of which.

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, seed=0)
    >>> tff.plots.samples(flow, tff.datasets.banana().sample(100, seed=0))
    <Figure size ... with 2 Axes>
    """
    check_figure(flow, limits)
    shown = two_of(flow, columns)
    x = in_one_period(flow, matched(x, flow.columns, event_size=flow.event_size))
    context = context_of_rows(flow, context, len(x))
    is_one = context is None or context.ndim == 1
    drawn = flow.sample_in_float64(len(x) if is_one else (), seed=seed, context=context).numpy()
    x, drawn = x[:, shown], drawn[:, shown]
    if flow.event_size == 1:
        figure, axes = panels(2, limits=None)
        edges = np.linspace(*(limits or limits_of(x, margin=0.0))[0], 81)
        for axis, rows, colour in ((axes[0], x, DATA), (axes[1], drawn, MODEL)):
            share = np.full(len(rows), 1 / (len(rows) * (edges[1] - edges[0])))  # of all rows, those outside too
            axis.hist(rows[:, 0], bins=edges, weights=share, color=colour)
        height = max(axis.get_ylim()[1] for axis in axes)
        for axis in axes:
            axis.set_ylim(limits[1] if limits else (0.0, height))
    else:
        figure, axes = panels(2, limits=limits or limits_of(x))
        for axis, rows, colour in ((axes[0], x, DATA), (axes[1], drawn, MODEL)):
            scatter(axis, rows, colour)
    label_axes(axes, flow, shown)
    axes[0].set_title(f"{plural(len(x), 'row')} of data")
    title = f"{plural(len(x), 'sample')} of {flow.name}"
    axes[1].set_title(at_context(title, flow, context if is_one else None))
    return figure
