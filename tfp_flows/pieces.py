"""Any number of rows piece by piece, in memory that does not grow with their number."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.recompute import untaped

__all__ = ["in_pieces"]


def in_pieces(
    function: Callable[..., Any], rows: Sequence[tf.Tensor], count: int | tf.Tensor, batch_size: int, dtypes: Any
) -> Any:
    """`function(i, size, *piece)` of one piece after another, and what it returns put together again.

    The gradient, in the rows and in the variables that the function reads, goes through the pieces again, one after
    another: it needs the memory of one piece as well, and the time of one evaluation more.

    Args:
      function: gets the number of the piece, how many rows it has, and those rows of each of `rows`; returns a tensor
        `[size, ...]`, or a tuple of them.
      rows: tensors `[count, ...]`, the other dimensions known.
      count: how many rows there are: an integer, as it must be where XLA compiles, or a tensor.
      batch_size: rows of each piece; the last has those that remain.
      dtypes: of what the function returns.
    """

    @tf.custom_gradient
    def run(*rows: tf.Tensor) -> Any:
        def gradient(*upstream: tf.Tensor, variables: Sequence[tf.Variable] = ()) -> Any:
            def of_piece(i: tf.Tensor, size: int | tf.Tensor, *pieces: tf.Tensor) -> tuple[list, list]:
                piece, dy = pieces[: len(rows)], pieces[len(rows) :]
                with tf.GradientTape() as tape:
                    tape.watch(piece)
                    found = tf.nest.flatten(function(i, size, *piece))
                found = tape.gradient(found, [*piece, *variables], dy, unconnected_gradients="zero")
                return found[: len(rows)], [tf.convert_to_tensor(g) for g in found[len(rows) :]]

            start = [tf.zeros(v.shape, v.dtype) for v in variables]
            inputs, weights = _loop(of_piece, [*rows, *upstream], count, batch_size, [t.dtype for t in rows], start)
            return (inputs, weights) if variables else inputs

        flat = tf.nest.flatten(dtypes)
        with untaped():
            found, _ = _loop(lambda *piece: (tf.nest.flatten(function(*piece)), []), rows, count, batch_size, flat, [])
        return tf.nest.pack_sequence_as(dtypes, found), gradient

    return run(*rows)


def _loop(
    function: Callable[..., tuple[list[tf.Tensor], list[tf.Tensor]]],
    rows: Sequence[tf.Tensor],
    count: int | tf.Tensor,
    batch_size: int,
    dtypes: Sequence[tf.DType],
    totals: list[tf.Tensor],
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """The first tensors that the function returns of each piece, put together, and the sums of the others."""
    full, rest = count // batch_size, count % batch_size
    whole = full * batch_size
    parts = []
    if tf.is_tensor(full) or full > 0:
        pieces = [tf.reshape(t[:whole], [full, batch_size, *t.shape[1:]]) for t in rows]

        def step(i: tf.Tensor, arrays: list[tf.TensorArray], totals: list[tf.Tensor]) -> tuple:
            found, more = function(i, batch_size, *(t[i] for t in pieces))
            arrays = [array.write(i, t) for array, t in zip(arrays, found, strict=True)]
            return i + 1, arrays, [a + b for a, b in zip(totals, more, strict=True)]

        arrays = [tf.TensorArray(dtype, full) for dtype in dtypes]
        _, arrays, totals = tf.while_loop(
            lambda i, *_: i < full,
            step,
            (tf.constant(0), arrays, totals),
            parallel_iterations=1,  # several at a time would take the memory of several
        )
        parts.append([array.concat() for array in arrays])
    if tf.is_tensor(rest) or rest > 0 or not parts:
        last, more = function(tf.constant(0) + full, rest, *(t[whole:] for t in rows))
        parts.append(last)
        totals = [a + b for a, b in zip(totals, more, strict=True)]
    return [tf.concat(t, axis=0) for t in zip(*parts, strict=True)], totals
