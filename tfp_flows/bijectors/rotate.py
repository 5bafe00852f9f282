"""Circular columns turned by a learnt angle."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.circle import wrapped
from tfp_flows.bijectors.rows import as_rows
from tfp_flows.checks import as_dtype, check_columns, check_positive, check_sizes
from tfp_flows.recipe import Recorded, spend

__all__ = ["Rotate"]


class Rotate(Recorded, tfp.bijectors.Bijector):
    """Turns each circular dimension by a learnt phase, on the circle `[-B, B)`, whose ends are one point.

    ```
    forward   x[i] = u[i] + phase[i]   modulo 2 B, into [-B, B]          the other dimensions stay as they are
    inverse   u[i] = x[i] - phase[i]   modulo 2 B
    forward_log_det_jacobian(u) = 0
    ```

    Between layers that map `[-B, B]` onto itself and keep its ends, such as splines with `tails="equal"`: with another
    phase before each, there is no point that all of them keep.

    Args:
      event_size: D.
      circular: the M circular dimensions, from 0.
      interval: B, positive.
      rng: source of the first phases; with None, they are zero.
      dtype: of the variable.
      name: name of the layer, and prefix of its variable's name.

    Example:

    >>> import tfp_flows as tff
    >>> layer = tff.bijectors.Rotate(2, circular=[0], interval=3.0)
    >>> layer.phase.assign([2.0]).numpy().tolist()
    [2.0]
    >>> layer.forward([[0.5, 0.5], [2.0, 2.0]]).numpy().tolist()
    [[2.5, 0.5], [-2.0, 2.0]]

    Source: Rezende et al., Normalizing Flows on Tori and Spheres, arXiv:2002.02428, section 2.1.
    """

    def __init__(
        self,
        event_size: int,
        circular: Sequence[int],
        *,
        interval: float = 3.0,
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
        name: str = "rotate",
    ) -> None:
        check_sizes(event_size=event_size)
        check_positive(interval=interval)
        dtype = as_dtype(dtype)
        circular = list(check_columns("circular", circular, event_size))
        spend(event_size)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.event_size, self.interval = event_size, float(interval)
        self._place = self._no_dependency(np.eye(event_size, dtype=dtype)[circular])  # of each phase, [M, D]
        phase = np.zeros(len(circular)) if rng is None else rng.uniform(-interval, interval, len(circular))
        self.phase = tf.Variable(phase.astype(dtype), name=f"{name}/phase")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return self._turned(u, self.phase)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return self._turned(x, -self.phase)

    def _turned(self, x: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
        x, _, whole = as_rows(x, {})
        turned = wrapped(x + tf.tensordot(phase, self._place, 1), self.interval)
        return whole(tf.where(self._place.any(axis=0), turned, x))

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return tf.zeros([], u.dtype)
