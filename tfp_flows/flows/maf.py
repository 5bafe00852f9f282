"""Masked autoregressive flow."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_flows.bijectors import MaskedAutoregressiveFlow
from tfp_flows.flows.chain import Ends, LayerMaker, prebuilt
from tfp_flows.networks import MADE, ShiftAndLogScale

__all__ = ["maf"]


@prebuilt()
def maf(
    event_size: int,
    *,
    num_layers: int = 5,
    hidden_units: Sequence[int] = (64, 64),
    activation: str = "silu",
    residual: bool = False,
    octaves: int | Sequence[int] = 0,
    damped_beyond: float | None = 9.0,
    context_size: int = 0,
    context_network: Callable | None = None,
    base: str | tfp.distributions.Distribution = "normal",
    batch_norm: bool = False,
    act_norm: bool = False,
    mixing: str | Sequence[Sequence[int] | None] = "reverse",
    whiten: bool | None = None,
    power: bool | None = None,
    log_scale_bound: float = 1.0,
    recompute: bool = False,
    support: Ends | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> LayerMaker:
    """Masked autoregressive flow: log-densities in one pass a layer, samples in D short steps.

    ```
    x[i] = shift(x[<i]) + exp(log_scale(x[<i])) u[i]        in each layer, with the order reversed between layers
    ```

    The D steps of a sample wait for one another, but together they cost about two passes of a wide network: each
    hidden unit is computed once.

    Args:
      num_layers: autoregressive layers, each with a network of its own.

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

    def layer(_: int, network: dict[str, Any]) -> MaskedAutoregressiveFlow:
        made = MADE(event_size, **network)
        return MaskedAutoregressiveFlow(ShiftAndLogScale(made, log_scale_bound), name=made.name)

    return layer
