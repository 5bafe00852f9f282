"""Layers whose parameters a network makes: which keyword arguments they take, and what the network's outputs do."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.rows import as_rows
from tfp_flows.elementwise import Elementwise
from tfp_flows.elementwise.affine import scaled_and_shifted, unscaled_and_unshifted
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["Conditioned", "check_pair"]

AFFINE = {"forward": scaled_and_shifted, "inverse": unscaled_and_unshifted}


def check_pair(network: Any, elementwise: Any) -> None:
    """Raises `InputError` unless the network gives as many parameters as the elementwise map takes."""
    if isinstance(elementwise, type) or not all(hasattr(elementwise, name) for name in ("params", *AFFINE)):
        raise InputError(f"elementwise must be a map like those of tff.elementwise; got {in_short(elementwise)}.")
    if not callable(network) or not hasattr(network, "params"):
        raise InputError(f"network must be one like those of tff.networks, with params; got {in_short(network)}.")
    if network.params != elementwise.params:
        raise InputError(f"network.params must be {elementwise.params} for {elementwise}; got {network.params}.")


class Conditioned:
    """Mixin for bijectors with a `network` and an `elementwise` map of its outputs, or with TFP's functions for both.

    One evaluation of the network serves value and log-det: TFP's cache keeps the latter with the pair (x, y). The layer
    takes `conditional_input` where its network has a `context_size`. `Flow` reads `keywords` to route its own
    `context` and `training` to the layers that take them.
    """

    network: Callable
    elementwise: Elementwise
    _event_ndims = 1
    _shift_and_log_scale_fn: Callable | None = None
    _bijector_fn: Callable | None = None

    @property
    def keywords(self) -> tuple[str, ...]:
        """Names of the keyword arguments that `forward`, `inverse` and the log-dets take."""
        conditioner = self._shift_and_log_scale_fn or self._bijector_fn or self.network
        return ("conditional_input",) if getattr(conditioner, "context_size", 0) else ()

    @property
    def event_size(self) -> int | None:
        """D, where the network knows it."""
        conditioner = self._shift_and_log_scale_fn or self._bijector_fn or self.network
        network = getattr(conditioner, "network", conditioner)
        if hasattr(network, "input_size") and hasattr(network, "output_size"):
            return network.input_size + network.output_size
        return getattr(network, "event_size", None)

    def _forward(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        y, log_det = self._of_rows("forward", x, kwargs)
        self._cache.forward_attributes(x, **kwargs)["ildj"] = -log_det
        return y

    def _inverse(self, y: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        x, log_det = self._of_rows("inverse", y, kwargs)
        self._cache.inverse_attributes(y, **kwargs)["ildj"] = log_det
        return x

    def _forward_log_det_jacobian(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        return self._of_rows("forward", x, kwargs)[1]

    def _inverse_log_det_jacobian(self, y: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        return self._of_rows("inverse", y, kwargs)[1]

    def _is_increasing(self, **kwargs: tf.Tensor) -> bool:
        if self._bijector_fn is not None and self._shift_and_log_scale_fn is None:
            raise NotImplementedError("whether a layer with a bijector_fn increases is not known.")
        return True  # of one dimension: elementwise maps are increasing, and scales positive

    def _of_rows(self, direction: str, value: tf.Tensor, kwargs: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        """The layer in that direction and its log-det, of a batch of any number of dimensions."""
        if self._event_ndims != 1:
            return self._both(direction, value, **kwargs)
        rows, given, whole = as_rows(value, kwargs)
        moved, log_det = self._both(direction, rows, **given)
        return whole(moved), whole(log_det)

    def _both(self, direction: str, rows: tf.Tensor, **kwargs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows `[..., D]` in the direction "forward" or "inverse", and the log-det of that."""
        raise NotImplementedError

    def _moved(
        self, direction: str, stays: tf.Tensor, moves: tf.Tensor, **kwargs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What the map that the network makes of `stays` does to `moves`, "forward" or "inverse", and its log-det."""
        if self._bijector_fn is not None:
            bijector = self._bijector_fn(*self._arguments(stays), **kwargs)
            log_det = getattr(bijector, f"{direction}_log_det_jacobian")(moves, event_ndims=self._event_ndims)
            return getattr(bijector, direction)(moves), log_det
        if self._shift_and_log_scale_fn is not None:
            made = self._shift_and_log_scale_fn(*self._arguments(stays), **kwargs)
            made = tf.unstack(made, num=2, axis=-1) if tf.is_tensor(made) else made
            value, log_slope = AFFINE[direction](*made, moves)
            if made[1] is None:
                return value, tf.zeros([], moves.dtype)  # a shift alone: the same for all rows
        else:
            raw = self.network(stays, **kwargs)
            if not raw.shape[-2:].is_compatible_with([moves.shape[-1], self.elementwise.params]):
                raise InputError(
                    f"the network must give [..., {moves.shape[-1]}, {self.elementwise.params}], parameters of "
                    f"{self.elementwise} for each dimension that moves; it gave {raw.shape}."
                )
            value, log_slope = getattr(self.elementwise, direction)(raw, moves)
        return value, self._log_det(log_slope, moves)

    def _arguments(self, stays: tf.Tensor) -> tuple[Any, ...]:
        """What TFP hands to its functions."""
        return (stays,)

    def _log_det(self, log_slope: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        """The sum of the log-slopes."""
        event_ndims = self._event_ndims
        broadcasts = log_slope.shape[-event_ndims:] != like.shape[-event_ndims:]
        return tf.reduce_sum(log_slope + tf.zeros_like(like) if broadcasts else log_slope, axis=range(-event_ndims, 0))
