"""The first thing that a chain does to data."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["Standardize"]


class Standardize(tfp.bijectors.Bijector):
    """Takes data to mean zero and standard deviation one, so that log-probabilities stay in the data's own units.

    ```
    forward   x = loc + scale u
    inverse   u = (x - loc) / scale
    forward_log_det_jacobian(u) = sum{ log(scale[i]) : i=1...D }, a constant
    ```

    `loc` and `scale` are variables that no optimiser trains: zero and one until `set_statistics` is called, which
    `tff.fit` does with the training rows.

    Args:
      event_size: D.
      dtype: of the variables.
      name: name of the layer, and prefix of its variables' names.

    Example:

    >>> import numpy as np, tfp_flows as tff
    >>> layer = tff.bijectors.Standardize(1)
    >>> layer.set_statistics(np.array([[10.0], [14.0]]))
    >>> layer.inverse(np.array([[12.0], [14.0]], "float32")).numpy().tolist()
    [[0.0], [1.0]]
    """

    def __init__(self, event_size: int, *, dtype: str = "float32", name: str = "standardize") -> None:
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.loc = tf.Variable(np.zeros(event_size, dtype), trainable=False, name=f"{name}/loc")
        self.scale = tf.Variable(np.ones(event_size, dtype), trainable=False, name=f"{name}/scale")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def set_statistics(self, x: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Sets `loc` and `scale` to the mean and standard deviation of the rows `x [N, D]`, weighted by `[N]`."""
        x = np.asarray(x, np.float64)
        loc = np.average(x, axis=0, weights=weights)
        scale = np.sqrt(np.average((x - loc) ** 2, axis=0, weights=weights))
        self.loc.assign(loc)
        self.scale.assign(scale)

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return self.loc + self.scale * u

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return (x - self.loc) / self.scale

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.math.log(self.scale))

    @classmethod
    def _is_increasing(cls) -> bool:
        return True
