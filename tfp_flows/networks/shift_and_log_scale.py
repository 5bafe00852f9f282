"""What turns a network's outputs into the shift and bounded log-scale of an affine layer."""

from collections.abc import Callable

import tensorflow as tf

from tfp_flows.errors import InputError

__all__ = ["ShiftAndLogScale"]


class ShiftAndLogScale(tf.Module):
    """`shift = y[..., 0]`, `log_scale = bound * tanh(y[..., 1] / bound)`, for `y = network(x)`.

    The bound is smooth: near zero the log-scale is the network's own output, far out its gradient fades instead of
    exploding or stopping at once. It serves `tfb.MaskedAutoregressiveFlow`, which calls it with `x`, and
    `tfb.RealNVP`, which calls it with `x` and the number of output units.

    Args:
      network: a network with `params=2`, or with `params=1` for a shift alone (the log-scale is then None).
      bound: largest absolute log-scale, positive.
    """

    def __init__(self, network: Callable, bound: float = 5.0) -> None:
        super().__init__(name="shift_and_log_scale")
        if not bound > 0:
            raise InputError(f"log_scale_bound must be positive; got {bound!r}.")
        self.network, self.bound = network, float(bound)
        self.context_size = network.context_size

    def __call__(
        self, x: tf.Tensor, output_units: int | None = None, **kwargs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """`x [..., N]` -> shift and log-scale, each `[..., M]`."""
        y = self.network(x, **kwargs)
        if y.shape[-1] == 1:
            return y[..., 0], None
        shift, raw = tf.unstack(y, num=2, axis=-1)
        return shift, self.bound * tf.math.tanh(raw / self.bound)
