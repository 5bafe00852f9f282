"""Running an autoregressive network from its first dimension to its last, each unit once.

Units are rows, the batch is columns. Each level's rows are kept block by block, filled up to equal sizes, so that one
loop body serves all of them (`plan` has the picture, and what a level, a block and a stretch are):

```
for each stretch                     one product a level with all that earlier stretches made known     known
    for each block of it             a smaller one with its own earlier blocks                          known_inside
        for each dimension of that   unrolled: the few units that it completes                          block
```

All is multiplied about once, mostly in products wide enough to be fast, and the graph grows like the root of D, or
less.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.networks.solver.plan import Level, Plan

__all__ = ["sweep"]


def sweep(
    plan: Plan,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
    unit: Callable[[tf.Tensor, tf.Tensor | None, tf.Tensor | None], tuple[tf.Tensor, tf.Tensor]],
    unit_given: Sequence[tf.Tensor],
    element: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    given: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
    """Runs the network.

    ```
    h[0][i] = element(y[i], given[i])     y = kernels[L] h[L] + offsets[L]
    h[l], carried[l] = unit(kernels[l-1] h[l-1] + offsets[l-1], unit_given[l-1], carried[l-1])
    ```

    Args:
      plan: of the network.
      kernels: `[N[l+1], N[l]]` from each level to the next.
      offsets: `[N[l+1], 1]` or `[N[l+1], B]`.
      unit: of some hidden units, `[n, B]`, and their rows of `unit_given`; and, in a residual network, what the same
        rows of the hidden level below carry, else None. It returns their values, and what they carry.
      unit_given: `[N[l], B]` for each hidden level; empty where `unit` needs nothing.
      element: of one dimension's outputs, `[width, B]`, and its rows of `given`.
      given: `[D n, B]`, n rows for each dimension.

    Returns:
      `h[0]`, the hidden `h[1..L]`, and `y`.
    """
    levels = plan.levels
    offsets = [_extended(rows, level) for rows, level in zip(offsets, levels[1:], strict=True)]
    kernels = [
        tf.pad(kernel, [[0, above.extra], [0, below.extra]])
        for kernel, below, above in zip(kernels, levels[:-1], levels[1:], strict=True)
    ]
    unit_given = [_extended(rows, level) for rows, level in zip(unit_given, levels[1:-1], strict=False)]
    network = _Network(plan, kernels, offsets, unit, unit_given, element)
    each = given.shape[0] // plan.event_size * plan.block
    given = tf.pad(given, [[0, each * plan.count - given.shape[0]], [0, 0]])
    given = tf.reshape(given, [plan.count, each, -1])
    if plan.count == 1:
        start = [offset[: level.size] for offset, level in zip(offsets, levels[1:], strict=True)]
        found = [part[None] for part in network.block(0, start, given[0])]
    else:
        found = network.stretches(given)
    inputs, *hidden, outputs = (_compact(part, level.positions()) for part, level in zip(found, levels, strict=True))
    return inputs, hidden, outputs


class _Network(NamedTuple):
    """What `sweep` runs, everything extended as far as the last block reaches."""

    plan: Plan
    kernels: list[tf.Tensor]
    offsets: list[tf.Tensor]
    unit: Callable
    unit_given: list[tf.Tensor]
    element: Callable

    def stretches(self, given: tf.Tensor) -> list[tf.Tensor]:
        """All blocks, in a loop over stretches of them: each level's rows, `[stretches, blocks, rows, B]`."""
        plan, batch = self.plan, tf.shape(given)[2]

        def arrays(*shape: int) -> list[tf.TensorArray]:
            zeros = (tf.zeros([*shape, level.size, batch], given.dtype) for level in plan.levels)
            return [tf.TensorArray(given.dtype, shape[0]).unstack(zero) for zero in zeros]

        def stretch(s: tf.Tensor, *found: tf.TensorArray) -> tuple:
            before = [self.known(level, s, rows.stack()) for level, rows in enumerate(found[:-1], start=1)]
            if plan.in_stretch == 1:
                new = [rows[None] for rows in self.block(s, before, given[s])]
            else:
                new = self.blocks(s, before, given, arrays(plan.in_stretch))
            return s + 1, *(array.write(s, rows) for array, rows in zip(found, new, strict=True))

        _, *found = tf.while_loop(
            lambda s, *_: s < plan.stretches,
            stretch,
            (tf.constant(0), *arrays(plan.stretches, plan.in_stretch)),
            maximum_iterations=plan.stretches,
        )
        return [rows.stack() for rows in found]

    def blocks(self, s: tf.Tensor, before: list[tf.Tensor], given: tf.Tensor, empty: list[tf.TensorArray]) -> list:
        """The blocks of a stretch: each level's rows, from what all stretches before give to them."""
        plan = self.plan
        starts = [tf.constant(level.starts, tf.int32) for level in plan.levels]
        first = s * plan.in_stretch

        def block(t: tf.Tensor, *current: tf.TensorArray) -> tuple:
            of_block = [
                _rows_from(before[i - 1], starts[i][t] - starts[i][first], plan.levels[i].size)
                + self.known_inside(i, s, t, current[i - 1].stack())
                for i in range(1, len(starts))
            ]
            new = self.block(t, of_block, given[t])
            return t + 1, *(array.write(t - first, rows) for array, rows in zip(current, new, strict=True))

        end = tf.minimum(first + plan.in_stretch, plan.count)
        _, *new = tf.while_loop(lambda t, *_: t < end, block, (first, *empty), maximum_iterations=plan.in_stretch)
        return [rows.stack() for rows in new]

    def known(self, i: int, s: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
        """What earlier stretches give to the rows of stretch `s` at level i: products that leave out what is masked."""
        level, under, kernel = self.plan.levels[i], self.plan.levels[i - 1], self.kernels[i - 1]
        positions = under.positions()

        def product(complete: int) -> tf.Tensor:
            width = int(under.opening[complete])  # rows below that are known
            part = tf.slice(kernel, [int(level.opening[complete]), 0], [level.reach, width])
            return tf.linalg.matmul(part, _compact(below[:complete], positions[:width]))

        at = tf.constant(level.opening, tf.int32)[s]
        nothing = tf.zeros([level.reach, tf.shape(below)[-1]], below.dtype)
        offset = _rows_from(self.offsets[i - 1], at, level.reach)
        return offset + _one_of(s, self.plan.stretches, product, nothing)

    def known_inside(self, i: int, s: tf.Tensor, t: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
        """What the stretch's own blocks before `t` give to the rows of that at level i."""
        plan, level, under, kernel = self.plan, self.plan.levels[i], self.plan.levels[i - 1], self.kernels[i - 1]
        at, first = tf.constant(level.starts, tf.int32)[t], tf.constant(under.opening, tf.int32)[s]

        def product(complete: int) -> tf.Tensor:
            positions = under.positions_inside(complete)
            rows = tf.reshape(below[: complete + 1], [-1, below.shape[-1] or tf.shape(below)[-1]])
            part = tf.slice(kernel, [at, first], [level.size, positions.shape[1]])
            return tf.linalg.matmul(part, tf.gather(rows, tf.constant(positions, tf.int32)[s]))

        nothing = tf.zeros([level.size, tf.shape(below)[-1]], below.dtype)
        return _one_of(t - s * plan.in_stretch, plan.in_stretch, product, nothing)

    def block(self, t: tf.Tensor | int, before: list[tf.Tensor], given: tf.Tensor) -> list[tf.Tensor]:
        """The rows of block `t` at every level, from what all that is `before` it gives to them."""
        plan, levels, last = self.plan, self.plan.levels, len(self.kernels)
        starts = [tf.constant(level.starts, tf.int32)[t] for level in levels]
        local = [
            tf.slice(self.kernels[i - 1], [starts[i], starts[i - 1]], [levels[i].size, levels[i - 1].size])
            for i in range(1, last + 1)
        ]
        scales = [_rows_from(rows, starts[i], levels[i].size) for i, rows in enumerate(self.unit_given, start=1)]
        h, outputs = [None] * last, []  # rows of each level that are known so far
        carried = [None] * last
        width, each = plan.widths[1], given.shape[0] // plan.block

        def inputs_of(i: int, low: int, high: int) -> tf.Tensor:
            """What goes into the rows `low` to `high` of level i, from those below."""
            rows, below = before[i - 1][low:high], h[i - 1]
            if below is None:
                return rows
            return rows + tf.linalg.matmul(local[i - 1][low:high, : below.shape[0]], below)

        def add_units(step: int) -> None:
            """The units that are complete before a step, level by level."""
            for i in range(1, last):
                low, high = levels[i].windows[step]
                if high > low:
                    below = carried[i - 1][low:high] if plan.residual and i > 1 else None
                    new, carries = self.unit(
                        inputs_of(i, low, high), scales[i - 1][low:high] if scales else None, below
                    )
                    h[i] = _continued(h[i], low, new)
                    if plan.residual:
                        carried[i] = _continued(carried[i], low, carries)

        add_units(0)
        for step in range(plan.block):
            y = inputs_of(last, step * width, (step + 1) * width)
            if y.shape[1] == 1:  # the first dimension of all: it needs no batch
                y = tf.broadcast_to(y, [width, tf.shape(given)[1]])
            outputs.append(y)
            x = self.element(y, given[step * each : (step + 1) * each])
            h[0] = x if step == 0 else tf.concat([h[0], x], 0)
            add_units(step + 1)
        filled = [_filled(rows, level.size) for rows, level in zip(h, levels[:-1], strict=True)]
        return [*filled, tf.concat(outputs, 0)]


def _continued(known: tf.Tensor | None, low: int, rows: tf.Tensor) -> tf.Tensor:
    """The rows that are known below `low`, and the new ones."""
    return rows if low == 0 else tf.concat([known[:low], rows], 0)


def _one_of(index: tf.Tensor, count: int, product: Callable[[int], tf.Tensor], nothing: tf.Tensor) -> tf.Tensor:
    """`product(index)`, where each index below `count` has a graph of its own; `nothing` for index 0."""
    return tf.switch_case(index, [lambda: nothing, *(functools.partial(product, i) for i in range(1, count))])


def _rows_from(rows: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """`rows[start : start + size]`, with its shape spelt out: XLA would pad what it has to find out."""
    return tf.slice(rows, [start, 0], [size, rows.shape[1] or tf.shape(rows)[1]])


def _filled(rows: tf.Tensor, size: int) -> tf.Tensor:
    return tf.pad(rows, [[0, size - rows.shape[0]], [0, 0]]) if rows.shape[0] < size else rows


def _extended(rows: tf.Tensor, level: Level) -> tf.Tensor:
    return tf.pad(rows, [[0, level.extra], [0, 0]]) if level.extra else rows


def _compact(blocks: tf.Tensor, positions: np.ndarray) -> tf.Tensor:
    """Rows in equal blocks, one after another without what only fills a block."""
    flat = tf.reshape(blocks, [math.prod(blocks.shape[:-1]), -1])
    consecutive = np.array_equal(positions, np.arange(len(positions)))
    return flat[: len(positions)] if consecutive else tf.gather(flat, positions)
