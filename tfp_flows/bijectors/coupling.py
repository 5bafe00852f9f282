"""Coupling layers: one half of a row stays, and conditions an elementwise map of the other half."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.conditioned import Conditioned, check_pair
from tfp_flows.checks import check_sizes
from tfp_flows.elementwise import Elementwise
from tfp_flows.errors import InputError
from tfp_flows.recipe import Recorded
from tfp_flows.words import plural

__all__ = ["Coupling", "Halves"]


class Halves(Conditioned):
    """What every coupling layer does, whoever says which half stays and what moves the other: a mixin for bijectors."""

    def _both(self, direction: str, rows: tf.Tensor, **kwargs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        cut, comes_first = self._cut(rows)
        first, second = rows[..., :cut], rows[..., cut:]
        stays, moves = (first, second) if comes_first else (second, first)
        moved, log_det = self._moved(direction, stays, moves, **kwargs)
        return tf.concat([stays, moved] if comes_first else [moved, stays], axis=-1), log_det

    def _cut(self, rows: tf.Tensor) -> tuple[int, bool]:
        """How many dimensions the first half has, and whether it is the one that stays."""
        raise NotImplementedError


class Coupling(Recorded, Halves, tfp.bijectors.Bijector):
    """A network of one half of a row makes the parameters of an elementwise map of the other half.

    ```
    forward   x[:d] = u[:d]     x[i] = map(u[i]; network(u[:d])[i])     for i > d
    inverse   u[:d] = x[:d]     u[i] = map^-1(x[i]; network(x[:d])[i])
    forward_log_det_jacobian(u) = sum{ log|map'(u[i])| : i > d }
    ```

    Args:
      num_masked: d, the number of dimensions that stay as they are; negative to leave the last |d|; 0 for a network of
        the context alone.
      network: conditioner `[..., d] -> [..., D - d, params]`, such as `tff.networks.MLP(d, D - d, params)`.
      elementwise: the map, one of `tff.elementwise` or like them, with as many `params`.
      name: name of the layer.

    Raises:
      InputError: if the network does not give as many parameters as the map takes.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> affine = tff.elementwise.Affine()
    >>> layer = tff.bijectors.Coupling(1, tff.networks.MLP(1, 2, affine.params, seed=0), affine)
    >>> layer.forward(tf.ones([5, 3])).shape
    TensorShape([5, 3])

    Source: Dinh et al., Density estimation using Real NVP, arXiv:1605.08803.
    """

    def __init__(self, num_masked: int, network: Callable, elementwise: Elementwise, name: str = "coupling") -> None:
        is_number = isinstance(num_masked, (int, np.integer)) and not isinstance(num_masked, bool)
        check_sizes(num_masked=abs(num_masked) if is_number else num_masked)
        check_pair(network, elementwise)
        if getattr(network, "input_size", abs(num_masked)) != abs(num_masked):
            raise InputError(f"num_masked must be {network.input_size}, as the network takes; got {num_masked}.")
        super().__init__(forward_min_event_ndims=1, name=name)
        self._num_masked, self.network, self.elementwise = num_masked, network, elementwise

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def _cut(self, rows: tf.Tensor) -> tuple[int, bool]:
        stays, size = abs(self._num_masked), rows.shape[-1]
        moves = getattr(self.network, "output_size", size - stays)
        if size != stays + moves:
            raise InputError(
                f"x must have {plural(stays + moves, 'column')}, {stays} of which stay; got shape {rows.shape}."
            )
        return (stays, True) if self._num_masked >= 0 else (moves, False)
