"""The flow from latent to data: layer by layer, and as what it does to a grid."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tfp_flows.bijectors import Circle, Power, Rotate, Standardize, Support
from tfp_flows.checks import check_positive
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
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

__all__ = ["forward", "grid_warp", "latent_draws", "layers", "path_of"]

tfb = tfp.bijectors
# Layers that rename, stretch, bound or turn the axes: no steps of their own
UNITS = (tfb.Permute, Circle, Power, Rotate, Standardize, Support)


def layers(flow: Flow, *, n: int = 4000, limits: Limits | None = None, seed: int = 0) -> Figure:
    """The flow layer by layer, from latent to data: points keep the colour of the quadrant that they started in.

    Every layer has a panel in its own coordinates, but for permutations, standardising, support and circles, which only
    swap, stretch and bound the axes; the last row shows the samples in the data's units, in the frame `limits`.

    >>> import tfp_flows as tff
    >>> tff.plots.layers(tff.nice(event_size=2, num_layers=2, seed=0), n=100)
    <Figure size ... with 5 Axes>
    """
    check_figure(flow, limits, n=n)
    latent = latent_draws(flow, n, seed)
    colours = quadrant_colours(latent)
    shown, points = [("latent", latent)], latent
    for layer in reversed(flow.layers):
        points = forward(layer, points)
        if not isinstance(layer, UNITS):
            shown.append((layer.name, points))
    frame = limits or limits_of(points)
    columns = min(len(shown), 6)
    rows = -(-len(shown) // columns)
    heights = [1.0] * rows + [min(columns * height_of(frame), 1.8)]
    figure = Figure(figsize=(2.6 * columns, 2.6 * sum(heights) + 0.4 * (rows + 1)), layout="constrained")
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=heights)
    for i, (name, layer_points) in enumerate(shown):
        axis = figure.add_subplot(grid[i // columns, i % columns])
        scatter(axis, layer_points, colours)
        xlim, ylim = square_around(layer_points)
        axis.set(xlim=xlim, ylim=ylim, xticks=[], yticks=[], title=name)
        axis.set_box_aspect(1)
    axis = figure.add_subplot(grid[rows, :])
    scatter(axis, points, colours)
    axis.set(xlim=frame[0], ylim=frame[1], title="data", aspect=aspect_of(frame))
    label_axes([axis], flow)
    return figure


def grid_warp(
    flow: Flow, *, limits: Limits | None = None, reach: float = 3.0, lines: int = 25, resolution: int = 400
) -> Figure:
    """What the flow does to space: a square grid of the latent plane, and the same lines in the data's units.

    Lines keep the colour of the quadrant that they lie in, and fade with the latent density. A flow that is a
    diffeomorphism never lets two of them cross that did not cross before.

    Args:
      flow: a flow of two dimensions, without context.
      limits: the frame of the data's panel; by default one around the lines within two standard deviations.
      reach: how far the grid goes on either side, in standard deviations of the latent.
      lines: how many lines there are each way.
      resolution: points of a line.

    Raises:
      InputError: if the flow is not one of two dimensions.

    >>> import tfp_flows as tff
    >>> tff.plots.grid_warp(tff.nice(event_size=2, num_layers=2, seed=0), resolution=20)
    <Figure size ... with 2 Axes>
    """
    check_figure(flow, limits, lines=lines, resolution=resolution)
    check_positive(reach=reach)
    if flow.event_size != 2:
        raise InputError(f"a grid of the plane needs event_size=2; got {flow.event_size}.")
    at, along = np.linspace(-reach, reach, lines), np.linspace(-reach, reach, resolution)
    upright = np.stack(np.meshgrid(at, along, indexing="ij"), axis=-1)  # [lines, resolution, 2]
    latent = np.concatenate([upright, upright[..., ::-1]]).astype(flow.dtype.as_numpy_dtype)
    warped = flow.bijector.forward(tf.constant(latent.reshape(-1, 2))).numpy().reshape(latent.shape)
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
    for axis, points, bounds, title in ((axes[0], latent, square, "latent"), (axes[1], warped, frame, "data")):
        axis.add_collection(_coloured_lines(points, latent))
        axis.set(xlim=bounds[0], ylim=bounds[1], aspect=aspect_of(bounds), title=title)
    label_axes(axes[1:], flow)
    return figure


def path_of(flow: Flow, latent: np.ndarray) -> np.ndarray:
    """Where points are after each layer, all in the units and the order of the data's first two columns.

    Args:
      flow: a flow without context, of D of at least 2.
      latent: `[n, D]`.

    Returns:
      `[S, n, 2]`: the latent points first, the data last. Permutations, standardising, support and circles, which only
      rename, stretch, bound and turn the axes, are taken out of the way: they are no steps of their own.
    """
    stages, points = [latent], latent
    for layer in reversed(flow.layers):
        points = forward(layer, points)
        if isinstance(layer, UNITS):
            stages = [forward(layer, stage) for stage in stages]
        else:
            stages.append(points)
    return np.stack(stages)[..., :2]


def latent_draws(flow: Flow, n: int, seed: int) -> np.ndarray:
    """Draws of the base distribution, `[n, D]`; `InputError` for D = 1, of which there is no scatter plot."""
    if flow.event_size < 2:
        raise InputError(f"the picture of layers needs at least two dimensions; got event_size={flow.event_size}.")
    return flow.distribution.sample(n, seed=tf.constant([0, seed])).numpy()


def forward(layer: tfb.Bijector, points: np.ndarray) -> np.ndarray:
    """`layer.forward` of points in memory."""
    return layer.forward(tf.constant(points)).numpy()


def _coloured_lines(points: np.ndarray, latent: np.ndarray) -> LineCollection:
    """The lines `points [L, R, 2]`, piece by piece, in the colours of where they come from in `latent`."""
    pieces = np.stack([points[:, :-1], points[:, 1:]], axis=2).reshape(-1, 2, 2)
    middles = 0.5 * (latent[:, :-1] + latent[:, 1:]).reshape(-1, 2)
    fade = np.exp(-0.25 * (middles**2).sum(axis=-1)).clip(0.12, 1.0)
    return LineCollection(pieces, colors=quadrant_colours(middles), alpha=fade, linewidths=0.9, rasterized=True)
