"""Figures of a flow and its data: each function returns a Matplotlib figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfp_flows.bijectors import Standardize
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow

__all__ = ["Limits", "density", "integral", "layers", "limits_of", "log_prob_of", "loss_curve", "samples"]

Limits = tuple[tuple[float, float], tuple[float, float]]

# Okabe and Ito's palette, which colour-blind readers can tell apart: one colour for each quadrant of the latent plane.
QUADRANTS = np.array(["#0072B2", "#E69F00", "#009E73", "#CC79A7"])
DATA, MODEL = "#555555", "#0072B2"
CHUNK = 5_000  # rows that a density is evaluated at together


def limits_of(x: np.ndarray, margin: float = 0.1) -> Limits:
    """A frame around the rows `x [N, D]`: the range of the first two columns, and a margin of their width.

    >>> import numpy as np, tfp_flows as tff
    >>> tff.plots.limits_of(np.array([[0.0, 0.0], [10.0, 1.0]]), margin=0.1)
    ((-1.0, 11.0), (-0.1, 1.1))
    """
    low, high = x.min(axis=0)[:2], x.max(axis=0)[:2]
    pad = margin * (high - low)
    return tuple((float(a), float(b)) for a, b in zip(low - pad, high + pad, strict=True))


def samples(flow: Flow, x: np.ndarray, *, limits: Limits | None = None, seed: int = 0) -> Figure:
    """Rows of data beside as many samples of the flow: scatter plots of the first two columns, histograms for D = 1.

    Args:
      flow: a flow without context.
      x: rows `[N, D]`; of the order of 10,000 look best.
      limits: the frame of both panels; by default that of the data.
      seed: of the samples.

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, seed=0)
    >>> tff.plots.samples(flow, tff.datasets.banana().sample(100, seed=0))
    <Figure size ... with 2 Axes>
    """
    drawn = flow.sample(len(x), seed=seed).numpy()
    if flow.event_size == 1:
        figure, axes = _panels(2, limits=None)
        edges = np.linspace(x.min(), x.max(), 81)
        for axis, rows, colour in ((axes[0], x, DATA), (axes[1], drawn, MODEL)):
            axis.hist(rows[:, 0], bins=edges, density=True, color=colour)
    else:
        figure, axes = _panels(2, limits=limits or limits_of(x))
        for axis, rows, colour in ((axes[0], x, DATA), (axes[1], drawn, MODEL)):
            _scatter(axis, rows, colour)
    axes[0].set_title(f"{len(x):,} rows of data")
    axes[1].set_title(f"{len(x):,} samples of {flow.name}")
    return figure


def integral(flow: Flow, limits: Limits, resolution: int = 500) -> float:
    """The flow's mass in a box of the plane, by the midpoint rule: 1.00 for a box that holds all of it.

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, seed=0)
    >>> round(tff.plots.integral(flow, ((-8, 8), (-8, 8)), resolution=200), 2)
    1.0
    """
    cell, log_prob = _on_grid(flow, limits, resolution)
    return float(np.exp(log_prob).sum() * cell)


def density(flow: Flow, *, limits: Limits, resolution: int = 800) -> Figure:
    """The flow's density over the plane, on a log scale, with its integral in the title.

    The picture shows `limits`; the integral is taken over a box twice as wide and high, around it.

    Raises:
      InputError: if the flow is not one of two dimensions.

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, seed=0)
    >>> tff.plots.density(flow, limits=((-3, 3), (-3, 3)), resolution=50)
    <Figure size ... with 2 Axes>
    """
    cell, log_prob = _on_grid(flow, _wider(limits, 2.0), resolution)
    total = float(np.exp(log_prob).sum() * cell)
    quarter = resolution // 4
    log_prob = log_prob[quarter : resolution - quarter, quarter : resolution - quarter]
    figure, (axis,) = _panels(1, limits=limits)
    top = float(np.quantile(log_prob, 0.999))  # a few cells far above the rest would leave it grey
    image = axis.imshow(
        log_prob.T,
        origin="lower",
        extent=(*limits[0], *limits[1]),
        vmin=top - 6.0,
        vmax=top,
        cmap="cividis",
        aspect=_aspect(limits),
    )
    figure.colorbar(image, ax=axis, label="log p(x), nats", extend="both", shrink=0.9)
    axis.set_title(f"Density of {flow.name}; its integral over the plane is {total:.2f}")
    return figure


def layers(flow: Flow, *, n: int = 4000, limits: Limits | None = None, seed: int = 0) -> Figure:
    """The flow layer by layer, from latent to data: points keep the colour of the quadrant that they started in.

    Every layer has a panel in its own coordinates, but for permutations and standardising, which only swap and
    stretch the axes; the last row shows the samples in the data's units, in the frame `limits`.

    >>> import tfp_flows as tff
    >>> tff.plots.layers(tff.nice(event_size=2, num_layers=2, seed=0), n=100)
    <Figure size ... with 5 Axes>
    """
    if flow.event_size < 2:
        raise InputError(f"the picture of layers needs at least two dimensions; got event_size={flow.event_size}.")
    points = flow.distribution.sample(n, seed=tf.constant([0, seed]))
    colours = QUADRANTS[2 * (points[:, 0] > 0).numpy() + (points[:, 1] > 0).numpy()]
    shown = [("latent", points)]
    for layer in reversed(flow.layers):
        points = layer.forward(tf.identity(points))
        if not isinstance(layer, (tfp.bijectors.Permute, Standardize)):
            shown.append((layer.name, points))
    frame = limits or limits_of(points.numpy())
    columns = min(len(shown), 6)
    rows = -(-len(shown) // columns)
    heights = [1.0] * rows + [min(columns * _height(frame), 1.8)]
    figure = Figure(figsize=(2.6 * columns, 2.6 * sum(heights) + 0.4 * (rows + 1)), layout="constrained")
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=heights)
    for i, (name, layer_points) in enumerate(shown):
        axis = figure.add_subplot(grid[i // columns, i % columns])
        _scatter(axis, layer_points.numpy(), colours)
        xlim, ylim = _frame(layer_points.numpy())
        axis.set(xlim=xlim, ylim=ylim, xticks=[], yticks=[], title=name)
        axis.set_box_aspect(1)
    axis = figure.add_subplot(grid[rows, :])
    _scatter(axis, points.numpy(), colours)
    axis.set(xlim=frame[0], ylim=frame[1], title="data", aspect=_aspect(frame))
    return figure


def loss_curve(history: Mapping[str, Sequence[float]], *, entropy: float | None = None) -> Figure:
    """Training and validation NLL over the epochs, with the floor where the data's entropy is known.

    Args:
      history: `history.history` of `tff.fit`.
      entropy: the lowest NLL there is, nats.

    >>> import tfp_flows as tff
    >>> tff.plots.loss_curve({"nll": [2.0, 1.5], "val_nll": [2.1, 1.6]}, entropy=1.0)
    <Figure size ... with 1 Axes>
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.add_subplot()
    epochs = np.arange(1, len(history["nll"]) + 1)
    axis.plot(epochs, history["nll"], color=DATA, lw=1.2, label="training")
    if "val_nll" in history:
        axis.plot(epochs, history["val_nll"], color=MODEL, lw=1.8, label="validation")
    if entropy is not None:
        axis.axhline(entropy, color="#D55E00", ls="--", lw=1.2, label=f"floor: the data's entropy, {entropy:.3f}")
    finite = np.concatenate([np.asarray(v) for k, v in history.items() if k.endswith("nll")])
    low = min(finite.min(), np.inf if entropy is None else entropy)
    high = np.quantile(finite, 0.95)
    axis.set_ylim(low - 0.08 * (high - low) - 1e-3, high + 0.15 * (high - low) + 1e-3)
    axis.set(xlabel="epoch", ylabel="negative log-likelihood, nats")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def log_prob_of(flow: Flow, x: np.ndarray) -> np.ndarray:
    """`flow.log_prob(x)` of many rows `[N, D]`, piece by piece, as an array `[N]`."""
    rows = x.astype(flow.dtype.as_numpy_dtype)
    size = min(CHUNK, len(rows))
    # XLA pays for its compile time on a whole grid, and only there.
    log_prob = tf.function(lambda x: flow.log_prob(x), jit_compile=len(rows) >= 10 * CHUNK)
    pieces = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % size, axis=0)]).reshape(-1, size, rows.shape[1])
    return np.concatenate([log_prob(tf.constant(piece)).numpy() for piece in pieces])[: len(rows)]


