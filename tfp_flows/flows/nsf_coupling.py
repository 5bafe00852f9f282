"""Neural spline flow with coupling layers."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_flows.bijectors import Coupling
from tfp_flows.flows.chain import Ends, LayerMaker, Periods, prebuilt
from tfp_flows.flows.splines import spline_map
from tfp_flows.networks import MLP

__all__ = ["nsf_coupling"]


@prebuilt(halves=True)
def nsf_coupling(
    event_size: int,
    *,
    num_layers: int = 4,
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
    num_bins: int = 16,
    interval: float | None = None,
    affine: bool | None = None,
    logit_bound: float | None = 2.0,
    tails: str | None = None,
    reversible: bool = False,
    support: Ends | None = None,
    circular: Periods | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> LayerMaker:
    """Neural spline flow: coupling layers of monotone rational-quadratic splines, one pass a layer in either direction.

    ```
    x[:d] = u[:d]     x[i] = affine(spline(u[i]))     i > d = D // 2, other halves in each layer,
                      both by network(u[:d])[i]
    ```

    Of the chains here the most flexible for its depth: the one to try first on data in a few dimensions. One dimension
    is a spline of the context, or of nothing.

    Args:
      num_layers: coupling layers.

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.nsf_coupling(event_size=3, num_layers=2, hidden_units=(16,), num_bins=8, seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Durkan et al., Neural Spline Flows, arXiv:1906.04032.
    """
    stays = event_size // 2
    spline = spline_map(num_bins, interval, logit_bound, tails, affine)

    def layer(_: int, network: dict[str, Any]) -> Coupling:
        made = MLP(stays, event_size - stays, params=spline.params, **network)
        return Coupling(stays, made, spline, name=network["name"])

    return layer
