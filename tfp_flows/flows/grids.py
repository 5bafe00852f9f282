"""The order of an image's numbers in each layer of an image flow: squeezes, and which numbers stay in a coupling."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfp_flows.checks import as_list, check_sizes
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = ["Grid", "Mask", "as_image_shape", "grids_of", "mask_of"]

LEVELS = 3  # where none are asked for: as good as two for 8 x 8 pixels, and a step takes less time
IN_A_ROW = 2  # couplings with halves of the channels, before as many with checkerboards


class Grid(NamedTuple):
    """An image at one level: the numbers of a row, arranged.

    Attributes:
      order: `[H, W, C]`, which number of the row is at each place in each channel.
    """

    order: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """H and W."""
        return self.order.shape[:2]

    @property
    def places(self) -> int:
        """H W."""
        return self.size[0] * self.size[1]

    @property
    def channels(self) -> int:
        """C."""
        return self.order.shape[2]

    def squeezed(self) -> "Grid | None":
        """With 2 x 2 places as one of 4 C channels, or 2 of a line; None for sides that cannot be halved.

        ```
        a b c d                                  channels  a c  b d  e g  f h
        e f g h   2 x 4 places of 1 channel  ->  1 x 2 places of 4 channels
        ```
        """
        (height, width), channels = self.size, self.channels
        down, across = (1 if side == 1 else 2 for side in self.size)
        if down * across == 1 or height % down or width % across:
            return None
        blocks = self.order.reshape(height // down, down, width // across, across, channels)
        return Grid(blocks.transpose(0, 2, 1, 3, 4).reshape(height // down, width // across, -1))


class Mask(NamedTuple):
    """Which numbers of a grid stay in a coupling layer, and which move.

    Attributes:
      seen: the places of those that stay.
      channels_in: how many of them a place has.
      asked: the places of those that move.
      channels_out: how many of them a place has.
      order: of the numbers of the grid, those that stay first, each half place by place.
    """

    seen: list[int]
    channels_in: int
    asked: list[int]
    channels_out: int
    order: np.ndarray


def as_image_shape(image_shape: Any, event_size: int) -> tuple[int, int, int]:
    """`(H, W, C)`; `InputError` unless a row has so many numbers. None is a square, or a line, of one channel."""
    if image_shape is None:
        side = round(event_size**0.5)
        return (side, side, 1) if side * side == event_size else (event_size, 1, 1)
    sides = as_list(image_shape)
    whole = sides is not None and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sides)
    if not whole or len(sides) not in (2, 3):
        raise InputError(
            "image_shape must be (height, width) or (height, width, channels), positive integers, as in (8, 8, 1); "
            f"got {in_short(image_shape)}."
        )
    height, width, channels = (*sides, 1)[:3]
    if height * width * channels != event_size:
        raise InputError(
            f"image_shape must have {plural(event_size, 'number')} in all, as event_size says; got {in_short(sides)}."
        )
    return height, width, channels


def grids_of(shape: Sequence[int], num_levels: int | None) -> list[Grid]:
    """The image at every level, each squeezed from the one before; as many as can be, three at most, for None."""
    check_sizes(num_levels=1 if num_levels is None else num_levels)
    grids = [Grid(np.arange(np.prod(shape)).reshape(shape))]
    while len(grids) < (num_levels or LEVELS):
        squeezed = grids[-1].squeezed()
        if squeezed is None and num_levels is None:
            break
        if squeezed is None:
            height, width = grids[-1].size
            raise InputError(
                f"num_levels must be at most {len(grids)}, as {height} x {width} places cannot be halved; "
                f"got {in_short(num_levels)}."
            )
        grids.append(squeezed)
    return grids


def mask_of(grid: Grid, layer: int) -> Mask:
    """What stays in a coupling of this grid, which is so many couplings after its first.

    Pixels are masked like a checkerboard, and the two colours take turns. Where there are four channels or more, two
    layers with halves of them come before two with checkerboards; which halves is another bit of their numbers each
    time, so that all channels are parted sooner or later. A single place has but its channels.
    """
    numbers = np.arange(grid.order.size).reshape(grid.places, grid.channels)
    every = list(range(grid.places))
    if grid.places > 1 and (grid.channels < 4 or layer // IN_A_ROW % 2):
        dark = np.ravel(np.indices(grid.size).sum(axis=0) % 2 == layer % 2)
        seen, asked = np.flatnonzero(dark), np.flatnonzero(~dark)
        order = np.concatenate([np.ravel(numbers[seen]), np.ravel(numbers[asked])])
        return Mask(seen.tolist(), grid.channels, asked.tolist(), grid.channels, order)
    bit = layer // (2 * IN_A_ROW) % max(1, (grid.channels - 1).bit_length())
    channels = sorted(range(grid.channels), key=lambda channel: (channel >> bit & 1) ^ (layer % 2))
    stay, move = np.split(np.array(channels), [grid.channels // 2])
    order = np.concatenate([np.ravel(numbers[:, stay]), np.ravel(numbers[:, move])])
    return Mask(every, len(stay), every, len(move), order)
