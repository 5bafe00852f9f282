"""The shift of NICE."""

from dataclasses import dataclass

import tensorflow as tf

__all__ = ["Shift"]


@dataclass(frozen=True)
class Shift:
    """`x = shift + u`.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> x, log_slope = tff.elementwise.Shift().forward(tf.constant([[3.0]]), tf.constant([1.0]))
    >>> float(x[0]), float(log_slope[0])
    (4.0, 0.0)

    Source: Dinh et al., NICE, arXiv:1410.8516.
    """

    params = 1

    def forward(self, raw: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`u -> x` and zeros."""
        x = raw[..., 0] + u
        return x, tf.zeros_like(x)

    def inverse(self, raw: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`x -> u` and zeros."""
        u = x - raw[..., 0]
        return u, tf.zeros_like(u)
