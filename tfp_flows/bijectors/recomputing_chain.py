"""A chain that forgets what happens inside it, and computes it again for the gradient, a few layers at a time."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.recompute import Step, evaluate
from tfp_flows.errors import InputError
from tfp_flows.recipe import Recorded

__all__ = ["RecomputingChain"]

tfb = tfp.bijectors


class RecomputingChain(Recorded, tfb.Composition):
    """A `tfb.Chain`, with the same law, whose gradient takes memory that grows with the square root of the depth.

    ```
    forward   x = f[0](f[1](... f[L-1](u)))
    inverse   u = f[L-1]^-1(... f[1]^-1(f[0]^-1(x)))
    forward_log_det_jacobian(u) = sum{ log-det of f[i] at its own input : i=0...L-1 }
    ```

    Plain backpropagation keeps all that every layer computed. Here the L layers form about sqrt(L) segments, and a pass
    in either direction keeps the input of each segment, nothing else; its gradient evaluates one segment after another
    again, from the last. The gradients in the input, in the weights and in keyword arguments are those of `tfb.Chain`,
    and cost one pass more. Second derivatives are right too, in the memory that a plain chain takes; forward-mode ones
    are not supported, nor is the gradient of a `tf.while_loop` around the chain (a gradient inside of one is).

    Value and log-det come from one evaluation: TFP's cache keeps the log-det with the pair of values.

    Args:
      bijectors: the layers, that of the data's end first, as `tfb.Chain` has them.
      name: name of the chain.

    Raises:
      InputError: for a layer that changes the number of dimensions, or of parts, of an event.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> chain = tff.bijectors.RecomputingChain([tff.bijectors.Planar(2, name=f"planar{i}") for i in range(4)])
    >>> with tf.GradientTape() as tape:
    ...     log_det = chain.forward_log_det_jacobian(tf.ones([5, 2]), event_ndims=1)
    >>> len(tape.gradient(log_det, chain.trainable_variables))
    12

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv:1604.06174.
    """

    def __init__(self, bijectors: Sequence[tfb.Bijector], *, name: str = "recomputing_chain") -> None:
        for layer in bijectors:
            ndims = layer.forward_min_event_ndims, layer.inverse_min_event_ndims
            if ndims[0] != ndims[1] or not isinstance(ndims[0], int):
                raise InputError(
                    f"bijectors must keep the number of dimensions; {layer.name} takes {ndims[0]} to {ndims[1]}."
                )
        # The parameters are what TFP finds batch shapes by, and copies.
        super().__init__(
            list(bijectors),
            name,
            {"bijectors": list(bijectors), "name": name},
            forward_min_event_ndims=None,
            inverse_min_event_ndims=None,
        )
        self._segments = self._no_dependency(self._cut(_units(self.bijectors)))

    def _get_parameterization(self) -> int:
        """What TFP's cache takes for equality: every chain is another one."""
        return id(self)

    def _is_increasing(self, **kwargs: Any) -> bool | tf.Tensor:
        return tfb.Chain._is_increasing(self, **kwargs)

    def _cut(self, units: list[list[tfb.Bijector]]) -> list[list[tfb.Bijector]]:
        """The segments, in the order of `bijectors`."""
        size = math.ceil(math.sqrt(len(units)))
        return [list(itertools.chain(*units[i : i + size])) for i in range(0, len(units), size)]

    def _step(self, layers: list[tfb.Bijector], forward: bool, kwargs_from: Callable) -> Step:
        """One segment, its layers in the order of the pass."""

        def run(x: tf.Tensor, tensors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            return _through(layers, x, kwargs_from(tensors), self.forward_min_event_ndims, forward=forward)

        return Step(run)

    def _pass(self, x: tf.Tensor, kwargs: dict[str, Any], *, forward: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The value and the log-det, in either direction."""
        tensors, kwargs_from = _split(kwargs)
        segments = [segment[::-1] for segment in reversed(self._segments)] if forward else self._segments
        return evaluate([self._step(layers, forward, kwargs_from) for layers in segments], x, tensors)

    def _forward(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        y, log_det = self._pass(x, kwargs, forward=True)
        self._cache.forward_attributes(x, **kwargs)["ildj"] = -log_det
        return y

    def _inverse(self, y: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        x, log_det = self._pass(y, kwargs, forward=False)
        self._cache.inverse_attributes(y, **kwargs)["ildj"] = log_det
        return x

    def _forward_log_det_jacobian(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        self.forward(x, **kwargs)
        return -self._cache.forward_attributes(x, **kwargs)["ildj"]

    def _inverse_log_det_jacobian(self, y: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        self.inverse(y, **kwargs)
        return self._cache.inverse_attributes(y, **kwargs)["ildj"]

    # tfb.Composition would ask every layer for its log-det, in a second pass; tfb.Bijector looks into the cache first.

    def _call_forward_log_det_jacobian(self, *args: Any, **kwargs: Any) -> tf.Tensor:
        return tfb.Bijector._call_forward_log_det_jacobian(self, *args, **kwargs)

    def _call_inverse_log_det_jacobian(self, *args: Any, **kwargs: Any) -> tf.Tensor:
        return tfb.Bijector._call_inverse_log_det_jacobian(self, *args, **kwargs)

    def _walk_forward(self, step_fn: Callable, x: Any, **kwargs: Any) -> Any:
        for layer in reversed(self.bijectors):
            x = step_fn(layer, x, **kwargs.get(layer.name, {}))
        return x

    def _walk_inverse(self, step_fn: Callable, y: Any, **kwargs: Any) -> Any:
        for layer in self.bijectors:
            y = step_fn(layer, y, **kwargs.get(layer.name, {}))
        return y


def _units(layers: Sequence[tfb.Bijector]) -> list[list[tfb.Bijector]]:
    """The layers in groups with one that has weights in each: a permutation is not worth a segment of its own."""
    units = []
    for layer in layers:
        if units and not (layer.trainable_variables and any(other.trainable_variables for other in units[-1])):
            units[-1].append(layer)
        else:
            units.append([layer])
    return units


def _through(
    layers: Sequence[tfb.Bijector], x: tf.Tensor, kwargs: dict[str, Any], event_ndims: int, *, forward: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """The value and the log-det of the layers, one after another.

    Each layer gets, and gives, a new tensor: TFP's cache holds on to the input of a layer as long as its output is
    there, and through it to the input of the layer before.
    """
    total = tf.zeros([], x.dtype)
    for layer in layers:
        x, own = tf.identity(x), kwargs.get(layer.name, {})
        y = layer.forward(x, **own) if forward else layer.inverse(x, **own)
        log_det_of = layer.forward_log_det_jacobian if forward else layer.inverse_log_det_jacobian
        total = total + tf.cast(log_det_of(x, event_ndims=event_ndims, **own), x.dtype)
        x = tf.identity(y)
    return x, total


def _split(kwargs: dict[str, Any]) -> tuple[list[tf.Tensor], Callable[[Sequence[tf.Tensor]], dict[str, Any]]]:
    """The tensors among the keyword arguments, each once, and how others take their places."""
    leaves = tf.nest.flatten(kwargs)
    keys = [leaf.ref() if tf.is_tensor(leaf) and leaf.dtype.is_floating else None for leaf in leaves]
    found = {key: tf.convert_to_tensor(leaf) for key, leaf in zip(keys, leaves, strict=True) if key is not None}

    def kwargs_from(tensors: Sequence[tf.Tensor]) -> dict[str, Any]:
        by_key = dict(zip(found, tensors, strict=True))
        return tf.nest.pack_sequence_as(kwargs, [by_key.get(k, leaf) for k, leaf in zip(keys, leaves, strict=True)])

    return list(found.values()), kwargs_from
