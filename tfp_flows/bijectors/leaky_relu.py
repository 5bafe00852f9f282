"""Leaky ReLU with a slope that is learnt: the non-linearity of the tutorial's first part."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import as_dtype, check_flags, check_number, check_positive
from tfp_flows.recipe import Recorded

__all__ = ["LeakyReLU"]


class LeakyReLU(Recorded, tfp.bijectors.Bijector):
    """Leaky ReLU on each dimension, with one slope `alpha > 0` for the negative side (PReLU where it is trained).

    ```
    forward   x = u if u >= 0 else alpha u                                              smoothness c = 0
    forward   x = a u + b sqrt(u^2 + c)    a = (1 + alpha) / 2, b = (1 - alpha) / 2     smoothness c > 0
    inverse   u = (a x - b sqrt(x^2 + alpha c)) / alpha                                 for both
    forward_log_det_jacobian(u) = sum{ log(a + b u[i] / sqrt(u[i]^2 + c)) : i=1...D }
    ```

    The kink of the first makes the density of a flow jump where it lies, and a gradient taken at the data does not see
    the jump move; measured on the banana, a chain of them stays near a Gaussian's NLL. The second is a branch of a
    hyperbola with the same two lines as its asymptotes: its density is smooth, and c is learnt along with alpha.

    Args:
      alpha: the slope to start from, positive.
      smoothness: c to start from; 0 for the leaky ReLU itself.
      trainable: whether an optimiser may change them.
      dtype: of the variables.
      name: name of the layer, and prefix of its variables' names.

    Raises:
      InputError: if alpha is not positive, or the smoothness is negative.

    Example:

    >>> import tfp_flows as tff
    >>> tff.bijectors.LeakyReLU(0.5).forward([-2.0, 3.0]).numpy().tolist()
    [-1.0, 3.0]

    Source: Maas et al., 2013; He et al. (PReLU), arXiv:1502.01852.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        *,
        smoothness: float = 0.0,
        trainable: bool = True,
        dtype: str = "float32",
        name: str = "leaky_relu",
    ) -> None:
        check_positive(alpha=alpha)
        check_flags(trainable=trainable)
        dtype = as_dtype(dtype)
        check_number("smoothness", smoothness, 0, float("inf"))
        super().__init__(forward_min_event_ndims=0, dtype=tf.as_dtype(dtype), name=name)
        start = np.asarray(np.log(alpha), dtype)
        self.log_alpha = tf.Variable(start, trainable=trainable, name=f"{name}/log_alpha")
        self.log_smoothness = None
        if smoothness:
            start = np.asarray(np.log(smoothness), dtype)
            self.log_smoothness = tf.Variable(start, trainable=trainable, name=f"{name}/log_smoothness")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def _sharp_log_slope(self, x: tf.Tensor) -> tf.Tensor:
        # A product, and not tf.where, which takes no more than nine dimensions.
        return self.log_alpha * tf.cast(x < 0, x.dtype)

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        if self.log_smoothness is None:
            return u * tf.exp(self._sharp_log_slope(u))
        alpha = tf.exp(self.log_alpha)
        return 0.5 * ((1 + alpha) * u + (1 - alpha) * tf.sqrt(u**2 + tf.exp(self.log_smoothness)))

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        if self.log_smoothness is None:
            return x * tf.exp(-self._sharp_log_slope(x))
        alpha = tf.exp(self.log_alpha)
        root = tf.sqrt(x**2 + tf.exp(self.log_alpha + self.log_smoothness))
        return 0.5 * ((1 + alpha) * x - (1 - alpha) * root) / alpha

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        if self.log_smoothness is None:
            return self._sharp_log_slope(u)
        alpha = tf.exp(self.log_alpha)
        return tf.math.log(0.5 * (1 + alpha + (1 - alpha) * u / tf.sqrt(u**2 + tf.exp(self.log_smoothness))))

    @classmethod
    def _is_increasing(cls) -> bool:
        return True