def _panels(count: int, *, limits: Limits | None) -> tuple[Figure, list[Axes]]:
    """Panels of one frame: side by side, or one above the other where the frame is wide."""
    height = _height(limits) if limits else 0.8
    stacked = count > 1 and height < 0.5
    rows, columns = (count, 1) if stacked else (1, count)
    width = 9.0 if columns == 1 else 5.5
    figure = Figure(figsize=(width * columns, (width * height + 0.7) * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        if limits:
            axis.set(xlim=limits[0], ylim=limits[1], aspect=_aspect(limits))
    return figure, axes


def _height(limits: Limits) -> float:
    """Height of a panel over its width."""
    (left, right), (low, high) = limits
    return (high - low) / (right - left) if _aspect(limits) == "equal" else 0.6


def _aspect(limits: Limits) -> float | str:
    """Equal units on both axes, unless the frame would then be a thin strip."""
    width, height = (b - a for a, b in limits)
    return "equal" if 1 / 8 <= height / width <= 2 else "auto"


def _scatter(axis: Axes, x: np.ndarray, colour: str | np.ndarray) -> None:
    axis.scatter(x[:, 0], x[:, 1], s=2.0, c=colour, linewidths=0, alpha=0.7, rasterized=True)


def _frame(x: np.ndarray) -> Limits:
    """A square frame that holds all but the outermost points."""
    low, high = np.quantile(x[:, :2], [0.005, 0.995], axis=0)
    middle, half = (low + high) / 2, 0.65 * (high - low).max() + 1e-6
    return tuple((float(m - half), float(m + half)) for m in middle)


def _wider(limits: Limits, factor: float) -> Limits:
    return tuple(((a + b) / 2 - factor * (b - a) / 2, (a + b) / 2 + factor * (b - a) / 2) for a, b in limits)


def _on_grid(flow: Flow, limits: Limits, resolution: int) -> tuple[float, np.ndarray]:
    """The area of a grid's cell, and the flow's log-density at the cells' midpoints `[R, R]`."""
    if flow.event_size != 2:
        raise InputError(f"a density over the plane needs event_size=2; got {flow.event_size}.")
    sides = [np.linspace(a, b, resolution + 1) for a, b in limits]
    middles = [(side[1:] + side[:-1]) / 2 for side in sides]
    grid = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
    rows = grid.reshape(-1, 2).astype(flow.dtype.as_numpy_dtype)
    values = log_prob_of(flow, rows)
    cell = float(np.prod([side[1] - side[0] for side in sides]))
    return cell, values.reshape(resolution, resolution)
