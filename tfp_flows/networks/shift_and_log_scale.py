"""What turns a network's outputs into the shift and bounded log-scale of an affine layer."""

from collections.abc import Callable

import tensorflow as tf

from tfp_flows.checks import check_positive
from tfp_flows.elementwise import Affine, Shift
from tfp_flows.recipe import Recorded

__all__ = ["ShiftAndLogScale"]


class ShiftAndLogScale(Recorded, tf.Module):
    """`shift = y[..., 0]`, `log_scale = bound * tanh(y[..., 1] / bound)`, for `y = network(x)`.

    It serves `tfb.MaskedAutoregressiveFlow`, which calls it with `x`, and `tfb.RealNVP`, which calls it with `x` and
    the number of output units.

    Args:
      network: a network with `params=2`, or with `params=1` for a shift alone (the log-scale is then None).
      bound: largest absolute log-scale, positive.
    """

    def __init__(self, network: Callable, bound: float = 5.0) -> None:
        super().__init__(name="shift_and_log_scale")
        check_positive(log_scale_bound=bound)
        self.network, self.bound = network, float(bound)
        self.context_size = network.context_size

    @property
    def elementwise(self) -> Affine | Shift:
        """The map that the network's outputs make."""
        return Shift() if getattr(self.network, "params", 2) == 1 else Affine(self.bound)

    def __call__(
        self, x: tf.Tensor, output_units: int | None = None, **kwargs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """`x [..., N]` -> shift and log-scale, each `[..., M]`."""
        raw = self.network(x, **kwargs)
        return (raw[..., 0], None) if raw.shape[-1] == 1 else self.elementwise.split(raw)
