"""Masked autoregressive flow."""

from collections.abc import Sequence

from tfp_flows.bijectors import MaskedAutoregressiveFlow
from tfp_flows.flow import Flow
from tfp_flows.flows.chain import build_chain
from tfp_flows.networks import MADE, ShiftAndLogScale

__all__ = ["maf"]


def maf(
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
    """Masked autoregressive flow: log-densities in one pass a layer, samples in D short steps.

    ```
    x[i] = shift(x[<i]) + exp(log_scale(x[<i])) u[i]        in each layer, with the order reversed between layers
    ```

    The D steps of a sample wait for one another, but together they cost about two passes of a wide network: each
    hidden unit is computed once.

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
    >>> flow = tff.maf(event_size=3, num_layers=2, hidden_units=(16,), seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Papamakarios et al., Masked Autoregressive Flow, arXiv:1705.07057.
    """
    options = dict(locals())

    def layer(i: int, seed: int) -> MaskedAutoregressiveFlow:
        made = MADE(
            event_size,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            seed=seed,
            dtype=dtype,
            name=f"maf{i}",
        )
        return MaskedAutoregressiveFlow(ShiftAndLogScale(made, log_scale_bound), name=f"maf{i}")

    return build_chain("maf", options, layer)
