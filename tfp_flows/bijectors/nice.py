"""The additive coupling layer of NICE."""

from collections.abc import Callable

from tfp_flows.bijectors.real_nvp import RealNVP

__all__ = ["NICE"]


class NICE(RealNVP):
    """A `tfb.RealNVP` that only shifts: its log-det is the constant 0, and `is_constant_jacobian` says so.

    ```
    forward   x[:d] = u[:d]     x[d:] = u[d:] + shift(u[:d])
    inverse   u[:d] = x[:d]     u[d:] = x[d:] - shift(x[:d])
    forward_log_det_jacobian(u) = inverse_log_det_jacobian(x) = 0
    ```

    Args:
      num_masked: d; negative to leave the last |d| dimensions as they are.
      shift_and_log_scale_fn: returns a shift and None: `tff.networks.ShiftAndLogScale` of a network with `params=1`.
      name: name of the layer.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> shift = tff.networks.ShiftAndLogScale(tff.networks.MLP(1, 1, params=1, seed=0))
    >>> layer = tff.bijectors.NICE(num_masked=1, shift_and_log_scale_fn=shift)
    >>> layer.is_constant_jacobian, float(layer.forward_log_det_jacobian(tf.ones([2]), event_ndims=1))
    (True, 0.0)

    Source: Dinh et al., NICE: Non-linear Independent Components Estimation, arXiv:1410.8516.
    """

    def __init__(self, num_masked: int, shift_and_log_scale_fn: Callable, name: str | None = None) -> None:
        super().__init__(
            num_masked=num_masked,
            shift_and_log_scale_fn=shift_and_log_scale_fn,
            is_constant_jacobian=True,
            name=name or "nice",
        )
