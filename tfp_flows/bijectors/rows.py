"""Layers for batches of any number of dimensions: TensorFlow's kernels have limits, some from five dimensions on."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.errors import InputError

__all__ = ["as_rows", "check_batches"]

MOST = 3  # dimensions that every kernel takes, with two more that a layer of splines adds: softmax takes five


def as_rows(x: tf.Tensor, kwargs: dict[str, Any]) -> tuple[tf.Tensor, dict[str, Any], Callable[[tf.Tensor], tf.Tensor]]:
    """`x [..., D]` as rows `[N, D]` where it has more dimensions than all of TensorFlow's kernels take.

    Returns:
      The rows; the keyword arguments, where a context `[..., C]` has become `[N, C]`, one for each row; and a function
      that gives what was computed of the rows, `[N, ...]` or a constant, the batch dimensions again.
    """
    tensors = {name: t for name, t in kwargs.items() if tf.is_tensor(t)}
    if all(t.shape.rank is not None and t.shape.rank <= MOST for t in (x, *tensors.values())):
        return x, kwargs, lambda found: found
    batch = tf.shape(x)[:-1]
    for t in tensors.values():
        batch = tf.broadcast_dynamic_shape(batch, tf.shape(t)[:-1])

    def rows(t: tf.Tensor) -> tf.Tensor:
        size = t.shape[-1:] if t.shape.rank is not None else tf.reshape(tf.shape(t)[-1:], [1])
        return tf.reshape(tf.broadcast_to(t, tf.concat([batch, size], 0)), tf.concat([[-1], size], 0))

    def whole(found: tf.Tensor) -> tf.Tensor:
        if found.shape.rank == 0:
            return found
        last = found.shape[1:] if found.shape[1:].is_fully_defined() else tf.shape(found)[1:]
        return tf.reshape(found, tf.concat([batch, last], 0))

    return rows(x), kwargs | {name: rows(t) for name, t in tensors.items()}, whole


def check_batches(x: tf.TensorShape, context: tf.TensorShape, name: str = "x") -> None:
    """Raises `InputError` for rows and contexts whose numbers, as far as they are known, do not fit together."""
    try:
        tf.broadcast_static_shape(x[:-1], context[:-1])
    except ValueError as error:
        raise InputError(
            f"context must have as many rows as {name} has, or one; got shape {context} beside {name} of {x}."
        ) from error
