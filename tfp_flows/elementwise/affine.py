"""The affine map of MAF, IAF and RealNVP."""

from dataclasses import dataclass

import tensorflow as tf

from tfp_flows.checks import check_positive, given

__all__ = ["Affine", "scaled_and_shifted", "unscaled_and_unshifted"]


@dataclass(frozen=True)
class Affine:
    """`x = shift + exp(log_scale) u`, with `log_scale = bound tanh(raw / bound)`.

    The bound is smooth: near zero the log-scale is the network's own output, far out its gradient fades instead of
    exploding or stopping at once.

    Args:
      bound: largest absolute log-scale, positive; None for none.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> affine, raw = tff.elementwise.Affine(), tf.constant([[3.0, 0.0]])
    >>> x, log_slope = affine.forward(raw, tf.constant([1.0]))
    >>> float(x[0]), float(log_slope[0]), float(affine.inverse(raw, x)[0][0])
    (4.0, 0.0, 1.0)

    Source: Dinh et al., Real NVP, arXiv:1605.08803.
    """

    bound: float | None = 5.0
    params = 2

    def __post_init__(self) -> None:
        check_positive(**given(bound=self.bound))

    def split(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A network's outputs `[..., M, 2]` as shift and bounded log-scale."""
        shift, raw = tf.unstack(raw, num=2, axis=-1)
        return shift, raw if self.bound is None else self.bound * tf.math.tanh(raw / self.bound)

    def forward(self, raw: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`u -> x`, and the log-scale."""
        return scaled_and_shifted(*self.split(raw), u)

    def inverse(self, raw: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`x -> u`, and minus the log-scale."""
        return unscaled_and_unshifted(*self.split(raw), x)


def scaled_and_shifted(
    shift: tf.Tensor | None, log_scale: tf.Tensor | None, u: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`shift + exp(log_scale) u` and its log-slope; what is None counts as zero."""
    x = u if log_scale is None else tf.exp(log_scale) * u
    x = x if shift is None else x + shift
    return x, tf.zeros_like(u) if log_scale is None else log_scale


def unscaled_and_unshifted(
    shift: tf.Tensor | None, log_scale: tf.Tensor | None, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x - shift) exp(-log_scale)` and its log-slope; what is None counts as zero."""
    u = x if shift is None else x - shift
    if log_scale is None:
        return u, tf.zeros_like(x)
    return u * tf.exp(-log_scale), -log_scale
