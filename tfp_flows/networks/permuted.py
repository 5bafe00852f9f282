"""A fixed permutation along one axis, whose gradient is a permutation as well."""

import numpy as np
import tensorflow as tf

__all__ = ["permuted"]


def permuted(x: tf.Tensor, there: np.ndarray, back: np.ndarray, axis: int = -1) -> tf.Tensor:
    """`y[..., i, ...] = x[..., there[i], ...]` along the axis; `back` is the inverse of `there`.

    To TensorFlow, the gradient of `tf.gather` is a sum into zeros, as an index may occur twice, and XLA lays out the
    zeros of all layers long before it needs them. Here no index does, and the gradient is the inverse permutation.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple:
        return tf.gather(x, there, axis=axis), lambda dy: permuted(dy, back, there, axis)

    return run(x)
