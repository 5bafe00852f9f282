"""Leaky ReLU with a slope that is learnt: the non-linearity of the tutorial's first part."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.errors import InputError

__all__ = ["LeakyReLU"]


class LeakyReLU(tfp.bijectors.Bijector):
    """Leaky ReLU on each dimension, with one slope `alpha > 0` for the negative side (PReLU where it is trained).

    ```
    forward   x = u if u >= 0 else alpha u
    inverse   u = x if x >= 0 else x / alpha
    inverse_log_det_jacobian(x) = -log(alpha) |{ i : x[i] < 0 }|
    ```

    Args:
      alpha: the slope to start from, positive.
      trainable: whether an optimiser may change it.
      dtype: of the variable.
      name: name of the layer, and prefix of its variable's name.

    Raises:
      InputError: if alpha is not positive.

    Example:

    >>> import tfp_flows as tff
    >>> tff.bijectors.LeakyReLU(0.5).forward([-2.0, 3.0]).numpy().tolist()
    [-1.0, 3.0]

    Source: Maas et al., 2013; He et al. (PReLU), arXiv:1502.01852.
    """

    def __init__(
        self, alpha: float = 0.3, *, trainable: bool = True, dtype: str = "float32", name: str = "leaky_relu"
    ) -> None:
        if not alpha > 0:
            raise InputError(f"alpha must be positive, or the layer has no inverse; got {alpha!r}.")
        super().__init__(forward_min_event_ndims=0, dtype=tf.as_dtype(dtype), name=name)
        start = np.asarray(np.log(alpha), dtype)
        self.log_alpha = tf.Variable(start, trainable=trainable, name=f"{name}/log_alpha")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return tf.where(u >= 0, u, u * tf.exp(self.log_alpha))

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return tf.where(x >= 0, x, x * tf.exp(-self.log_alpha))

    def _inverse_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return tf.where(x >= 0, tf.zeros_like(x), -self.log_alpha)
