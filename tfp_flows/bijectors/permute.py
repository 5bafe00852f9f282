"""The order of the dimensions between two layers."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.networks.permuted import permuted
from tfp_flows.recipe import Recorded

__all__ = ["Permute"]


class Permute(Recorded, tfp.bijectors.Permute):
    """`tfb.Permute` of the last dimension, whose gradient is a permutation as well.

    ```
    forward   x[i] = u[permutation[i]]
    inverse   u[permutation[i]] = x[i]
    forward_log_det_jacobian(u) = 0
    ```

    To TensorFlow, the gradient of `tf.gather` is a sum into zeros, as an index may occur twice, and XLA lays out the
    zeros of all layers long before it needs them. Here no index does, and the gradient is the inverse permutation.

    Args:
      permutation: a permutation of 0..D-1.
      name: name of the layer.

    Example:

    >>> import tfp_flows as tff
    >>> tff.bijectors.Permute([2, 0, 1]).forward([10.0, 11.0, 12.0]).numpy().tolist()
    [12.0, 10.0, 11.0]
    """

    def __init__(self, permutation: Sequence[int], name: str = "permute") -> None:
        super().__init__(permutation=np.asarray(permutation, np.int32), axis=-1, name=name)
        self.event_size = len(permutation)
        self._there = self._no_dependency(np.asarray(permutation, np.int32))
        self._back = self._no_dependency(np.argsort(permutation).astype(np.int32))

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return permuted(u, self._there, self._back)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return permuted(x, self._back, self._there)

    @classmethod
    def _is_increasing(cls) -> bool:
        return True  # of one dimension, where there is but the identity
