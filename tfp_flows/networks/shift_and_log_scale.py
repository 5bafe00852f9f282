"""What turns a network's outputs into the shift and bounded log-scale of an affine layer."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfp_flows.checks import check_positive
from tfp_flows.recipe import Recorded

__all__ = ["ShiftAndLogScale"]


class ShiftAndLogScale(Recorded, tf.Module):
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
        check_positive(log_scale_bound=bound)
        self.network, self.bound = network, float(bound)
        self.context_size = network.context_size

    def __call__(
        self, x: tf.Tensor, output_units: int | None = None, **kwargs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """`x [..., N]` -> shift and log-scale, each `[..., M]`."""
        return _BoundedAffine(self.bound).split(tf.unstack(self.network(x, **kwargs), axis=-1))

    @property
    def solve_affine(self) -> Callable | None:
        """From `u` the `x` with `x = shift(x) + exp(log_scale(x)) u`, and its log-scale; None if the network cannot.

        A `MADE` can, at the cost of about one pass.
        """
        return self._solve_affine if hasattr(self.network, "solve") else None

    def _solve_affine(self, u: tf.Tensor, **kwargs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        element = _BoundedAffine(self.bound)
        x, y = self.network.solve(u, element, **kwargs)
        return x, element.split(tf.unstack(y, axis=-1))[1]


class _BoundedAffine(NamedTuple):
    """What the layer does to one dimension; equal for layers of equal bounds, which therefore share what is traced."""

    bound: float

    def __call__(self, y: list[tf.Tensor], u: tf.Tensor) -> tf.Tensor:
        shift, log_scale = self.split(y)
        return shift + u if log_scale is None else shift + tf.exp(log_scale) * u

    def split(self, y: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor | None]:
        """A network's outputs as shift and bounded log-scale."""
        if len(y) == 1:
            return y[0], None
        shift, raw = y
        return shift, self.bound * tf.math.tanh(raw / self.bound)
