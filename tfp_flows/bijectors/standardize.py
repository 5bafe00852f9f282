"""The first thing that a chain does to data."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.recipe import Recorded, spend

__all__ = ["Standardize"]


class Standardize(Recorded, tfp.bijectors.Bijector):
    """Takes data to mean zero and standard deviation one, so that log-probabilities stay in the data's own units.

    ```
    forward   x = loc + scale u
    inverse   u = (x - loc) / scale
    forward_log_det_jacobian(u) = sum{ log(scale[i]) : i=1...D }, a constant
    ```

    `loc` and `scale` are variables that no optimiser trains: zero and one until `set_statistics` is called, which
    `tff.fit` does with the training rows. They are float64, and so is the arithmetic, whatever the type of the rows:
    seconds since 1970 lose all that tells them apart in float32, but not once their mean is taken off.

    Args:
      event_size: D.
      dtype: of what the other layers work with.
      name: name of the layer, and prefix of its variables' names.

    Example:

    >>> import numpy as np, tfp_flows as tff
    >>> layer = tff.bijectors.Standardize(1)
    >>> layer.set_statistics(np.array([[10.0], [14.0]]))
    >>> layer.inverse(np.array([[12.0], [14.0]], "float32")).numpy().tolist()
    [[0.0], [1.0]]
    """

    def __init__(self, event_size: int, *, dtype: str = "float32", name: str = "standardize") -> None:
        spend(event_size)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.loc = tf.Variable(np.zeros(event_size), trainable=False, name=f"{name}/loc")
        self.scale = tf.Variable(np.ones(event_size), trainable=False, name=f"{name}/scale")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    @property
    def is_untouched(self) -> bool:
        """Whether it still is the identity that it starts as."""
        return bool((self.scale.numpy() == 1).all() and (self.loc.numpy() == 0).all())

    def set_statistics(self, x: Any, weights: np.ndarray | None = None) -> None:
        """Sets `loc` and `scale` to the mean and standard deviation of the rows `x [N, D]`, weighted by `[N]`.

        The scale of a column that is constant stays one: in a context there may be such columns.
        """
        x = np.asarray(x, np.float64)
        loc = np.average(x, axis=0, weights=weights)
        scale = np.sqrt(np.average((x - loc) ** 2, axis=0, weights=weights))
        self.loc.assign(loc)
        self.scale.assign(np.where(scale > 0, scale, 1.0))

    def standardized(self, x: tf.Tensor) -> tf.Tensor:
        """`inverse(x)` of rows of any type, float64 ones included: a `tfb.Bijector` takes those of its own type."""
        return tf.cast((tf.cast(x, tf.float64) - self.loc) / self.scale, self.dtype)

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.loc + self.scale * tf.cast(u, tf.float64), self.dtype)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return self.standardized(x)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.reduce_sum(tf.math.log(self.scale)), self.dtype)

    @classmethod
    def _is_increasing(cls) -> bool:
        return True
