"""The flow as a film: points pulled from the latent Gaussian to the data."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import animation
from matplotlib.figure import Figure

from tfp_flows.atomic import atomic_path
from tfp_flows.checks import check_path
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
)
from tfp_flows.plots.layers import data_title, latent_draws, of_plane, path_of
from tfp_flows.words import in_short

__all__ = ["animate_flow"]

WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


def animate_flow(
    flow: Flow,
    path: str | os.PathLike,
    *,
    context: np.ndarray | None = None,
    columns: Sequence[str | int] | None = None,
    n: int = 4000,
    limits: Limits | None = None,
    frames: int = 100,
    fps: int = 20,
    seed: int = 0,
    force: bool = False,
) -> Figure:
    """A smooth path from latent to data, layer by layer, as a film; points keep the colour of their first quadrant.

    Within a layer every point goes straight from where it enters to where it leaves, slow at both ends. The axes are
    the data's and stay the same throughout.

    Args:
      flow: a flow of D of at least 2.
      path: the file to write: .gif, or .mp4 where there is an ffmpeg.
      context: the one row `[C]` that a conditional flow is shown at.
      columns: which two to show, by names or numbers from 0, of more than two.
      n: how many points.
      limits: the frame; by default one that holds nearly all of the data, and most points of every layer.
      frames: pictures in all, a fifth of which rest at the ends.
      fps: pictures a second.
      seed: of the points.
      force: whether to replace an existing file.

    Returns:
      The figure, as it is in the last picture.

    Raises:
      InputError: for another ending, an .mp4 without ffmpeg, or an existing file; for one dimension, more than two and
        no word of which, or a context that is not one row.

    >>> import pathlib, tempfile, tfp_flows as tff
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "flow.gif"
    >>> tff.plots.animate_flow(tff.nice(event_size=2, num_layers=2, seed=0), path, n=50, frames=5)
    <Figure size ... with 1 Axes>
    >>> path.exists()
    True
    """
    check_figure(flow, limits, n=n, frames=frames, fps=fps)
    check_path(path=path)
    path = Path(path)
    if path.suffix not in WRITERS:
        raise InputError(f"path must end in {' or '.join(WRITERS)}; got {in_short(str(path))}.")
    if not animation.writers.is_available(WRITERS[path.suffix]):
        raise InputError(f"{path} needs ffmpeg, which is not on the PATH: install it, or write a .gif.")
    context, two = of_plane(flow, context, columns)
    latent = latent_draws(flow, n, seed, context)
    stages = path_of(flow, latent, two, context)
    frame = limits or _frame_of(stages)
    figure = Figure(figsize=(7.2, 7.2 * height_of(frame) + 0.3), layout="constrained")
    axis = figure.add_subplot()
    dots = scatter(axis, stages[0], quadrant_colours(latent[:, two]))
    axis.set(xlim=frame[0], ylim=frame[1], aspect=aspect_of(frame), xticks=[], yticks=[])
    if context is not None or flow.event_size > 2:
        axis.set_title(data_title(flow, context, two))
        label_axes([axis], flow, two)
    writer = animation.writers[WRITERS[path.suffix]](fps=fps)
    with atomic_path(path, force=force) as temporary, writer.saving(figure, str(temporary), dpi=100):
        for at in _times(len(stages) - 1, frames):
            before = min(int(at), len(stages) - 2)
            dots.set_offsets(stages[before] + _eased(at - before) * (stages[before + 1] - stages[before]))
            writer.grab_frame()
    return figure


def _frame_of(stages: np.ndarray) -> Limits:
    """A frame that holds nearly all of the data's end of `stages [S, n, 2]`, and most of every other."""
    low = np.minimum(np.quantile(stages, 0.02, axis=1).min(axis=0), np.quantile(stages[-1], 0.003, axis=0))
    high = np.maximum(np.quantile(stages, 0.98, axis=1).max(axis=0), np.quantile(stages[-1], 0.997, axis=0))
    return limits_of(np.stack([low, high]))


def _times(steps: int, frames: int) -> np.ndarray:
    """Where on the way from 0 to `steps` each picture is: a tenth of them rest at either end."""
    rest = frames // 10
    return np.concatenate([np.zeros(rest), np.linspace(0, steps, frames - 2 * rest), np.full(rest, steps)])


def _eased(t: float) -> float:
    """From 0 to 1 with no speed at either end."""
    return t * t * (3.0 - 2.0 * t)
