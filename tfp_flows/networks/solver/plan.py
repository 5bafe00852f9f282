"""Which units of an autoregressive network can be computed once which dimensions are known, cut into blocks.

A unit of degree k depends on the first k dimensions only. Sorted by degree, the units that a block of dimensions
completes are neighbours, and a masked kernel is a staircase:

```
                  inputs, by degree
                  block 0   block 1   block 2
                  1  2  3 | 4  5  6 | 7  8  9
    block 0   1   #  .  . | .  .  . | .  .  .        #  multiplied inside its block, in unrolled steps
 u            2   #  #  . | .  .  . | .  .  .        +  multiplied before it, in one product with all that is known
 n    block 1 4   +  +  + | #  .  . | .  .  .        .  masked: not multiplied at all
 i            5   +  +  + | #  #  . | .  .  .
 t    block 2 7   +  +  + | +  +  + | #  .  .
 s            8   +  +  + | +  +  + | #  #  .
```

Several blocks make a stretch: what earlier stretches made known is multiplied once for all of its blocks. Rows of
units are grouped by *level*: 0 are the inputs, 1 to L the hidden layers, L + 1 the outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["BLOCK", "Level", "Plan", "block_for"]

BLOCK = 8  # dimensions whose steps are unrolled, where a step is short
HEAVY = 32  # parameters of the dimensions of a block, together: benchmarks/sampling.py
STRETCHES = 12  # as long as blocks are few, they are cut into no more stretches: each has a product of its own


def block_for(params: int) -> int:
    """Dimensions to a block for a map of so many parameters: what is unrolled is traced and compiled that often."""
    return max(1, min(BLOCK, HEAVY // params))


@dataclass(frozen=True, eq=False)
class Level:
    """The rows of one level, in blocks of unequal sizes.

    Attributes:
      length: how many rows there are.
      starts: the first row of each block, `[blocks]`.
      size: rows of the largest block, to which all are filled up in memory.
      in_stretch: how many blocks a stretch has; the last may have fewer.
      windows: of a hidden level, which rows of a block are computed before each of its steps.
    """

    length: int
    starts: np.ndarray
    size: int
    in_stretch: int
    windows: Sequence[tuple[int, int]] = ()

    @property
    def opening(self) -> np.ndarray:
        """The first row of each stretch."""
        return self.starts[:: self.in_stretch]

    @property
    def reach(self) -> int:
        """Rows from the first of a stretch to the last that its last block, filled up, reaches."""
        last = np.minimum(np.arange(1, len(self.opening) + 1) * self.in_stretch, len(self.starts)) - 1
        return int((self.starts[last] - self.opening).max()) + self.size

    @property
    def extra(self) -> int:
        """Rows that are needed beyond the last, so that no block and no stretch reaches over the end."""
        return max(0, int(max(self.starts[-1] + self.size, self.opening[-1] + self.reach)) - self.length)

    def positions(self) -> np.ndarray:
        """Where each row stands when blocks are filled up to equal sizes."""
        block = np.searchsorted(self.starts, np.arange(self.length), side="right") - 1
        return block * self.size + np.arange(self.length) - self.starts[block]

    def positions_inside(self, complete: int) -> np.ndarray:
        """The same within each stretch, for the rows of its `complete` first blocks: `[stretches, rows]`.

        Where a stretch has fewer there than others, it points to the block after them, which is zero as yet.
        """
        first = np.arange(len(self.opening)) * self.in_stretch
        widths = self.starts[np.minimum(first + complete, len(self.starts) - 1)] - self.opening
        index = np.full([len(first), int(widths.max())], complete * self.size)
        positions = self.positions()
        for s, (low, width) in enumerate(zip(self.opening, widths, strict=True)):
            index[s, :width] = positions[low : low + width] - first[s] * self.size
        return index


class Plan:
    """The levels of a network, and how its dimensions are cut into blocks and stretches.

    Args:
      degrees: of the units of each hidden layer, ascending, at most D.
      event_size: D.
      widths: rows that a dimension has as input of the first layer, and as output of the last.
      block: dimensions whose steps are unrolled.
      residual: whether each hidden level but the first carries on what the one below it has: they are of equal sizes.
    """

    def __init__(
        self,
        degrees: Sequence[np.ndarray],
        event_size: int,
        widths: tuple[int, int],
        block: int = BLOCK,
        residual: bool = False,
    ) -> None:
        self.degrees, self.event_size, self.widths, self.residual = list(degrees), event_size, widths, residual
        self.block = min(block, event_size)
        self.count = -(-event_size // self.block)
        self.in_stretch = math.ceil(self.count / max(STRETCHES, math.sqrt(self.count)))
        self.stretches = -(-self.count // self.in_stretch)
        hidden = tuple(tuple(degree.tolist()) for degree in self.degrees)
        self._key = (event_size, widths, self.block, self.in_stretch, hidden, residual)
        inputs, outputs = (self._of_dimensions(width) for width in widths)
        self.levels = [inputs, *(self._of_units(degree) for degree in self.degrees), outputs]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def _of_dimensions(self, width: int) -> Level:
        """The level of inputs or outputs, so many rows for each dimension."""
        starts = np.arange(self.count) * self.block * width
        return Level(self.event_size * width, starts, self.block * width, self.in_stretch)

    def _of_units(self, degree: np.ndarray) -> Level:
        """The level of a hidden layer."""
        first = np.arange(self.count) * self.block
        known = np.searchsorted(degree, np.arange(self.count * self.block + 1), side="right")
        starts = np.concatenate([[0], known[first[1:]]])
        # within[t, i]: units of block t that are complete before its step i
        within = np.stack([known[first + i] - starts for i in range(self.block + 1)], axis=1)
        return Level(len(degree), starts, int(within.max()), self.in_stretch, _windows(within))

    def reverse(self) -> "Plan":
        """The plan of the transposed network, which is known from the last dimension on."""
        degrees = [self.event_size - degree[::-1] for degree in reversed(self.degrees)]
        return Plan(degrees, self.event_size, self.widths[::-1], self.block, self.residual)


def _windows(within: np.ndarray) -> list[tuple[int, int]]:
    """Rows of a block that have to be computed before each of its steps, whichever block it is.

    The last row that is there already is among them: XLA would merge a concatenation that only appends with all those
    before, and copy every piece again.
    """
    windows, known = [], 0
    for fewest, most in zip(np.append(0, within[:, :-1].min(axis=0)), within.max(axis=0), strict=True):
        low = max(0, min(int(fewest), known - 1)) if fewest < most else int(most)
        windows.append((low, int(most)))
        known = int(most)
    return windows
