"""Neural autoregressive flow."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_flows.bijectors import Autoregressive
from tfp_flows.checks import check_sizes
from tfp_flows.elementwise import MixtureOfLogistics
from tfp_flows.flows.chain import Ends, LayerMaker, prebuilt
from tfp_flows.networks import MADE

__all__ = ["naf"]


@prebuilt()
def naf(
    event_size: int,
    *,
    num_layers: int = 3,
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
    num_components: int = 8,
    recompute: bool = False,
    support: Ends | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> LayerMaker:
    """Neural autoregressive flow: each dimension goes through the cdf of a mixture of logistics.

    ```
    u[i] = logit(F(x[i])),  F(x[i]) = sum{ weight[k] sigmoid((x[i] - mean[k]) / scale[k]) }     all made of x[<i]
    ```

    The latent Gaussian becomes, dimension by dimension, a mixture of laws close to logistic: to the question of the
    tutorial's readers whether IAF can transform the noise to a mixture of logistic distributions, this is how. The
    inverse of `tff.bijectors.Autoregressive(network, tff.elementwise.MixtureOfLogistics())`, `tfb.Invert` of it, is
    that IAF: parallel in sampling.

    Log-densities take one pass a layer. A sample solves for a root in each dimension, in D steps that wait for one
    another.

    Args:
      num_layers: autoregressive layers, each with a network of its own.
      num_components: K, logistic laws in each mixture.

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.naf(event_size=3, num_layers=2, hidden_units=(16,), seed=0)
    >>> x = flow.sample(4, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([4, 3]), TensorShape([4]))

    Source: Huang et al., Neural Autoregressive Flows, arXiv:1804.00779; the mixture of Flow++, arXiv:1902.00275.
    """
    check_sizes(num_components=num_components)
    mixture = MixtureOfLogistics(num_components)

    def layer(_: int, network: dict[str, Any]) -> Autoregressive:
        return Autoregressive(MADE(event_size, mixture.params, **network), mixture, name=network["name"])

    return layer
