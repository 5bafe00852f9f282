"""A chain that forgets all but its result, and goes back through its layers for the gradient."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.recompute import Step
from tfp_flows.bijectors.recomputing_chain import RecomputingChain
from tfp_flows.errors import InputError

__all__ = ["ReversibleChain"]

tfb = tfp.bijectors


class ReversibleChain(RecomputingChain):
    """A `tfb.Chain`, with the same law, whose gradient takes memory that does not grow with the depth.

    ```
    forward   x = f[0](f[1](... f[L-1](u)))
    inverse   u = f[L-1]^-1(... f[1]^-1(f[0]^-1(x)))
    forward_log_det_jacobian(u) = sum{ log-det of f[i] at its own input : i=0...L-1 }
    ```

    Plain backpropagation keeps all that every layer computed. Here a pass in either direction keeps its result, nothing
    else. Its gradient starts there: it recomputes the input of the last layer by that layer's other direction, takes
    the layer's vector-Jacobian product, for the value and the log-det together, and goes on to the layer before. The
    gradients in the input, in the weights and in keyword arguments are those of `tfb.Chain`, up to rounding in the
    recomputed values; they cost two passes more, or one where XLA finds what the two directions of a layer share.
    Second derivatives are right too, in the memory that a plain chain takes; forward-mode ones are not supported, nor
    is the gradient of a `tf.while_loop` around the chain (a gradient inside of one is).

    Both directions of every layer should be cheap: where one is not, `RecomputingChain` is the better one. Value and
    log-det come from one evaluation: TFP's cache keeps the log-det with the pair of values.

    Args:
      bijectors: the layers, that of the data's end first, as `tfb.Chain` has them.
      name: name of the chain.

    Raises:
      InputError: for a layer that cannot be undone, as batch normalisation in training, or that changes the number of
        dimensions, or of parts, of an event.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> chain = tff.bijectors.ReversibleChain([tff.bijectors.Affine(2, name=f"affine{i}") for i in range(4)])
    >>> with tf.GradientTape() as tape:
    ...     u = chain.inverse(tf.ones([5, 2]))
    >>> len(tape.gradient(u, chain.trainable_variables))
    12

    Source: Gomez et al., The Reversible Residual Network: Backpropagation Without Storing Activations,
    arXiv:1707.04585.
    """

    def __init__(self, bijectors: Sequence[tfb.Bijector], *, name: str = "reversible_chain") -> None:
        for layer in bijectors:
            if "training" in getattr(layer, "keywords", ()):
                raise InputError(
                    f"a reversible chain cannot undo {layer.name}, whose statistics in training are those of the batch "
                    "itself: leave batch norm out, or use recompute."
                )
        super().__init__(bijectors, name=name)

    def _cut(self, units: list[list[tfb.Bijector]]) -> list[list[tfb.Bijector]]:
        return units

    def _step(self, layers: list[tfb.Bijector], forward: bool, kwargs_from: Callable) -> Step:
        there = super()._step(layers, forward, kwargs_from)
        back = super()._step(layers[::-1], not forward, kwargs_from)

        def undo(y: tf.Tensor, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
            return back.run(y, tensors)[0]

        return Step(there.run, undo)
