"""Real-valued non-volume preserving flow."""

from collections.abc import Sequence

from tfp_flows.bijectors import RealNVP
from tfp_flows.flow import Flow
from tfp_flows.flows.chain import build_chain, check_coupling
from tfp_flows.networks import MLP, ShiftAndLogScale

__all__ = ["real_nvp"]


def real_nvp(
    event_size: int,
    *,
    num_layers: int = 8,
    hidden_units: Sequence[int] = (64, 64),
    activation: str = "silu",
    context_size: int = 0,
    batch_norm: bool = False,
    permutation: str | Sequence[Sequence[int]] = "reverse",
    log_scale_bound: float = 5.0,
    reversible: bool = False,
    seed: int | None = None,
    dtype: str = "float32",
) -> Flow:
    """RealNVP: affine coupling layers, one pass a layer in either direction.

    ```
    x[:d] = u[:d]     x[d:] = shift(u[:d]) + exp(log_scale(u[:d])) u[d:]     d = D // 2, reversed between layers
    ```

    Args:
      event_size: D, at least 2.
      num_layers: coupling layers.
      hidden_units: sizes of the hidden layers of each network.
      activation: of the networks: "silu", "tanh", "softplus", "gelu", "elu" or "relu".
      context_size: size of the conditional input, 0 for none.
      batch_norm: whether batch normalisation follows every second layer, as in the tutorial.
      permutation: between layers: "reverse", "random", "none", or a list of permutations of 0..D-1.
      log_scale_bound: smooth bound on the absolute log-scale of each layer.
      reversible: whether the gradient recomputes each layer's input by its inverse instead of keeping it: training then
        takes memory that does not grow with the depth, and more time a step; not with batch_norm.
      seed: integer that fixes the initial weights and random permutations.
      dtype: "float32" or "float64".

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.real_nvp(event_size=3, num_layers=2, hidden_units=(16,), seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Dinh et al., Density estimation using Real NVP, arXiv:1605.08803.
    """
    options = dict(locals())
    check_coupling("real_nvp", event_size)
    num_masked = event_size // 2

    def layer(i: int, seed: int) -> RealNVP:
        network = MLP(
            num_masked,
            event_size - num_masked,
            params=2,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            seed=seed,
            dtype=dtype,
            name=f"real_nvp{i}",
        )
        return RealNVP(
            num_masked=num_masked,
            shift_and_log_scale_fn=ShiftAndLogScale(network, log_scale_bound),
            name=f"real_nvp{i}",
        )

    return build_chain("real_nvp", options, layer)
