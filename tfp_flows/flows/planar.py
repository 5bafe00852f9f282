"""Planar flow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors import Planar
from tfp_flows.flows.chain import Ends, LayerMaker, check_no_context, prebuilt

__all__ = ["planar"]


@prebuilt()
def planar(
    event_size: int,
    *,
    num_layers: int = 16,
    context_size: int = 0,
    base: str | tfp.distributions.Distribution = "normal",
    batch_norm: bool = False,
    whiten: bool | None = None,
    power: bool | None = None,
    recompute: bool = False,
    support: Ends | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> LayerMaker:
    """Planar flow: each layer bends space along one direction; one pass to sample, a root to solve for a density.

    ```
    x = u + v tanh(w.u + b)        in each layer, with w.v >= -1
    ```

    Args:
      num_layers: planar layers.

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.planar(event_size=3, num_layers=2, seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Rezende and Mohamed, Variational Inference with Normalizing Flows, arXiv:1505.05770.
    """
    check_no_context("planar", context_size)

    def layer(_: int, network: dict[str, Any]) -> Planar:
        return Planar(event_size, rng=np.random.default_rng(network["seed"]), dtype=dtype, name=network["name"])

    return layer
