"""What the figures share: frames, panels, colours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from tfp_flows.checks import check_sizes
from tfp_flows.datasets import as_rows
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.plots.names import name_of
from tfp_flows.words import in_short

__all__ = [
    "DATA",
    "FLOOR",
    "MODEL",
    "Limits",
    "aspect_of",
    "check_figure",
    "colour_bar",
    "height_of",
    "in_one_period",
    "label_axes",
    "limits_of",
    "one_period",
    "panels",
    "quadrant_colours",
    "scatter",
    "square_around",
    "wider",
]

Limits = tuple[tuple[float, float], tuple[float, float]]

# Okabe and Ito's palette, which colour-blind readers can tell apart: one colour for each quadrant of the latent plane.
QUADRANTS = np.array(["#0072B2", "#E69F00", "#009E73", "#CC79A7"])
DATA, MODEL, FLOOR = "#555555", "#0072B2", "#D55E00"


def limits_of(x: np.ndarray, margin: float = 0.1) -> Limits:
    """A frame around the rows `x [N, D]`: the range of the first two columns, and a margin of their width.

    Around one number alone, there is room to see it.

    >>> import numpy as np, tfp_flows as tff
    >>> tff.plots.limits_of(np.array([[0.0, 0.0], [10.0, 1.0]]), margin=0.1)
    ((-1.0, 11.0), (-0.1, 1.1))
    """
    x = as_rows(x).astype(np.float64)
    low, high = x.min(axis=0)[:2], x.max(axis=0)[:2]
    pad = np.where(high > low, margin * (high - low), 0.5 * np.maximum(1.0, np.abs(low)))
    return tuple((float(a), float(b)) for a, b in zip(low - pad, high + pad, strict=True))


def check_figure(flow: Any, limits: Any = None, **sizes: int) -> None:
    """Raises `InputError` for what is no flow, for limits that are no frame, and for sizes that are none."""
    if not isinstance(flow, Flow):
        raise InputError(f"flow must be a tff.Flow; got a {type(flow).__name__}.")
    check_sizes(**sizes)
    try:
        frame = np.asarray([[0, 1], [0, 1]] if limits is None else limits, np.float64)
    except (TypeError, ValueError):
        frame = np.empty(0)
    if frame.shape != (2, 2) or not np.isfinite(frame).all() or not (frame[:, 0] < frame[:, 1]).all():
        raise InputError(f"limits must be ((left, right), (bottom, top)), finite and in order; got {in_short(limits)}.")


def one_period(flow: Flow, limits: Limits) -> Limits:
    """The frame, with one whole period of a column that is circular."""
    return tuple(flow.circular.get(i, side) for i, side in enumerate(limits))


def in_one_period(flow: Flow, x: np.ndarray) -> np.ndarray:
    """Rows `[..., D]` with the numbers of circular columns in the period that samples lie in."""
    x = np.array(x)
    for i, (low, high) in flow.circular.items():
        x[..., i] = low + (x[..., i] - low) % (high - low)
    return x


def panels(count: int, *, limits: Limits | None, bar: bool = False) -> tuple[Figure, list[Axes]]:
    """Panels of one frame: side by side, or one above the other where it is wide; with room for a colour `bar`."""
    height = height_of(limits) if limits else 0.8
    stacked = count > 1 and height < 0.5
    rows, columns = (count, 1) if stacked else (1, count)
    width = 9.0 if columns == 1 else 5.5
    extra = 1.7 if bar and height < 0.5 else 0.9  # for titles and ticks, and a colour bar below
    figure = Figure(figsize=(width * columns, (width * height + extra) * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        if limits:
            axis.set(xlim=limits[0], ylim=limits[1], aspect=aspect_of(limits))
    return figure, axes


def label_axes(axes: list[Axes], flow: Flow, columns: Sequence[int] = (0, 1)) -> None:
    """Names the axes after two of the flow's columns, where their names are known, or one must say which they are."""
    for axis in axes if flow.columns or flow.event_size > 2 else ():
        axis.set_xlabel(name_of(columns[0], flow.columns))
        if flow.event_size > 1:
            axis.set_ylabel(name_of(columns[1], flow.columns))


def colour_bar(image: AxesImage, axis: Axes, limits: Limits, label: str) -> None:
    """Beside the panel, or below it where the frame is wide."""
    wide = height_of(limits) < 0.5
    place = {"location": "bottom", "aspect": 50, "shrink": 0.7} if wide else {"shrink": 0.9}
    axis.figure.colorbar(image, ax=axis, label=label, extend="both", **place)


def height_of(limits: Limits) -> float:
    """Height of a panel over its width."""
    (left, right), (low, high) = limits
    return (high - low) / (right - left) if aspect_of(limits) == "equal" else 0.6


def aspect_of(limits: Limits) -> float | str:
    """Equal units on both axes, unless the frame would then be a thin strip."""
    width, height = (b - a for a, b in limits)
    return "equal" if 1 / 8 <= height / width <= 2 else "auto"


def quadrant_colours(latent: np.ndarray) -> np.ndarray:
    """A colour for each row of `latent [N, D]`: that of the quadrant of its first two columns."""
    return QUADRANTS[2 * (latent[:, 0] > 0) + (latent[:, 1] > 0)]


def scatter(axis: Axes, x: np.ndarray, colour: str | np.ndarray) -> PathCollection:
    """The first two columns of `x`, as small dots."""
    return axis.scatter(x[:, 0], x[:, 1], s=2.0, c=colour, linewidths=0, alpha=0.7, rasterized=True)


def square_around(x: np.ndarray) -> Limits:
    """A square frame that holds all but the outermost points."""
    low, high = np.quantile(x[:, :2], [0.005, 0.995], axis=0)
    middle, half = (low + high) / 2, 0.65 * (high - low).max() + 1e-6
    return tuple((float(m - half), float(m + half)) for m in middle)


def wider(limits: Limits, factor: float) -> Limits:
    """The frame with the same middle, `factor` times as wide and high."""
    return tuple(((a + b) / 2 - factor * (b - a) / 2, (a + b) / 2 + factor * (b - a) / 2) for a, b in limits)
