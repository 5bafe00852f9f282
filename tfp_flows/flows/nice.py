"""Non-linear independent components estimation."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_flows.bijectors import NICE, Scale
from tfp_flows.flows.chain import Ends, LayerMaker, prebuilt
from tfp_flows.networks import MLP, ShiftAndLogScale

__all__ = ["nice"]


@prebuilt(halves=True)
def nice(
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
    power: bool | None = False,
    reversible: bool = False,
    support: Ends | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> tuple[LayerMaker, list[tfp.bijectors.Bijector]]:
    """NICE: additive coupling layers and one scale, so that the log-det is the same everywhere.

    ```
    x[:d] = u[:d]     x[d:] = u[d:] + shift(u[:d])     d = D // 2, other halves in each layer
    u = exp(log_scale) z                               at the latent end, z ~ N(0, I)
    ```

    One dimension is a shift of the context, or of nothing.

    Args:
      num_layers: coupling layers.

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=3, num_layers=2, hidden_units=(16,), seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Dinh et al., NICE: Non-linear Independent Components Estimation, arXiv:1410.8516.
    """
    stays = event_size // 2

    def layer(_: int, network: dict[str, Any]) -> NICE:
        made = ShiftAndLogScale(MLP(stays, event_size - stays, params=1, **network))
        return NICE(stays, made, name=network["name"])

    return layer, [Scale(event_size, dtype=dtype)]
