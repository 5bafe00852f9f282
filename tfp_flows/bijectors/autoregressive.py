"""Autoregressive layers: the dimensions before each one condition an elementwise map of it."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.conditioned import Conditioned, check_pair
from tfp_flows.elementwise import Elementwise
from tfp_flows.errors import InputError
from tfp_flows.recipe import Recorded
from tfp_flows.words import in_short

__all__ = ["Autoregressive", "Ordered"]


class Ordered(Conditioned):
    """What every autoregressive layer does: a mixin for bijectors."""

    def _both(self, direction: str, rows: tf.Tensor, **kwargs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if direction == "inverse":
            return self._moved(direction, rows, rows, **kwargs)
        y, log_slope = self._solve(rows, **kwargs)
        return y, self._log_det(log_slope, y)

    def _solve(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.network.solve(x, self.elementwise, **kwargs)


class Autoregressive(Recorded, Ordered, tfp.bijectors.Bijector):
    """An autoregressive network makes the parameters of an elementwise map of each dimension.

    ```
    forward   x[i] = map(u[i]; network(x[<i])[i])
    inverse   u[i] = map^-1(x[i]; network(x[<i])[i])
    forward_log_det_jacobian(u) = sum{ log|map'(u[i])| : i=1...D }
    ```

    The inverse is one pass of the network; so is, in multiplications, the forward direction: each hidden unit is
    computed once, when all that it depends on is known. `tfb.Invert` of it is the layer of IAF.

    Args:
      network: a `tff.networks.MADE`, or whatever has its `solve`, with as many `params` as the map.
      elementwise: the map, one of `tff.elementwise` or like them.
      name: name of the layer.

    Raises:
      InputError: if the network does not give as many parameters as the map takes.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> spline = tff.elementwise.Spline(8)
    >>> layer = tff.bijectors.Autoregressive(tff.networks.MADE(3, spline.params, seed=0), spline)
    >>> layer.forward(tf.ones([5, 3])).shape
    TensorShape([5, 3])

    Source: Papamakarios et al., Masked Autoregressive Flow, arXiv:1705.07057; Durkan et al., Neural Spline Flows,
    arXiv:1906.04032.
    """

    def __init__(self, network: Any, elementwise: Elementwise, name: str = "autoregressive") -> None:
        check_pair(network, elementwise)
        if not hasattr(network, "solve"):
            raise InputError(
                f"network must be autoregressive and have solve, as tff.networks.MADE has; got {in_short(network)}."
            )
        super().__init__(forward_min_event_ndims=1, name=name)
        self.network, self.elementwise = network, elementwise

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}
