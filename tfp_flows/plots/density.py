"""The density over the plane: its picture, its integral, and where it differs from the truth."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfp_flows.bijectors.rows import check_batches
from tfp_flows.datasets import Dataset
from tfp_flows.door import exact, with_last
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.plots.contexts import as_row, check_unconditional, law_text, one_context
from tfp_flows.plots.frames import Limits, aspect_of, check_figure, colour_bar, label_axes, one_period, panels, wider
from tfp_flows.words import in_short

__all__ = ["density", "gap_map", "integral", "log_prob_of"]

CHUNK = 5_000  # rows that a density is evaluated at together


def log_prob_of(flow: Flow, x: np.ndarray, context: np.ndarray | None = None) -> np.ndarray:
    """`flow.log_prob(x, context=context)` of many rows `[N, D]`, piece by piece, as an array `[N]`.

    The context is one row `[C]` for all of them, or `[N, C]`, one for each.
    """
    check_figure(flow)
    x = with_last(exact(x, flow.columns, "x", flow.event_size), flow.event_size, "x").numpy()
    if x.ndim != 2:
        raise InputError(f"x must be rows [N, {flow.event_size}]; got shape {list(x.shape)}.")
    if not len(x):
        return np.zeros(0, flow.dtype.as_numpy_dtype)
    # float64 keeps its digits; rows of float32 are cast too, so that a flow is traced once for all that is asked of it
    x = x.astype(np.float64 if flow.takes_float64 else np.promote_types(x.dtype, flow.dtype.as_numpy_dtype))
    tables = [x] if context is None else [x, _of_each_row(flow, context, len(x))]
    size = min(CHUNK, len(x))
    log_prob = _compiled(flow)
    pieces = [
        np.concatenate([t, np.repeat(t[-1:], -len(t) % size, axis=0)]).reshape(-1, size, t.shape[1]) for t in tables
    ]
    found = [log_prob(*map(tf.constant, piece)).numpy() for piece in zip(*pieces, strict=True)]
    return np.concatenate(found)[: len(x)]


def _of_each_row(flow: Flow, context: Any, count: int) -> np.ndarray:
    """The context of each of the rows, `[N, C]`, of so many, or of one for all."""
    if not flow.context_size:
        raise InputError(f"context was given, but {flow.name} was built without; build it with context_size=….")
    size = flow.context_size
    context = with_last(exact(as_row(context), flow.context_columns, "context", size), size, "context")
    check_batches(tf.TensorShape([count, flow.event_size]), context.shape)
    return np.broadcast_to(context.numpy(), [count, size])


@functools.lru_cache(maxsize=2)
def _compiled(flow: Flow) -> tf.types.experimental.PolymorphicFunction:
    """The flow's `log_prob` as a graph: kept for the last flow, whose figures all need it.

    XLA would take longer to compile than it saves in all of them: benchmarks/xla.py.
    """

    # without autograph, which wraps an InputError in an error of its own
    def log_prob(x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return flow.log_prob(x, context=context)

    return tf.function(log_prob, autograph=False)


def integral(flow: Flow, limits: Limits, resolution: int = 500, *, context: np.ndarray | None = None) -> float:
    """The flow's mass in a box of the plane, by the midpoint rule: 1.00 for a box that holds all of it.

    That of a conditional flow is at one context `[C]`, and is 1.00 at each.

    Raises:
      InputError: if the flow is not one of two dimensions, or the context is not one row.

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, seed=0)
    >>> round(tff.plots.integral(flow, ((-8, 8), (-8, 8)), resolution=200), 2)
    1.0
    """
    check_figure(flow, limits, resolution=resolution)
    cell, log_prob, _ = _on_grid(flow, limits, (resolution, resolution), one_context(flow, context))
    return float(np.exp(log_prob).sum() * cell)


def density(flow: Flow, *, limits: Limits, context: np.ndarray | None = None, resolution: int = 400) -> Figure:
    """The flow's density over the plane, on a log scale, with its integral in the title; of whole numbers, with noise.

    Of a conditional flow it is that at one context `[C]`, which the title names.

    The picture shows `limits`, in `resolution^2` cells; the integral is taken over a box twice as wide and high, around
    it, in as many. Of a circular column both have one period.

    Raises:
      InputError: if the flow is not one of two dimensions, or the context is not one row.

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, seed=0)
    >>> tff.plots.density(flow, limits=((-3, 3), (-3, 3)), resolution=50)
    <Figure size ... with 2 Axes>
    """
    check_figure(flow, limits, resolution=resolution)
    context = one_context(flow, context)
    limits, box = one_period(flow, limits), one_period(flow, wider(limits, 2.0))
    cell, log_prob, _ = _on_grid(flow, limits, _cells_of(limits, resolution), context)
    total = float(np.exp(log_prob).sum() * cell) + _mass_around(flow, box, resolution, context)
    figure, (axis,) = panels(1, limits=limits, bar=True)
    top = _top(log_prob)
    image = axis.imshow(
        log_prob.T,
        origin="lower",
        extent=(*limits[0], *limits[1]),
        vmin=top - 6.0,
        vmax=top,
        cmap="cividis",
        aspect=aspect_of(limits),
    )
    colour_bar(image, axis, limits, "log p(x), nats" if context is None else "log p(x | c), nats")
    label_axes([axis], flow)
    name = "Density" if context is None else f"{law_text(flow, context)}\nDensity"
    axis.set_title(f"{name} of {flow.name}; its integral over twice this frame is {total:.2f}")
    return figure


def gap_map(flow: Flow, law: Dataset, *, limits: Limits | None = None, resolution: int = 400) -> Figure:
    """Where the model is wrong: `log p_model(x) - log p_true(x)`, nats, for a law that is known exactly.

    Blue where the model has too little density, red where too much, white where it is right, each within the colours'
    range of two nats; pale where neither has any to speak of. Where the law has no density at all, the model's is
    shown in greys, and the title says what share of the model's mass lies there.

    Args:
      flow: a flow of two dimensions, without context, as the laws of `tff.datasets` have none.
      law: one of `tff.datasets`.
      limits: the frame; by default the law's.
      resolution: the square root of the number of cells, which are squares.

    Raises:
      InputError: for another flow, or another law.

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, seed=0)
    >>> tff.plots.gap_map(flow, tff.datasets.gaussian(), resolution=40)
    <Figure size ... with 2 Axes>
    """
    check_figure(flow, limits, resolution=resolution)
    if not isinstance(law, Dataset) or law.event_size != 2:
        raise InputError(f"law must be a dataset of tff.datasets, of two dimensions; got {in_short(law)}.")
    check_unconditional(flow, f"the law of {law.name} has none")
    limits = limits or law.limits
    cell, model, grid = _on_grid(flow, limits, _cells_of(limits, resolution))
    truth = law.log_prob(grid.reshape(-1, 2)).reshape(model.shape)
    inside = np.isfinite(truth)
    figure, (axis,) = panels(1, limits=limits, bar=True)
    extent = {"origin": "lower", "extent": (*limits[0], *limits[1]), "aspect": aspect_of(limits)}
    top = max(_top(truth), _top(model))
    relevance = ((np.maximum(model, np.where(inside, truth, -np.inf)) - top + 9.0) / 3.0).clip(0.0, 1.0)
    gap = np.where(inside, model - np.where(inside, truth, 0.0), 0.0)
    image = axis.imshow(gap.T, cmap="RdBu_r", vmin=-2.0, vmax=2.0, alpha=(relevance * inside).T, **extent)
    title = f"log p of {flow.name} less log p of {law.name}"
    if not inside.all():
        outside = np.exp(model) * ~inside
        share = 1.0 - float((np.exp(model) * inside).sum() * cell)  # beyond the frame as well
        shade = np.zeros((*model.T.shape, 4))
        shade[..., 3] = (0.75 * outside / np.exp(top)).clip(0.0, 0.75).T
        axis.imshow(shade, **extent)
        title += f"\n{100 * share:.1f} % of the model's mass lies outside (grey)"
    colour_bar(image, axis, limits, "log p(model) - log p(true), nats")
    axis.set_title(title)
    return figure


def _top(log_prob: np.ndarray) -> float:
    """The highest log-density of a picture: a few cells far above the rest would leave it grey, or none has any."""
    found = log_prob[np.isfinite(log_prob)]
    return float(np.quantile(found, 0.999)) if len(found) else 0.0


def _mass_around(flow: Flow, box: Limits, resolution: int, context: np.ndarray | None) -> float:
    """The integral over a box without its middle, which is half as wide and high, but for circular columns."""
    quarters = [-(-count // 4) for count in _cells_of(box, resolution)]
    cell, grid = _grid(box, [4 * quarter for quarter in quarters])
    around = np.ones(grid.shape[:2], bool)
    parts = enumerate(quarters)
    around[tuple(slice(None) if side in flow.circular else slice(part, 3 * part) for side, part in parts)] = False
    return float(np.exp(log_prob_of(flow.continuous, grid[around], context)).sum() * cell)


def _cells_of(limits: Limits, resolution: int) -> tuple[int, int]:
    """Numbers of cells along both sides of a frame: `resolution^2` in all, and squares where its units are equal."""
    if aspect_of(limits) != "equal":
        return resolution, resolution
    width, height = (b - a for a, b in limits)
    stretch = float(np.sqrt(width / height))
    return max(1, round(resolution * stretch)), max(1, round(resolution / stretch))


def _on_grid(
    flow: Flow, limits: Limits, cells: Sequence[int], context: np.ndarray | None = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """The area of a grid's cell, the flow's log-density at the cells' midpoints `[M, N]`, and these `[M, N, 2]`."""
    if flow.event_size != 2:
        more = "; tff.plots.corner shows more columns" if flow.event_size > 2 else ""
        raise InputError(f"a density over the plane needs event_size=2; got {flow.event_size}{more}.")
    cell, grid = _grid(limits, cells)
    values = log_prob_of(flow.continuous, grid.reshape(-1, 2), context)
    return cell, values.reshape(grid.shape[:2]), grid


def _grid(limits: Limits, cells: Sequence[int]) -> tuple[float, np.ndarray]:
    """The area of a grid's cell, and the cells' midpoints `[M, N, 2]`."""
    sides = [np.linspace(a, b, count + 1) for (a, b), count in zip(limits, cells, strict=True)]
    middles = [(side[1:] + side[:-1]) / 2 for side in sides]
    cell = float(np.prod([side[1] - side[0] for side in sides]))
    return cell, np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
