"""The flow from latent to data: layer by layer, and as what it does to a grid."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tfp_flows.bijectors import Circle, Power, Rotate, Standardize, Support
from tfp_flows.checks import check_positive
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.plots.contexts import at_context, keywords_of, one_context
from tfp_flows.plots.frames import (
    Limits,
    aspect_of,
    check_figure,
    height_of,
    label_axes,
    limits_of,
    quadrant_colours,
    scatter,
    square_around,
)
from tfp_flows.plots.names import columns_text, two_of

__all__ = ["data_title", "forward", "grid_warp", "latent_draws", "layers", "of_plane", "path_of"]

tfb = tfp.bijectors
# Layers that rename, stretch, bound or turn the axes: no steps of their own
UNITS = (tfb.Permute, Circle, Power, Rotate, Standardize, Support)


def layers(
    flow: Flow,
    *,
    context: np.ndarray | None = None,
    columns: Sequence[str | int] | None = None,
    n: int = 4000,
    limits: Limits | None = None,
    seed: int = 0,
) -> Figure:
    """The flow layer by layer, from latent to data: points keep the colour of the quadrant that they started in.

    Every layer has a panel in its own coordinates, but for permutations, standardising, support and circles, which only
    swap, stretch and bound the axes; the last row shows the samples in the data's units, in the frame `limits`.

    Args:
      flow: a flow of D of at least 2.
      context: the one row `[C]` that a conditional flow is shown at.
      columns: which two to show, by names or numbers from 0, of more than two: those of the data, and the coordinates
        with their numbers in each layer.
      n: how many points.
      limits: the frame of the data's panel; by default one around all points.
      seed: of the points.

    Raises:
      InputError: for one dimension, more than two and no word of which, or a context that is not one row.

    >>> import tfp_flows as tff
    >>> tff.plots.layers(tff.nice(event_size=2, num_layers=2, seed=0), n=100)
    <Figure size ... with 5 Axes>
    """
    check_figure(flow, limits, n=n)
    context, two = of_plane(flow, context, columns)
    latent = latent_draws(flow, n, seed, context)
    colours = quadrant_colours(latent[:, two])
    shown, points = [("latent", latent[:, two])], latent
    for layer, keywords in _from_latent(flow, context):
        points = forward(layer, points, **keywords)
        if not isinstance(layer, UNITS):
            shown.append((layer.name, points[:, two]))
    points = points[:, two]
    frame = limits or limits_of(points)
    across = min(len(shown), 6)
    rows = -(-len(shown) // across)
    heights = [1.0] * rows + [min(across * height_of(frame), 1.8)]
    figure = Figure(figsize=(2.6 * across, 2.6 * sum(heights) + 0.4 * (rows + 1)), layout="constrained")
    grid = figure.add_gridspec(rows + 1, across, height_ratios=heights)
    for i, (name, layer_points) in enumerate(shown):
        axis = figure.add_subplot(grid[i // across, i % across])
        scatter(axis, layer_points, colours)
        xlim, ylim = square_around(layer_points)
        axis.set(xlim=xlim, ylim=ylim, xticks=[], yticks=[], title=name)
        axis.set_box_aspect(1)
    axis = figure.add_subplot(grid[rows, :])
    scatter(axis, points, colours)
    axis.set(xlim=frame[0], ylim=frame[1], title=data_title(flow, context, two), aspect=aspect_of(frame))
    label_axes([axis], flow, two)
    return figure


def grid_warp(
    flow: Flow,
    *,
    context: np.ndarray | None = None,
    limits: Limits | None = None,
    reach: float = 3.0,
    lines: int = 25,
    resolution: int = 400,
) -> Figure:
    """What the flow does to space: a square grid of the latent plane, and the same lines in the data's units.

    Lines keep the colour of the quadrant that they lie in, and fade with the latent density. A flow that is a
    diffeomorphism never lets two of them cross that did not cross before.

    Args:
      flow: a flow of two dimensions.
      context: the one row `[C]` that a conditional flow is shown at.
      limits: the frame of the data's panel; by default one around the lines within two standard deviations.
      reach: how far the grid goes on either side, in standard deviations of the latent.
      lines: how many lines there are each way.
      resolution: points of a line.

    Raises:
      InputError: if the flow is not one of two dimensions, or the context is not one row.

    >>> import tfp_flows as tff
    >>> tff.plots.grid_warp(tff.nice(event_size=2, num_layers=2, seed=0), resolution=20)
    <Figure size ... with 2 Axes>
    """
    check_figure(flow, limits, lines=lines, resolution=resolution)
    check_positive(reach=reach)
    if flow.event_size != 2:
        raise InputError(f"a grid of the plane needs event_size=2; got {flow.event_size}.")
    context = one_context(flow, context)
    at, along = np.linspace(-reach, reach, lines), np.linspace(-reach, reach, resolution)
    upright = np.stack(np.meshgrid(at, along, indexing="ij"), axis=-1)  # [lines, resolution, 2]
    latent = np.concatenate([upright, upright[..., ::-1]]).astype(flow.dtype.as_numpy_dtype)
    warped = flow.continuous.decode(latent.reshape(-1, 2), context=context).numpy().reshape(latent.shape)
    inner = (np.abs(latent) <= 2.0).all(axis=-1)
    frame = limits or limits_of(warped[inner])
    for i, (low, high) in flow.circular.items():  # a line that goes over the seam is not drawn across the whole period
        jumps = np.abs(np.diff(warped[..., i], axis=1)) > (high - low) / 2
        warped[:, 1:][jumps] = np.nan
    beside = height_of(frame) >= 0.5
    figure = Figure(figsize=(11, 5.5) if beside else (9, 4.5 + 9 * height_of(frame) + 0.7), layout="constrained")
    ratios = {"width_ratios": [1, 1]} if beside else {"height_ratios": [4.5, 9 * height_of(frame) + 0.3]}
    axes = figure.subplots(*((1, 2) if beside else (2, 1)), gridspec_kw=ratios)
    square = ((-1.1 * reach, 1.1 * reach),) * 2
    for axis, points, bounds, title in (
        (axes[0], latent, square, "latent"),
        (axes[1], warped, frame, data_title(flow, context)),
    ):
        axis.add_collection(_coloured_lines(points, latent))
        axis.set(xlim=bounds[0], ylim=bounds[1], aspect=aspect_of(bounds), title=title)
    label_axes(axes[1:], flow)
    return figure


def path_of(
    flow: Flow, latent: np.ndarray, columns: Sequence[int] = (0, 1), context: np.ndarray | None = None
) -> np.ndarray:
    """Where points are after each layer, all in the units and the order of two of the data's columns.

    Args:
      flow: a flow of D of at least 2.
      latent: `[n, D]`.
      columns: the numbers of the two columns.
      context: the one row `[C]` of a conditional flow.

    Returns:
      `[S, n, 2]`: the latent points first, the data last. Permutations, standardising, support and circles, which only
      rename, stretch, bound and turn the axes, are taken out of the way: they are no steps of their own.
    """
    stages, points = [latent], latent
    for layer, keywords in _from_latent(flow, context):
        points = forward(layer, points, **keywords)
        if isinstance(layer, UNITS):
            stages = [forward(layer, stage) for stage in stages]
        else:
            stages.append(points)
    return np.stack(stages)[..., list(columns)]


def latent_draws(flow: Flow, n: int, seed: int, context: np.ndarray | None = None) -> np.ndarray:
    """Draws of the base distribution, `[n, D]`; of a base that is a conditional flow, at the one row of context."""
    of_base, _ = keywords_of(flow, context)
    return flow.distribution.sample(n, seed=tf.constant([0, seed]), **of_base).numpy()


def of_plane(flow: Flow, context: Any, columns: Any) -> tuple[np.ndarray | None, list[int]]:
    """The one row of context and the two columns of a picture of layers; `InputError` where they are not such."""
    if flow.event_size < 2:
        raise InputError(f"the picture of layers needs at least two dimensions; got event_size={flow.event_size}.")
    return one_context(flow, context), list(two_of(flow, columns))


def data_title(flow: Flow, context: np.ndarray | None, columns: Sequence[int] = (0, 1)) -> str:
    """What the data's panel is called: which columns it shows, if not all, and at which context."""
    return at_context(", ".join(filter(None, ["data", columns_text(flow, columns)])), flow, context)


def forward(layer: tfb.Bijector, points: np.ndarray, **keywords: Any) -> np.ndarray:
    """`layer.forward` of points in memory."""
    return layer.forward(tf.constant(points), **keywords).numpy()


def _from_latent(flow: Flow, context: np.ndarray | None) -> list[tuple[tfb.Bijector, dict[str, Any]]]:
    """The layers, the latent's end first, and what each takes at a context."""
    _, by_layer = keywords_of(flow, context)
    return [(layer, by_layer.get(layer.name, {})) for layer in reversed(flow.layers)]


def _coloured_lines(points: np.ndarray, latent: np.ndarray) -> LineCollection:
    """The lines `points [L, R, 2]`, piece by piece, in the colours of where they come from in `latent`."""
    pieces = np.stack([points[:, :-1], points[:, 1:]], axis=2).reshape(-1, 2, 2)
    middles = 0.5 * (latent[:, :-1] + latent[:, 1:]).reshape(-1, 2)
    fade = np.exp(-0.25 * (middles**2).sum(axis=-1)).clip(0.12, 1.0)
    return LineCollection(pieces, colors=quadrant_colours(middles), alpha=fade, linewidths=0.9, rasterized=True)
