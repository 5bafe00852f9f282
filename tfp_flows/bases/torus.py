"""Uniform angles beside a law on the line: the latents of rows with circular columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bases.choice import BASES
from tfp_flows.bases.law import Law
from tfp_flows.checks import check_choice, check_columns, check_positive
from tfp_flows.recipe import spend

__all__ = ["Torus"]


class Torus(Law):
    """Uniform on the circle `[-B, B)` in M dimensions, independent of a law on the line in the other D - M.

    ```
    p(x) = (1 / (2 B))^M q(x[j], ...)       j the dimensions that are not circular
    ```

    On a circle u and u + 2 B are one point: the density is the same everywhere, also where rounding has put a number
    on an end, or beyond it.

    Args:
      event_size: D.
      circular: the M circular dimensions, from 0.
      interval: B, positive.
      rest: q, by its name: "normal", "student_t" or "mixture".
      dtype: "float32" or "float64".
      name: name of the law.

    Raises:
      InputError: for dimensions that are not there, or another name.

    Example:

    >>> import tfp_flows as tff
    >>> base = tff.bases.Torus(2, circular=[1], interval=3.0)
    >>> u = base.sample(4, seed=0)
    >>> u.shape, bool((abs(u[:, 1]) <= 3.0).numpy().all())
    (TensorShape([4, 2]), True)

    Source: Rezende et al., Normalizing Flows on Tori and Spheres, arXiv:2002.02428.
    """

    def __init__(
        self,
        event_size: int,
        circular: Sequence[int],
        *,
        interval: float = 3.0,
        rest: str = "normal",
        dtype: str = "float32",
        name: str = "torus",
    ) -> None:
        super().__init__(event_size, dtype, name)
        check_positive(interval=interval)
        check_choice("rest", rest, list(BASES))
        self.interval = float(interval)
        circular = check_columns("circular", circular, event_size)
        line = [i for i in range(event_size) if i not in circular]
        spend(event_size)
        self._circular, self._line = self._no_dependency(list(circular)), self._no_dependency(line)
        self.rest = BASES[rest](len(line), dtype) if line else None

    @property
    def circular(self) -> tuple[int, ...]:
        """The circular dimensions, from 0."""
        return tuple(self._circular)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: int | None = None) -> dict:
        return {}

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        of_angles, of_rest = tfp.random.split_seed(seed)
        shape = tf.stack([n, len(self._circular)])
        angles = tf.random.stateless_uniform(shape, of_angles, dtype=self.dtype, alg="philox")
        angles = self.interval * (2.0 * angles - 1.0)
        return self._joined(angles, None if self.rest is None else self.rest.sample(n, seed=of_rest))

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        of_angles = -len(self._circular) * np.log(2.0 * self.interval)
        if self.rest is None:
            return tf.zeros_like(x[..., 0]) + of_angles
        return self.rest.log_prob(tf.gather(x, self._line, axis=-1)) + of_angles

    def _mean(self) -> tf.Tensor:
        return self._joined(tf.zeros([len(self._circular)], self.dtype), self.rest and self.rest.mean())

    def _variance(self) -> tf.Tensor:
        of_angles = tf.fill([len(self._circular)], tf.cast(self.interval**2 / 3.0, self.dtype))
        return self._joined(of_angles, self.rest and self.rest.variance())

    def _joined(self, of_angles: tf.Tensor, of_rest: tf.Tensor | None) -> tf.Tensor:
        """What is known of the circular dimensions, and of the others, in the order of the dimensions."""
        if of_rest is None:
            return of_angles
        return tf.gather(tf.concat([of_angles, of_rest], -1), np.argsort(self._circular + self._line), axis=-1)
