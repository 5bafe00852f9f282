"""Solving an autoregressive network: all dimensions, one after another, at the cost of about one pass."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["BLOCK", "Plan", "solve", "take"]

BLOCK = 8  # dimensions whose steps are unrolled
STRETCHES = 12  # as long as blocks are few, they are cut into no more stretches: each has a product of its own


class Plan:
    """Which hidden units can be computed once which dimensions are known, cut into blocks of dimensions.

    A unit of degree k depends on the first k dimensions only. Sorted by degree, the units that a block of dimensions
    completes are neighbours, and so are those that each dimension in it completes.

    Args:
      degrees: of the units of each hidden layer, ascending, at most D.
      event_size: D.
      widths: rows that a dimension has as input of the first layer, and as output of the last.
    """

    def __init__(self, degrees: Sequence[np.ndarray], event_size: int, widths: tuple[int, int]) -> None:
        self.degrees, self.event_size, self.widths = list(degrees), event_size, widths
        self.block = min(BLOCK, event_size)
        self.count = -(-event_size // self.block)
        self.count_in_stretch = math.ceil(self.count / max(STRETCHES, math.sqrt(self.count)))
        self.stretches = -(-self.count // self.count_in_stretch)
        hidden = tuple(tuple(degree.tolist()) for degree in self.degrees)
        self._key = (event_size, widths, self.block, self.count_in_stretch, hidden)
        first = np.arange(self.count) * self.block
        self.starts, self.sizes, self.windows = [first * widths[0]], [self.block * widths[0]], []
        self.lengths = [event_size * widths[0]]
        for degree in self.degrees:
            known = np.searchsorted(degree, np.arange(self.count * self.block + 1), side="right")
            start = np.concatenate([[0], known[first[1:]]])
            # within[t, i]: units of block t that are complete before its step i
            within = np.stack([known[first + i] - start for i in range(self.block + 1)], axis=1)
            self.starts.append(start)
            self.sizes.append(int(within.max()))
            self.windows.append(_windows(within))
            self.lengths.append(len(degree))
        self.starts.append(first * widths[1])
        self.sizes.append(self.block * widths[1])
        self.lengths.append(event_size * widths[1])
        opening = np.arange(self.stretches) * self.count_in_stretch  # block of each stretch
        closing = np.minimum(opening + self.count_in_stretch, self.count) - 1
        # rows from the first of a stretch to the last that its last block reaches
        self.reaches = [
            int((start[closing] - start[opening]).max()) + size
            for start, size in zip(self.starts, self.sizes, strict=True)
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def positions(self, layer: int) -> np.ndarray:
        """Where each unit of a layer stands when its blocks are filled up to equal sizes."""
        block = np.searchsorted(self.starts[layer], np.arange(self.lengths[layer]), side="right") - 1
        return block * self.sizes[layer] + np.arange(self.lengths[layer]) - self.starts[layer][block]

    def positions_inside(self, layer: int, complete: int) -> np.ndarray:
        """The same within each stretch, for the units of its `complete` first blocks: `[stretches, units]`.

        Where a stretch has fewer there than others, it points to the block after them, which is zero as yet.
        """
        opening = np.arange(self.stretches) * self.count_in_stretch
        closing = np.minimum(opening + complete, self.count - 1)
        starts = self.starts[layer]
        widths = starts[closing] - starts[opening]
        unknown = complete * self.sizes[layer]
        index = np.full([self.stretches, int(widths.max())], unknown)
        positions = self.positions(layer)
        for s, (first, width) in enumerate(zip(opening, widths, strict=True)):
            low = starts[first]
            index[s, :width] = positions[low : low + width] - first * self.sizes[layer]
        return index

    def extra(self, layer: int) -> int:
        """Rows that a layer needs beyond its last, so that none of its blocks and stretches reaches over its end."""
        opening = self.starts[layer][:: self.count_in_stretch]
        ends = [self.starts[layer][-1] + self.sizes[layer], opening[-1] + self.reaches[layer]]
        return max(0, int(max(ends)) - self.lengths[layer])

    def reverse(self) -> "Plan":
        """The plan of the transposed network, which is known from the last dimension on."""
        degrees = [self.event_size - degree[::-1] for degree in reversed(self.degrees)]
        return Plan(degrees, self.event_size, self.widths[::-1])


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


def solve(
    plan: Plan,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
    activation: Callable[[tf.Tensor], tf.Tensor],
    element: Callable[[list[tf.Tensor], tf.Tensor], tf.Tensor],
    u: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Solves `x[i] = element(y[i], u[i])`, `y = network(x)`, where `y[i]` depends on the `x[j]` before i only.

    The gradient is exact: by the inverse-function theorem it solves the transposed network, which is autoregressive
    from the last dimension on, so it costs about as much as the solution itself.

    Args:
      plan: of the network.
      kernels: `[N[l+1], N[l]]` of each layer, masked, rows and columns sorted by degree; the last has `params` rows
        for each dimension.
      offsets: `[N[l+1], 1]` or `[N[l+1], B]`, added to what the kernels give.
      activation: between layers.
      element: of one dimension's outputs, a list of `params` tensors, and its `u`, all of one shape.
      u: `[D, B]`, sorted by degree.

    Returns:
      `x [D, B]` and `y [D * params, B]`.
    """
    if plan.count == 1:  # no loop: TensorFlow's own gradient is the cheaper one
        return _run(plan, activation, element, u, kernels, offsets)
    run = _function(plan, activation, element)
    depth, solved = len(kernels), []

    @tf.custom_gradient
    def differentiable(u: tf.Tensor, *weights: tf.Tensor) -> tuple:
        def gradient(dx: tf.Tensor, dy: tf.Tensor) -> list[tf.Tensor]:
            # From the solution that is differentiable itself, so that the gradient is, too.
            return _gradient(plan, weights[:depth], weights[depth:], activation, element, u, *solved, dx, dy)

        still = tf.nest.map_structure(tf.stop_gradient, (u, weights[:depth], weights[depth:]))
        return run(*still), gradient

    solved += differentiable(u, *kernels, *offsets)
    return tuple(solved)


