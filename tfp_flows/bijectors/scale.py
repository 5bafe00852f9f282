"""A learnt scale of each dimension."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import as_dtype, check_sizes
from tfp_flows.recipe import Recorded, spend

__all__ = ["Scale"]


class Scale(Recorded, tfp.bijectors.Bijector):
    """The diagonal layer that ends a NICE flow, whose coupling layers keep volumes as they are.

    ```
    forward   x = exp(log_scale) u
    inverse   u = exp(-log_scale) x
    forward_log_det_jacobian(u) = sum{ log_scale[i] : i=1...D }, a constant
    ```

    Args:
      event_size: D.
      dtype: of the variable.
      name: name of the layer, and prefix of its variable's name.

    Example:

    >>> import tfp_flows as tff
    >>> tff.bijectors.Scale(2).forward([1.0, 2.0]).numpy().tolist()
    [1.0, 2.0]

    Source: Dinh et al., NICE, arXiv:1410.8516, section 3.3.
    """

    def __init__(self, event_size: int, *, dtype: str = "float32", name: str = "scale") -> None:
        check_sizes(event_size=event_size)
        dtype = as_dtype(dtype)
        spend(event_size)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.event_size = event_size
        self.log_scale = tf.Variable(np.zeros(event_size, dtype), name=f"{name}/log_scale")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return u * tf.exp(self.log_scale)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return x * tf.exp(-self.log_scale)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self.log_scale)

    @classmethod
    def _is_increasing(cls) -> bool:
        return True
