"""What the learnt base laws have in common: variables of their own, and a law of TFP's that is made of them."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import as_dtype, check_sizes
from tfp_flows.errors import InputError
from tfp_flows.recipe import Recorded, spend

__all__ = ["Law"]

tfd = tfp.distributions


class Law(Recorded, tfd.Distribution):
    """A distribution of rows `[D]` whose variables make, at every call, one of TFP's.

    It is `Recorded`, so that a flow on it is copied, pickled and saved like any other. A subclass has `_law`, that
    distribution, and of one dimension `_one`, the law of `x` or of `-x`: probabilities above a point are those of the
    mirrored law below it, which keeps their digits.
    """

    def __init__(self, event_size: int, dtype: str, name: str) -> None:
        check_sizes(event_size=event_size)
        dtype = as_dtype(dtype)
        spend(event_size)
        self.event_size = event_size
        super().__init__(
            dtype=tf.as_dtype(dtype),
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters={"event_size": event_size, "dtype": dtype, "name": name},
            name=name,
        )

    copy, __copy__ = Recorded.copy, Recorded.__copy__

    def _law(self) -> tfd.Distribution:
        raise NotImplementedError

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.event_size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self.event_size], tf.int32)

    def _default_event_space_bijector(self) -> tfp.bijectors.Bijector:
        return tfp.bijectors.Identity()

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        return self._law().sample(n, seed=seed)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        return self._law().log_prob(x)

    def _mean(self) -> tf.Tensor:
        return self._law().mean()

    def _variance(self) -> tf.Tensor:
        return self._law().variance()

    # Of one dimension: x [..., 1] -> [...], and back.

    def _check_one(self, what: str) -> None:
        if self.event_size != 1:
            raise InputError(f"{what} is that of one dimension; got a distribution of {self.event_size}.")
