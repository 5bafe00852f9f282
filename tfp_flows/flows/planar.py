"""Planar flow."""

import numpy as np

from tfp_flows.bijectors import Planar
from tfp_flows.checks import check_sizes
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.flows.chain import build_chain

__all__ = ["planar"]


def planar(
    event_size: int,
    *,
    num_layers: int = 16,
    context_size: int = 0,
    batch_norm: bool = False,
    recompute: bool = False,
    seed: int | None = None,
    dtype: str = "float32",
) -> Flow:
    """Planar flow: each layer bends space along one direction; one pass to sample, a root to solve for a density.

    ```
    x = u + v tanh(w.u + b)        in each layer, with w.v >= -1
    ```

    Args:
      event_size: D, at least 1.
      num_layers: planar layers.
      context_size: size of the conditional input, 0 for none.
      batch_norm: whether batch normalisation follows every second layer, as in the tutorial.
      recompute: whether the gradient computes about sqrt(num_layers) segments of layers again instead of keeping them:
        training then takes less memory, and more time a step.
      seed: integer that fixes the initial weights.
      dtype: "float32" or "float64".

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
    options = dict(locals())
    check_sizes(context_size=context_size)
    if context_size:
        raise InputError(f"planar has no network to take a context: context_size must be 0; got {context_size!r}.")

    def layer(i: int, seed: int) -> Planar:
        return Planar(event_size, rng=np.random.default_rng(seed), dtype=dtype, name=f"planar{i}")

    return build_chain("planar", options, layer)
