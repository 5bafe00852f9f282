"""Rows that are images, on one page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tfp_flows.checks import as_list, check_sizes
from tfp_flows.door import check_unmasked
from tfp_flows.errors import InputError
from tfp_flows.plots.names import shortened
from tfp_flows.words import in_short, plural

__all__ = ["images"]

MOST_IMAGES = 1_000
WIDTH = 9.0  # inches of a page
LARGEST = 1.1  # inches of an image
GAP = 0.06  # between images, as a part of their width
LINE = 0.2  # inches of a title


def images(
    rows: Any,
    shape: Sequence[int],
    *,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    titles: Sequence[str] | None = None,
) -> Figure:
    """Rows as images, beside each other, in one scale of greys; or groups of rows, each of which begins a line.

    Args:
      rows: `[N, H*W]` or `[N, H, W]`, or in colours `[N, H, W, 3]`, at most 1,000 in all; or a dictionary of such,
        `{"data": x, "samples": s}`, whose names are at the left.
      shape: `(H, W)` of an image; or `(H, W, 3)`, with which rows in colours may be `[N, H*W*3]`.
      columns: images in a line; by default about as many as there are lines, or as the largest group has, up to 20.
      limits: the numbers that are black and white, what is beyond them being cut off; of colours, those that have
        nothing and all of one. By default the least and the largest number of all rows.
      titles: a text above each image, of rows that are no dictionary.

    Raises:
      InputError: for rows that are no images of this shape, too many of them, limits or titles that do not fit.

    >>> import numpy as np, tfp_flows as tff
    >>> x = np.random.default_rng(0).random([10, 64])
    >>> tff.plots.images({"data": x, "noise": x[::-1]}, (8, 8))
    <Figure size ... with 1 Axes>
    """
    size = _size(shape)
    groups = _groups(rows, size)
    count = sum(map(len, groups.values()))
    if not 1 <= count <= MOST_IMAGES:
        raise InputError(f"rows must be from 1 to {MOST_IMAGES:,} images, as in rows[:100]; got {count:,}.")
    texts = _titles(titles, count, isinstance(rows, Mapping))
    if columns is None:
        longest = max(map(len, groups.values()))
        columns = min(20, longest) if isinstance(rows, Mapping) else int(np.ceil(np.sqrt(longest)))
    check_sizes(columns=columns)
    low, high = _limits(limits, groups)
    width = min(LARGEST, WIDTH / columns)
    gap = max(1, round(GAP * size[1]))
    head = max(gap, round(LINE * size[1] / width)) if texts else gap
    places = _places([len(group) for group in groups.values()], columns)
    corners = [(head + line * (size[0] + head), gap + at * (size[1] + gap)) for line, at in places]
    page = np.ones([corners[-1][0] + size[0] + gap, max(left for _, left in corners) + size[1] + gap, 3])
    for image, (top, left) in zip((image for group in groups.values() for image in group), corners, strict=True):
        page[top : top + size[0], left : left + size[1]] = ((image - low) / (high - low)).clip(0.0, 1.0)
    figure, axis = _sheet(page, width / size[1], max(map(len, groups)))
    frames = [Rectangle((left - 0.5, top - 0.5), size[1], size[0]) for top, left in corners]  # of white images too
    axis.add_collection(PatchCollection(frames, facecolor="none", edgecolor="#bbbbbb", linewidth=0.5))
    for text, (top, left) in zip(texts, corners, strict=False):
        axis.text(left + size[1] / 2, top - 0.2 * head, text, ha="center", va="bottom", fontsize=8)
    firsts = np.cumsum([0, *map(len, groups.values())])[:-1]
    named = [(corners[i][0] + size[0] / 2, shortened(name)) for i, name in zip(firsts, groups, strict=True) if name]
    axis.set_yticks([at for at, _ in named], [name for _, name in named])
    return figure


def _size(shape: Any) -> tuple[int, ...]:
    """The shape of an image."""
    size = as_list(shape)
    if size is None or not 2 <= len(size) <= 3 or (len(size) == 3 and size[2] != 3):
        raise InputError(f"shape must be (H, W), or (H, W, 3) for colours; got {in_short(shape)}.")
    for part in size:
        check_sizes(shape=part)
    return tuple(size)


def _groups(rows: Any, size: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Named groups of images `[N, H, W, 3]`; of rows without names, one whose name is empty."""
    if not isinstance(rows, Mapping):
        return {"": _stack("rows", rows, size)}
    return {str(name): _stack(f"rows[{name!r}]", part, size) for name, part in rows.items()}


def _stack(name: str, rows: Any, size: tuple[int, ...]) -> np.ndarray:
    """Images `[N, H, W, 3]` in float64; greys have three colours that are equal."""
    check_unmasked(name, rows)
    try:
        found = np.asarray(rows, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers; got {in_short(rows)}.") from error
    height, width = size[:2]
    known = {(height, width, 3): 3, (height * width * 3,): 3}
    if len(size) == 2:
        known = {(height * width,): 1, (height, width): 1, (height, width, 3): 3}
    if found.shape[1:] not in known or not found.ndim:
        shapes = " or ".join(f"[N, {', '.join(map(str, part))}]" for part in known)
        raise InputError(f"{name} must be images, {shapes}; got shape {list(found.shape)}.")
    if not np.isfinite(found).all():
        where = int(np.argwhere(~np.isfinite(found))[0, 0])
        raise InputError(f"{name} must be finite numbers; image {where + 1} has others.")
    found = found.reshape([len(found), height, width, known[found.shape[1:]]])
    return np.broadcast_to(found, [len(found), height, width, 3])


def _titles(titles: Any, count: int, is_grouped: bool) -> list[str]:
    """A text for each image, or none."""
    if titles is None:
        return []
    if is_grouped:
        raise InputError("titles must be left out beside groups of rows, whose names are shown.")
    listed = as_list(titles)
    if listed is None or len(listed) != count:
        raise InputError(
            f"titles must be a list of {plural(count, 'text')}, one for each image; got {in_short(titles)}."
        )
    return [shortened(str(title)) for title in listed]


def _limits(limits: Any, groups: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The numbers that are black and white."""
    if limits is None:
        low = min(float(group.min()) for group in groups.values() if len(group))
        high = max(float(group.max()) for group in groups.values() if len(group))
        return low, high if high > low else low + 1.0
    try:
        low, high = (float(end) for end in limits)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not -np.inf < low < high < np.inf:
        raise InputError(f"limits must be (black, white), two finite numbers in order; got {in_short(limits)}.")
    return low, high


def _places(counts: Sequence[int], columns: int) -> list[tuple[int, int]]:
    """The line, and the place in it, of each image: a group begins a line, and goes on in the next."""
    places, first = [], 0
    for count in counts:
        places += [(first + i // columns, i % columns) for i in range(count)]
        first += -(-count // columns)
    return places


def _sheet(page: np.ndarray, inches: float, letters: int) -> tuple[Figure, Axes]:
    """The figure of a page of pixels, each of so many inches, with room for names at the left."""
    height, width = (inches * side for side in page.shape[:2])
    edge = 0.1
    left = edge + 0.11 * min(letters, 24)
    whole = (left + width + edge, height + 2 * edge)
    figure = Figure(figsize=whole)
    axis = figure.add_axes((left / whole[0], edge / whole[1], width / whole[0], height / whole[1]))
    axis.imshow(page, aspect="auto")
    axis.set_xticks([])
    axis.tick_params(length=0, labelsize=11)
    axis.spines[:].set_visible(False)
    return figure, axis
