"""Inverse autoregressive flow."""

from collections.abc import Sequence

import tensorflow_probability as tfp

from tfp_flows.bijectors import MaskedAutoregressiveFlow
from tfp_flows.flow import Flow
from tfp_flows.flows.chain import build_chain
from tfp_flows.networks import MADE, ShiftAndLogScale

__all__ = ["iaf"]


def iaf(
    event_size: int,
    *,
    num_layers: int = 5,
    hidden_units: Sequence[int] = (64, 64),
    activation: str = "silu",
    context_size: int = 0,
    batch_norm: bool = False,
    permutation: str | Sequence[Sequence[int]] = "reverse",
    log_scale_bound: float = 5.0,
    recompute: bool = False,
    seed: int | None = None,
    dtype: str = "float32",
) -> Flow:
    """Inverse autoregressive flow: samples, and their log-densities, in one pass a layer.

    ```
    x[i] = (u[i] - shift(u[<i])) exp(-log_scale(u[<i]))     in each layer, with the order reversed between layers
    ```

    The density of rows that it did not draw takes D steps a layer that wait for one another: together about two
    passes of a wide network. `maf` has it the other way round.

    Args:
      event_size: D, at least 1.
      num_layers: autoregressive layers, each with a network of its own.
      hidden_units: sizes of the hidden layers of each network.
      activation: of the networks: "silu", "tanh", "softplus", "gelu", "elu" or "relu".
      context_size: size of the conditional input, 0 for none.
      batch_norm: whether batch normalisation follows every second layer, as in the tutorial.
      permutation: between layers: "reverse", "random", "none", or a list of permutations of 0..D-1.
      log_scale_bound: smooth bound on the absolute log-scale of each layer.
      recompute: whether the gradient computes about sqrt(num_layers) segments of layers again instead of keeping them:
        training then takes less memory, and more time a step.
      seed: integer that fixes the initial weights and random permutations.
      dtype: "float32" or "float64".

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.iaf(event_size=3, num_layers=2, hidden_units=(16,), seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Kingma et al., Improving Variational Inference with Inverse Autoregressive Flow, arXiv:1606.04934.
    """
    options = dict(locals())

    def layer(i: int, seed: int) -> tfp.bijectors.Bijector:
        made = MADE(
            event_size,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            seed=seed,
            dtype=dtype,
            name=f"iaf{i}",
        )
        maf = MaskedAutoregressiveFlow(ShiftAndLogScale(made, log_scale_bound))
        return tfp.bijectors.Invert(maf, name=f"iaf{i}")

    return build_chain("iaf", options, layer)
