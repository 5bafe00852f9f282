"""MADE: the masked network that autoregressive flows are conditioned by."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.checks import as_dtype, as_hidden_units, check_sizes
from tfp_flows.elementwise import Elementwise
from tfp_flows.errors import InputError
from tfp_flows.networks.dense import (
    Dense,
    activation_function,
    as_context,
    as_input,
    check_residual,
    random_generator,
)
from tfp_flows.networks.features import PLAIN, Fourier, as_seen, check_features
from tfp_flows.networks.solver import BLOCK, Plan, block_for, solve
from tfp_flows.recipe import Recorded, spend
from tfp_flows.words import in_short

__all__ = ["MADE"]

ORDERS = ("left-to-right", "right-to-left", "random")


class MADE(Recorded, tf.Module):
    """Masked autoencoder for distribution estimation: `y[..., i, :]` is a function of the `x[..., j]` before `i` only.

    ```
    h[0]   = x
    h[l+1] = act(h[l] (M[l] * W[l]) + c V[l] + b[l])        M[l][j, k] = 1 if degree(j) <= degree(k)
    y      = h[L] (M[L] * W[L]) + c V[L] + b[L]             M[L][j, i] = 1 if degree(j) <  degree(i)
    ```

    Input i has the degree `order[i]` in 1..D; hidden degrees are spread evenly, in ascending order. The mask is
    multiplied into the kernel at every call, so no optimiser, checkpoint or hand-written weight can break the
    autoregressive property. The last kernel starts small, so a flow built on it starts close to the identity.
    A context `c` reaches every hidden unit and every output.

    Exchangeable with `tfb.AutoregressiveNetwork`: called as `made(x, conditional_input=None)`.

    Args:
      event_size: D, at least 1.
      params: outputs per dimension: 2 for shift and log-scale.
      hidden_units: sizes of the hidden layers, any positive integers; () makes it affine.
      activation: "silu", "tanh", "softplus", "gelu", "elu" or "relu".
      context_size: C, the size of the conditional input; 0 for none.
      residual: whether each hidden layer but the first adds to the one before: `z[l+1] = z[l] + act(z[l]) W[l] + b[l]`,
        with `hidden_units` of one size.
      features: what it sees of each dimension: the number alone, or its waves as well.
      order: "left-to-right", "right-to-left", "random", or the degrees themselves, a permutation of 1..D.
      seed: integer that fixes the initial weights (and the random order).
      dtype: "float32" or "float64".
      name: prefix of the variables' names.

    Shapes: `x [..., D]`, `conditional_input [..., C]` (their leading dimensions broadcast) `-> [..., D, params]`.

    Raises:
      InputError: for a size that is not a positive integer, an unknown activation or order, a missing context or
        one that was not asked for.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> made = tff.networks.MADE(3, hidden_units=(16, 16), seed=0)
    >>> x = tf.random.normal([5, 3], seed=0)
    >>> made(x).shape
    TensorShape([5, 3, 2])
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(x)
    ...     shift = made(x)[..., 0]
    >>> bool(tf.reduce_all(tf.linalg.band_part(tape.batch_jacobian(shift, x), 0, -1) == 0.0))
    True

    Source: Germain et al., MADE, arXiv:1502.03509; conditioning as in Papamakarios et al., arXiv:1705.07057.
    """

    def __init__(
        self,
        event_size: int,
        params: int = 2,
        hidden_units: Sequence[int] = (64, 64),
        *,
        activation: str = "silu",
        context_size: int = 0,
        residual: bool = False,
        features: Fourier = PLAIN,
        order: str | Sequence[int] = "left-to-right",
        seed: int | None = None,
        dtype: str = "float32",
        name: str = "made",
    ) -> None:
        super().__init__(name=name)
        check_sizes(event_size=event_size, params=params, context_size=context_size)
        hidden_units = as_hidden_units(hidden_units)
        check_residual(residual, hidden_units)
        check_features(features, event_size)
        dtype = as_dtype(dtype)
        self.dtype = dtype
        rng = random_generator(seed)
        sizes = [event_size * features.width + context_size, *hidden_units, event_size * params]
        spend(sum(n * m for n, m in itertools.pairwise(sizes)) if event_size > 1 else sum(sizes))
        self.event_size, self.params, self.context_size = event_size, params, context_size
        self.order = _degrees(order, event_size, rng)
        self._activation, self._residual, self.features = activation_function(activation), bool(residual), features
        if event_size == 1 and context_size == 0:
            hidden_units = ()  # the only output depends on nothing: a bias is all there is to learn
        degrees = [self.order] + [_hidden_degrees(n, event_size, context_size) for n in hidden_units]
        self._hidden = self._no_dependency(degrees[1:])
        self._plans = self._no_dependency({})  # by the size of their blocks
        degrees[0] = np.repeat(self.order, features.width)
        degrees.append(np.repeat(self.order - 1, params))  # an output sees what is before its own dimension
        self._layers, self._context_layers = [], []
        for i, (below, above) in enumerate(itertools.pairwise(degrees)):
            last = i == len(hidden_units)
            sizes, options = (len(below), len(above)), {"gain": 1e-3 if last else 1.0, "dtype": dtype}
            self._layers.append(Dense(*sizes, rng, degrees=(below, above), name=f"{name}/layer{i}", **options))
            if context_size:
                options |= {"use_bias": False, "name": f"{name}/context{i}"}
                self._context_layers.append(Dense(context_size, len(above), rng, **options))

    @property
    def made_with(self) -> dict[str, Any]:
        """The arguments, by name; an order that was drawn, as it came out."""
        arguments = Recorded.made_with.fget(self)
        is_drawn = isinstance(arguments.get("order"), str) and arguments["order"] == "random"
        return arguments | ({"order": self.order.tolist()} if is_drawn else {})

    def __call__(self, x: tf.Tensor, conditional_input: tf.Tensor | None = None) -> tf.Tensor:
        """`x [..., D]`, `conditional_input [..., C]` -> `[..., D, params]`."""
        conditional_input = as_context(conditional_input, self.context_size, self.dtype)
        h = as_input(x, self.event_size, self.dtype)
        h = as_seen(self.features, h)
        for i, layer in enumerate(self._layers):
            below, h = h, layer(self._activation(h) if i else h)
            if self._context_layers:
                h += self._context_layers[i](conditional_input)
            if self._residual and 0 < i < len(self._layers) - 1:
                h += below
        return tf.reshape(h, tf.concat([tf.shape(h)[:-1], [self.event_size, self.params]], 0))

    def solve(
        self, u: tf.Tensor, elementwise: Elementwise, conditional_input: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the `x` with `x = elementwise.forward(made(x), u)`, and returns it with the log-slope `log|dx/du|`.

        The D steps take the multiplications of about one pass, not of D: a hidden unit of degree k depends on the first
        k dimensions only, and is computed once, when they are known. Both are differentiable in `u`, the weights and
        the context.

        Args:
          u: `[..., D]`.
          elementwise: a map of `tff.elementwise` or like them, of as many `params`. What it does is traced once for
            equal ones, not at every call.
          conditional_input: `[..., C]`; its leading dimensions broadcast with those of `u`.

        Returns:
          `x [..., D]` and its log-slope `[..., D]`.

        Example:

        >>> import tensorflow as tf, tfp_flows as tff
        >>> made = tff.networks.MADE(3, params=1, hidden_units=(16,), seed=0)
        >>> x, _ = made.solve(tf.ones([5, 3]), tff.elementwise.Shift())
        >>> bool(tf.reduce_all(tf.abs(x - made(x)[..., 0] - 1.0) < 1e-6))
        True
        """
        conditional_input = as_context(conditional_input, self.context_size, self.dtype)
        if elementwise.params != self.params:
            raise InputError(f"the network has params={self.params}; {elementwise} takes {elementwise.params}.")
        u = as_input(u, self.event_size, self.dtype)
        u = tf.ensure_shape(u, [*u.shape[:-1], self.event_size])
        batch = tf.shape(u)[:-1]
        if conditional_input is not None:
            batch = tf.broadcast_dynamic_shape(batch, tf.shape(conditional_input)[:-1])
        columns = _columns(u, batch)
        offsets = [layer.bias[:, None] for layer in self._layers]
        if conditional_input is not None:
            context = tf.transpose(_columns(conditional_input, batch))
            offsets = [
                offset + tf.transpose(layer(context))
                for offset, layer in zip(offsets, self._context_layers, strict=True)
            ]
        kernels = [layer.transposed_kernel() for layer in self._layers]
        place, back = np.argsort(self.order), self.order - 1  # of each degree among the inputs, and the reverse
        outputs = (place[:, None] * self.params + np.arange(self.params)).ravel()
        inputs = (place[:, None] * self.features.width + np.arange(self.features.width)).ravel()
        kernels[0] = _take(kernels[0], inputs, axis=1)
        kernels[-1] = _take(kernels[-1], outputs)
        offsets[-1] = _take(offsets[-1], outputs)
        plan = self._plan(block_for(self.params))
        features = self.features.taken(place)
        y = solve(plan, kernels, offsets, self._activation, features, elementwise, _take(columns, place))
        y = tf.transpose(_take(tf.reshape(y, [self.event_size, self.params, -1]), back), [2, 0, 1])
        y = tf.reshape(y, tf.concat([batch, [self.event_size, self.params]], 0))
        return elementwise.forward(y, tf.broadcast_to(u, tf.concat([batch, [self.event_size]], 0)))

    def _plan(self, block: int) -> Plan:
        if block not in self._plans:
            self._plans[block] = Plan(
                self._hidden, self.event_size, (self.features.width, self.params), block, self._residual
            )
        return self._plans[block]


