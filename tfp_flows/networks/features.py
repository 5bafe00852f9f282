"""What a network sees of a dimension: the number itself, and waves of it."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_positive, check_sizes
from tfp_flows.errors import InputError
from tfp_flows.recipe import written_plainly

__all__ = ["PLAIN", "Fourier", "as_seen", "check_features"]

MOST_OCTAVES = 16


@written_plainly
@dataclass(frozen=True)
class Fourier:
    """A number `x`, and `sin` and `cos` of `2^k pi x / (2 B)` for k = 0 to K - 1.

    A network of the raw number learns its slow changes first and its fast ones hardly at all; waves of octaves beside
    it make them equally easy. The slowest has half a period on `[-B, B]`, so that both ends are told apart.

    Args:
      octaves: K; 0 for the number alone.
      interval: B, positive.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> tff.networks.Fourier(2)(tf.constant([1.0])).numpy().round(3)
    array([[1.   , 0.5  , 0.866, 0.866, 0.5  ]], dtype=float32)

    Source: Tancik et al., Fourier Features Let Networks Learn High Frequency Functions, arXiv:2006.10739.
    """

    octaves: int = 0
    interval: float = 3.0

    def __post_init__(self) -> None:
        check_sizes(octaves=self.octaves)
        if self.octaves > MOST_OCTAVES:
            raise InputError(
                f"octaves must be at most {MOST_OCTAVES}, as float32 has no faster waves; got {self.octaves!r}."
            )
        check_positive(interval=self.interval)

    @property
    def width(self) -> int:
        """How many numbers there are for each dimension."""
        return 1 + 2 * self.octaves

    def _frequencies(self, dtype: tf.DType) -> tf.Tensor:
        return tf.constant(2.0 ** np.arange(self.octaves) * np.pi / (2 * self.interval), dtype)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """`x [..., D] -> [..., D, width]`, the number itself first."""
        x = x[..., None]
        angles = x * self._frequencies(x.dtype)
        return tf.concat([x, tf.sin(angles), tf.cos(angles)], axis=-1)

    def slopes(self, x: tf.Tensor) -> tf.Tensor:
        """The slope of each of them, `[..., D, width]`."""
        x, frequencies = x[..., None], self._frequencies(x.dtype)
        angles = x * frequencies
        return tf.concat([tf.ones_like(x), frequencies * tf.cos(angles), -frequencies * tf.sin(angles)], axis=-1)


PLAIN = Fourier()


def check_features(features: Fourier) -> None:
    """Raises `InputError` for what a network cannot see by."""
    if not isinstance(features, Fourier):
        raise InputError(f"features must be a tff.networks.Fourier; got {features!r}.")


def as_seen(features: Fourier, x: tf.Tensor) -> tf.Tensor:
    """What a network sees of rows, `[..., D] -> [..., D width]`."""
    if features.width == 1:
        return x
    return tf.reshape(features(x), tf.concat([tf.shape(x)[:-1], [x.shape[-1] * features.width]], 0))
