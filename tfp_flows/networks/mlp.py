"""MLP: the plain network that coupling flows are conditioned by."""

import itertools
from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.checks import as_dtype, as_hidden_units, check_sizes
from tfp_flows.networks.dense import (
    Dense,
    activation_function,
    as_context,
    as_input,
    check_residual,
    random_generator,
)
from tfp_flows.networks.features import PLAIN, Fourier, as_seen, check_features
from tfp_flows.recipe import Recorded, spend

__all__ = ["MLP"]


class MLP(Recorded, tf.Module):
    """A multilayer perceptron `[..., N] -> [..., M, params]`, with an optional context `c`.

    ```
    h[1]   = act(x W[0] + c V + b[0])
    h[l+1] = act(h[l] W[l] + b[l])
    y      = reshape(h[L] W[L] + b[L], [..., M, params])
    ```

    The last layer is linear (an activation there would keep shift and log-scale from being negative) and starts
    small, so a flow built on it starts close to the identity.

    Args:
      input_size: N; 0 for a network of the context alone, or of nothing: constants, without hidden layers.
      output_size: M, at least 1.
      params: outputs per dimension: 2 for shift and log-scale.
      hidden_units: sizes of the hidden layers, any positive integers; () makes it affine.
      activation: "silu", "tanh", "softplus", "gelu", "elu" or "relu".
      context_size: C, the size of the conditional input; 0 for none.
      residual: whether each hidden layer but the first adds to the one before, with `hidden_units` of one size.
      features: what it sees of each input: the number alone, or its waves as well.
      seed: integer that fixes the initial weights.
      dtype: "float32" or "float64".
      name: prefix of the variables' names.

    Raises:
      InputError: for a size that is not a positive integer, an unknown activation, a missing context or one that was
        not asked for.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> mlp = tff.networks.MLP(3, 2, params=2, context_size=4, seed=0)
    >>> mlp(tf.ones([5, 3]), conditional_input=tf.ones([5, 4])).shape
    TensorShape([5, 2, 2])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        params: int = 2,
        hidden_units: Sequence[int] = (64, 64),
        *,
        activation: str = "silu",
        context_size: int = 0,
        residual: bool = False,
        features: Fourier = PLAIN,
        seed: int | None = None,
        dtype: str = "float32",
        name: str = "mlp",
    ) -> None:
        super().__init__(name=name)
        check_sizes(input_size=input_size, output_size=output_size, params=params, context_size=context_size)
        hidden_units = as_hidden_units(hidden_units)
        check_residual(residual, hidden_units)
        check_features(features, input_size)
        dtype = as_dtype(dtype)
        self.dtype = dtype
        rng = random_generator(seed)
        self.input_size, self.output_size, self.params, self.context_size = (
            input_size,
            output_size,
            params,
            context_size,
        )
        self._activation, self._residual, self.features = activation_function(activation), bool(residual), features
        hidden_units = hidden_units if input_size or context_size else ()
        sizes = [input_size * features.width, *hidden_units, output_size * params]
        spend(context_size * sizes[1] + sum(n * m for n, m in itertools.pairwise(sizes)))
        self._layers = [
            Dense(n, m, rng, gain=1e-3 if i == len(hidden_units) else 1.0, dtype=dtype, name=f"{name}/layer{i}")
            for i, (n, m) in enumerate(itertools.pairwise(sizes))
        ]
        self._context_layer = None
        if context_size:
            options = {"use_bias": False, "dtype": dtype, "name": f"{name}/context"}
            self._context_layer = Dense(context_size, sizes[1], rng, **options)

    def __call__(self, x: tf.Tensor, conditional_input: tf.Tensor | None = None) -> tf.Tensor:
        """`x [..., N]`, `conditional_input [..., C]` -> `[..., M, params]`."""
        conditional_input = as_context(conditional_input, self.context_size, self.dtype)
        h = as_input(x, self.input_size, self.dtype)
        h = as_seen(self.features, h)
        for i, layer in enumerate(self._layers):
            below, h = h, layer(self._activation(h) if i else h)
            if self._residual and 0 < i < len(self._layers) - 1:
                h += below
            if i == 0 and self._context_layer:
                h += self._context_layer(conditional_input)
        return tf.reshape(h, tf.concat([tf.shape(h)[:-1], [self.output_size, self.params]], 0))
