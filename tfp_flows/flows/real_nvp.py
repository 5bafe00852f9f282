"""Real-valued non-volume preserving flow."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_flows.bijectors import RealNVP
from tfp_flows.flows.chain import Ends, LayerMaker, prebuilt
from tfp_flows.networks import MLP, ShiftAndLogScale

__all__ = ["real_nvp"]


@prebuilt(halves=True)
def real_nvp(
    event_size: int,
    *,
    num_layers: int = 8,
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
    log_scale_bound: float = 2.0,
    reversible: bool = False,
    support: Ends | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> LayerMaker:
    """RealNVP: affine coupling layers, one pass a layer in either direction.

    ```
    x[:d] = u[:d]     x[d:] = shift(u[:d]) + exp(log_scale(u[:d])) u[d:]     d = D // 2, other halves in each layer
    ```

    One dimension is an affine map of the context, or of nothing.

    Args:
      num_layers: coupling layers.

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
    stays = event_size // 2

    def layer(_: int, network: dict[str, Any]) -> RealNVP:
        made = ShiftAndLogScale(MLP(stays, event_size - stays, **network), log_scale_bound)
        return RealNVP(num_masked=stays, shift_and_log_scale_fn=made, name=network["name"])

    return layer