def _run(
    plan: Plan,
    activation: Callable,
    element: Callable,
    u: tf.Tensor,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    x, _, y = sweep(
        plan,
        kernels,
        offsets,
        unit=lambda z, _: activation(z),
        unit_given=[],
        element=lambda y, u: element([y[j : j + 1] for j in range(plan.widths[1])], u),
        given=u,
    )
    return x, y


@functools.lru_cache(maxsize=32)
def _function(plan: Plan, activation: Callable, element: Callable) -> Callable:
    """`_run` as a `tf.function`, which equal layers share: traced once; an eager loop takes up to 20 times as long."""
    return tf.function(functools.partial(_run, plan, activation, element), reduce_retracing=True)


def _gradient(
    plan: Plan,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
    activation: Callable,
    element: Callable,
    u: tf.Tensor,
    x: tf.Tensor,
    y: tf.Tensor,
    dx: tf.Tensor,
    dy: tf.Tensor,
) -> list[tf.Tensor]:
    """Gradients of u, the kernels and the offsets, from those of x and y.

    With the total gradient t of x, that of y is `c = t dx/dy + dy`, and `t = dx + (gradient of the network)(c)`: solved
    from the last dimension on.
    """
    params, size = plan.widths[1], plan.event_size
    dx, dy = tf.convert_to_tensor(dx), tf.convert_to_tensor(dy)  # TensorFlow may hand over slices
    with tf.GradientTape() as tape:
        parts = tf.unstack(tf.reshape(y, [size, params, -1]), axis=1)
        tape.watch([u, *parts])
        values = element(parts, u)
    du, *slopes_y = tape.gradient(values, [u, *parts], unconnected_gradients="zero")
    hidden, slopes = [x], []  # one pass in the density's direction
    for kernel, offset in zip(kernels[:-1], offsets[:-1], strict=True):
        with tf.GradientTape() as tape:
            z = tf.linalg.matmul(kernel, hidden[-1]) + offset
            tape.watch(z)
            h = activation(z)
        slopes.append(tape.gradient(h, z))
        hidden.append(h)
    dy = tf.reshape(dy, [size, params, -1])
    given = tf.concat([dx[:, None], tf.stack(slopes_y, axis=1), dy], axis=1)[::-1]  # [D, 1 + 2 params, B]

    def total(fed_back: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        return (given[:1] + fed_back) * given[1 : 1 + params] + given[1 + params :]

    c, deltas, fed_back = sweep(
        plan.reverse(),
        [_turned(kernel, params if i == 0 else 1) for i, kernel in enumerate(reversed(kernels))],
        [tf.zeros([kernel.shape[1], 1], dx.dtype) for kernel in reversed(kernels)],
        unit=lambda z, slope: z * slope,
        unit_given=[slope[::-1] for slope in reversed(slopes)],
        element=total,
        given=tf.reshape(given, [size * (1 + 2 * params), -1]),
    )
    c = tf.reshape(tf.reshape(c, [size, params, -1])[::-1], [size * params, -1])
    deltas = [*(delta[::-1] for delta in reversed(deltas)), c]
    d_kernels = [tf.linalg.matmul(delta, h, transpose_b=True) for h, delta in zip(hidden, deltas, strict=True)]
    d_offsets = [
        delta if offset.shape[1] != 1 else tf.reduce_sum(delta, axis=1, keepdims=True)
        for offset, delta in zip(offsets, deltas, strict=True)
    ]
    return [(dx + fed_back[::-1]) * du, *d_kernels, *d_offsets]


def sweep(
    plan: Plan,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
    unit: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    unit_given: Sequence[tf.Tensor],
    element: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    given: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
    """Runs the network from the first dimension to the last, each unit once; units are rows, the batch is columns.

    ```
    h[0][i] = element(y[i], given[i])     y = kernels[L] h[L] + offsets[L]
    h[l]    = unit(kernels[l-1] h[l-1] + offsets[l-1], unit_given[l-1])
    ```

    A loop over stretches, each of one block of dimensions or of several. What earlier stretches made known enters a
    stretch by one wide product a layer; what its own earlier blocks did, a block by a smaller one; the steps in a block
    are unrolled. So all is multiplied about once, mostly in products wide enough to be fast, and the graph grows like
    the root of D, or less.

    Returns:
      `h[0]`, the hidden `h[1..L]`, and `y`.
    """
    offsets = [_padded(plan, i + 1, offset) for i, offset in enumerate(offsets)]
    kernels = [tf.pad(kernel, [[0, plan.extra(i + 1)], [0, plan.extra(i)]]) for i, kernel in enumerate(kernels)]
    unit_given = [_padded(plan, i + 1, tensor) for i, tensor in enumerate(unit_given)]
    network = _Network(plan, kernels, offsets, unit, unit_given, element)
    each = given.shape[0] // plan.event_size * plan.block
    given = tf.pad(given, [[0, each * plan.count - given.shape[0]], [0, 0]])
    given = tf.reshape(given, [plan.count, each, -1])
    if plan.count == 1:
        rows = [offset[:size] for offset, size in zip(offsets, plan.sizes[1:], strict=True)]
        found = [part[None] for part in network.block(0, rows, given[0])]
    else:
        found = network.stretches(given)
    rows = [_rows(part, plan.positions(i)) for i, part in enumerate(found)]
    return rows[0], rows[1:-1], rows[-1]


class _Network(NamedTuple):
    """What `sweep` runs, everything padded as far as the last block reaches."""

    plan: Plan
    kernels: list[tf.Tensor]
    offsets: list[tf.Tensor]
    unit: Callable
    unit_given: list[tf.Tensor]
    element: Callable

    def stretches(self, given: tf.Tensor) -> list[tf.Tensor]:
        """All blocks, in a loop over stretches of them: each layer's rows, `[stretches, blocks, rows, B]`."""
        plan, batch = self.plan, tf.shape(given)[2]

        def arrays(*shape: int) -> list[tf.TensorArray]:
            zeros = (tf.zeros([*shape, size, batch], given.dtype) for size in plan.sizes)
            return [tf.TensorArray(given.dtype, shape[0]).unstack(zero) for zero in zeros]

        def stretch(s: tf.Tensor, *found: tf.TensorArray) -> tuple:
            before = [self.known(layer, s, rows.stack()) for layer, rows in enumerate(found[:-1], start=1)]
            if plan.count_in_stretch == 1:
                new = [rows[None] for rows in self.block(s, before, given[s])]
            else:
                new = self.blocks(s, before, given, arrays(plan.count_in_stretch))
            return s + 1, *(a.write(s, b) for a, b in zip(found, new, strict=True))

        _, *found = tf.while_loop(
            lambda s, *_: s < plan.stretches,
            stretch,
            (tf.constant(0), *arrays(plan.stretches, plan.count_in_stretch)),
            maximum_iterations=plan.stretches,
        )
        return [rows.stack() for rows in found]

    def blocks(self, s: tf.Tensor, rows: list[tf.Tensor], given: tf.Tensor, empty: list[tf.TensorArray]) -> list:
        """The blocks of a stretch: each layer's rows, from what all stretches before give to them."""
        plan = self.plan
        starts = [tf.constant(start, tf.int32) for start in plan.starts]
        first = s * plan.count_in_stretch

        def block(t: tf.Tensor, *current: tf.TensorArray) -> tuple:
            before = [
                _stripe(rows[i - 1], starts[i][t] - starts[i][first], plan.sizes[i])
                + self.known_inside(i, s, t, current[i - 1].stack())
                for i in range(1, len(starts))
            ]
            new = self.block(t, before, given[t])
            return t + 1, *(a.write(t - first, b) for a, b in zip(current, new, strict=True))

        end = tf.minimum(first + plan.count_in_stretch, plan.count)
        _, *new = tf.while_loop(lambda t, *_: t < end, block, (first, *empty), maximum_iterations=plan.count_in_stretch)
        return [rows.stack() for rows in new]

    def known(self, layer: int, s: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
        """What earlier stretches give to the rows of stretch `s`: products that leave out what is not known yet."""
        plan, width = self.plan, self.plan.reaches[layer]
        starts, positions = plan.starts[layer - 1], plan.positions(layer - 1)

        def product(complete: int) -> tf.Tensor:
            first = complete * plan.count_in_stretch
            kernel = tf.slice(self.kernels[layer - 1], [plan.starts[layer][first], 0], [width, starts[first]])
            return tf.linalg.matmul(kernel, _rows(below[:complete], positions[: starts[first]]))

        at = tf.constant(plan.starts[layer], tf.int32)[s * plan.count_in_stretch]
        nothing = tf.zeros([width, tf.shape(below)[-1]], below.dtype)
        return _stripe(self.offsets[layer - 1], at, width) + _of_several(s, plan.stretches, product, nothing)

    def known_inside(self, layer: int, s: tf.Tensor, t: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
        """What the stretch's own blocks before `t` give to the rows of that."""
        plan, width = self.plan, self.plan.sizes[layer]
        at = tf.constant(plan.starts[layer], tf.int32)[t]
        first = tf.constant(plan.starts[layer - 1], tf.int32)[s * plan.count_in_stretch]

        def product(complete: int) -> tf.Tensor:
            positions = plan.positions_inside(layer - 1, complete)
            rows = tf.reshape(below[: complete + 1], [-1, below.shape[-1] or tf.shape(below)[-1]])
            kernel = tf.slice(self.kernels[layer - 1], [at, first], [width, positions.shape[1]])
            return tf.linalg.matmul(kernel, tf.gather(rows, tf.constant(positions, tf.int32)[s]))

        nothing = tf.zeros([width, tf.shape(below)[-1]], below.dtype)
        return _of_several(t - s * plan.count_in_stretch, plan.count_in_stretch, product, nothing)

    def block(self, t: tf.Tensor | int, before: list[tf.Tensor], given: tf.Tensor) -> list[tf.Tensor]:
        """The rows of block `t` in every layer, and its outputs, from what all that is `before` it gives to them."""
        plan, last = self.plan, len(self.kernels)
        starts = [tf.constant(start, tf.int32)[t] for start in plan.starts]
        local = [
            tf.slice(self.kernels[i - 1], [starts[i], starts[i - 1]], [plan.sizes[i], plan.sizes[i - 1]])
            for i in range(1, last + 1)
        ]
        scales = [_stripe(scale, starts[i + 1], plan.sizes[i + 1]) for i, scale in enumerate(self.unit_given)]
        h, outputs = [None] * last, []  # rows of each layer that are known so far
        width, each = plan.widths[1], given.shape[0] // plan.block

        def layer(i: int, low: int, high: int) -> tf.Tensor:
            """Rows `low` to `high` of a layer, from those below."""
            rows, below = before[i - 1][low:high], h[i - 1]
            if below is None:
                return rows
            return rows + tf.linalg.matmul(local[i - 1][low:high, : below.shape[0]], below)

        def add_units(step: int) -> None:
            """The units that are complete before a step, layer by layer."""
            for i in range(1, last):
                low, high = plan.windows[i - 1][step]
                if high > low:
                    new = self.unit(layer(i, low, high), scales[i - 1][low:high] if scales else None)
                    h[i] = new if low == 0 else tf.concat([h[i][:low], new], 0)

        add_units(0)
        for step in range(plan.block):
            y = layer(last, step * width, (step + 1) * width)
            if y.shape[1] == 1:  # the first dimension of all: it needs no batch
                y = tf.broadcast_to(y, [width, tf.shape(given)[1]])
            outputs.append(y)
            x = self.element(y, given[step * each : (step + 1) * each])
            h[0] = x if step == 0 else tf.concat([h[0], x], 0)
            add_units(step + 1)
        return [*(_filled(part, size) for part, size in zip(h, plan.sizes, strict=False)), tf.concat(outputs, 0)]


def _turned(kernel: tf.Tensor, params: int) -> tf.Tensor:
    """A kernel transposed, with its rows and columns from the last to the first; `params` rows stay together."""
    height, width = kernel.shape
    grouped = tf.reshape(kernel, [height // params, params, width])
    return tf.reshape(tf.transpose(grouped[::-1, :, ::-1], [2, 0, 1]), [width, height])


def _of_several(index: tf.Tensor, count: int, product: Callable[[int], tf.Tensor], nothing: tf.Tensor) -> tf.Tensor:
    """`product(index)`, where each index below `count` has a graph of its own; `nothing` for index 0."""
    return tf.switch_case(index, [lambda: nothing, *(functools.partial(product, i) for i in range(1, count))])


def _stripe(rows: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """`rows[start : start + size]`, with its shape spelt out: XLA would pad what it has to find out."""
    return tf.slice(rows, [start, 0], [size, rows.shape[1] or tf.shape(rows)[1]])


def _filled(rows: tf.Tensor, size: int) -> tf.Tensor:
    return tf.pad(rows, [[0, size - rows.shape[0]], [0, 0]]) if rows.shape[0] < size else rows


def _padded(plan: Plan, layer: int, rows: tf.Tensor) -> tf.Tensor:
    extra = plan.extra(layer)
    return tf.pad(rows, [[0, extra], [0, 0]]) if extra else rows


def _rows(blocks: tf.Tensor, positions: np.ndarray) -> tf.Tensor:
    """Rows in equal blocks, one after another without what only fills a block."""
    flat = tf.reshape(blocks, [math.prod(blocks.shape[:-1]), -1])
    consecutive = np.array_equal(positions, np.arange(len(positions)))
    return flat[: len(positions)] if consecutive else tf.gather(flat, positions)


def take(x: tf.Tensor, index: np.ndarray, axis: int = 0) -> tf.Tensor:
    """`tf.gather`, or nothing at all where the index changes nothing."""
    return x if np.array_equal(index, np.arange(x.shape[axis])) else tf.gather(x, index, axis=axis)