def _columns(x: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Rows `[..., N]`, of whatever batch, as the columns of a matrix `[N, B]`."""
    x = tf.broadcast_to(x, tf.concat([batch, x.shape[-1:]], 0))
    return tf.transpose(tf.reshape(x, [-1, x.shape[-1]]))


def _take(x: tf.Tensor, index: np.ndarray, axis: int = 0) -> tf.Tensor:
    """`tf.gather`, or nothing at all where the index changes nothing."""
    return x if np.array_equal(index, np.arange(x.shape[axis])) else tf.gather(x, index, axis=axis)


def _degrees(order: str | Sequence[int], event_size: int, rng: np.random.Generator) -> np.ndarray:
    """The degree of each input, a permutation of 1..D."""
    natural = np.arange(1, event_size + 1)
    if isinstance(order, str):
        if order not in ORDERS:
            raise InputError(
                f"order must be one of {', '.join(ORDERS)} or a permutation of 1..D; got {in_short(order)}."
            )
        return {"left-to-right": natural, "right-to-left": natural[::-1], "random": rng.permutation(natural)}[order]
    degrees = np.array(order)
    if degrees.ndim != 1 or degrees.dtype.kind not in "iu" or sorted(degrees.tolist()) != natural.tolist():
        raise InputError(f"order must be a permutation of 1..{event_size}; got {in_short(order)}.")
    return degrees.astype(int)


def _hidden_degrees(units: int, event_size: int, context_size: int) -> np.ndarray:
    """Degrees spread evenly over 1..D-1, ascending; from 0 where a context gives even the first dimension an input.

    Where all blocks of dimensions can have equally many units, D-1 gets the share of a degree D too: see `Plan`.
    """
    first = 0 if context_size else 1
    if not context_size and event_size > BLOCK and units * BLOCK % event_size == 0:
        return np.minimum(1 + np.arange(units) * event_size // units, event_size - 1)
    return np.floor(np.linspace(first, event_size - 1e-9, units, endpoint=False)).astype(int)
