"""Elementwise maps one after another."""

from dataclasses import dataclass

import tensorflow as tf

from tfp_flows.elementwise.protocol import Elementwise
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["Composed"]


@dataclass(frozen=True)
class Composed:
    """`x = maps[0](maps[1](u))`, in the order of `tfb.Chain`, each by its own part of the network's outputs.

    An affine map of a spline is a spline whose interval moves and widens on the side of x, which it cannot do alone:
    its ends stay in place, and with them the mass beyond.

    Args:
      maps: maps like those of `tff.elementwise`, at least one, that of the data's end first.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> composed = tff.elementwise.Composed([tff.elementwise.Affine(), tff.elementwise.Spline(8)])
    >>> raw, u = tf.random.normal([5, composed.params], seed=0), tf.linspace(-4.0, 4.0, 5)
    >>> x, log_slope = composed.forward(raw, u)
    >>> bool(tf.reduce_all(abs(composed.inverse(raw, x)[0] - u) < 1e-4))
    True
    """

    maps: tuple[Elementwise, ...]

    def __post_init__(self) -> None:
        maps = tuple(self.maps) if isinstance(self.maps, (list, tuple)) else ()
        is_map = [
            not isinstance(each, type) and all(hasattr(each, name) for name in ("params", "forward", "inverse"))
            for each in maps
        ]
        if not maps or not all(is_map):
            raise InputError(f"maps must be a tuple of maps like those of tff.elementwise; got {in_short(self.maps)}.")
        object.__setattr__(self, "maps", maps)

    @property
    def params(self) -> int:
        """Those of all maps."""
        return sum(each.params for each in self.maps)

    def forward(self, raw: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`u -> x`, and the log-slope."""
        return self._through("forward", list(zip(self.maps, self._split(raw), strict=True))[::-1], u)

    def inverse(self, raw: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`x -> u`, and the log-slope."""
        return self._through("inverse", list(zip(self.maps, self._split(raw), strict=True)), x)

    def _split(self, raw: tf.Tensor) -> list[tf.Tensor]:
        return tf.split(raw, [each.params for each in self.maps], axis=-1)

    def _through(
        self, direction: str, pairs: list[tuple[Elementwise, tf.Tensor]], value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        log_slopes = []
        for each, raw in pairs:
            value, log_slope = getattr(each, direction)(raw, value)
            log_slopes.append(log_slope)
        return value, sum(log_slopes[1:], log_slopes[0])
