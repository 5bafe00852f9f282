"""Neural spline flow with autoregressive layers."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_flows.bijectors import Autoregressive
from tfp_flows.flows.chain import Ends, LayerMaker, Periods, prebuilt
from tfp_flows.flows.splines import spline_map
from tfp_flows.networks import MADE

__all__ = ["nsf"]


@prebuilt()
def nsf(
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
    mixing: str | Sequence[Sequence[int] | None] | None = None,
    whiten: bool | None = None,
    power: bool | None = None,
    num_bins: int = 8,
    interval: float | None = None,
    affine: bool | None = None,
    logit_bound: float | None = 2.0,
    tails: str | None = None,
    recompute: bool = False,
    support: Ends | None = None,
    circular: Periods | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> LayerMaker:
    """Neural spline flow: autoregressive layers of monotone rational-quadratic splines.

    ```
    x[i] = affine(spline(u[i])), both by network(x[<i])[i]        in each layer, the order reversed between layers
    ```

    Log-densities take one pass a layer. The D steps of a sample wait for one another, but each hidden unit is computed
    once, so that together they cost about two passes. One dimension is a spline of the context, or of nothing.

    Args:
      num_layers: autoregressive layers, each with a network of its own.

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.nsf(event_size=3, num_layers=2, hidden_units=(16,), seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Durkan et al., Neural Spline Flows, arXiv:1906.04032.
    """
    spline = spline_map(num_bins, interval, logit_bound, tails, affine)

    def layer(_: int, network: dict[str, Any]) -> Autoregressive:
        return Autoregressive(MADE(event_size, spline.params, **network), spline, name=network["name"])

    return layer
