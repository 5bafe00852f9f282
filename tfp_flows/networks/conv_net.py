"""ConvNet: the network of small images that an image flow is conditioned by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.checks import as_dtype, as_list, check_sizes
from tfp_flows.errors import InputError
from tfp_flows.networks.dense import Dense, activation_function, as_context, as_input, random_generator
from tfp_flows.networks.features import PLAIN, Fourier, check_features
from tfp_flows.networks.permuted import permuted
from tfp_flows.recipe import Recorded, spend
from tfp_flows.words import in_short

__all__ = ["ConvNet"]

SIDE = 3  # of a convolution's window, pixels


class ConvNet(Recorded, tf.Module):
    """A residual network of 3x3 convolutions, from the places of an image that are seen to those that are asked for.

    ```
    image   x at the places seen, channels_in numbers each, and zeros elsewhere, [H, W, channels_in]
    h[1]    = conv(image) + c V + b               b [H, W, hidden_channels]: a bias of its own at each place
    h[l+1]  = h[l] + conv(act(conv(act(h[l]))))   num_blocks times
    y       = act(h) W + b'                       at the places asked for, b' of its own for each number
    ```

    Called like `tff.networks.MLP`: `x [..., N] -> [..., M, params]`, of N = places seen x channels_in numbers, place by
    place, and M = places asked for x channels_out. Images have their size and their place here, as digits in the middle
    of a frame: the biases tell the network where it is, and which places it sees. The last layer starts small, so a
    flow built on it starts close to the identity.

    Args:
      size: `(H, W)`, in pixels; a line has a 1.
      channels_in: numbers of a place that is seen; 0 for a network of the context alone, or of nothing.
      channels_out: numbers of a place that is asked for.
      params: outputs for each of them.
      hidden_channels: of the hidden images.
      num_blocks: residual blocks, of two convolutions each.
      seen: places that are seen, numbered line by line from 0; None for all.
      asked: places that are asked for; None for all.
      activation: "silu", "tanh", "softplus", "gelu", "elu" or "relu".
      context_size: C, the size of the conditional input; 0 for none.
      features: what it sees of each number: the number alone, damped far off, or its waves as well.
      seed: integer that fixes the initial weights.
      dtype: "float32" or "float64".
      name: prefix of the variables' names.

    Raises:
      InputError: for a size that is not a positive integer, places that are not there, an unknown activation, a missing
        context or one that was not asked for.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> network = tff.networks.ConvNet((4, 4), 1, 1, params=2, seen=[0, 2, 5, 7], asked=[1, 3, 4, 6], seed=0)
    >>> network(tf.ones([5, 4])).shape
    TensorShape([5, 4, 2])

    Source: Kingma and Dhariwal, Glow, arXiv:1807.03039, section 3.3, for what it is for; He et al., arXiv:1603.05027,
    for the blocks.
    """

    def __init__(
        self,
        size: Sequence[int],
        channels_in: int,
        channels_out: int,
        params: int = 2,
        hidden_channels: int = 32,
        num_blocks: int = 1,
        *,
        seen: Sequence[int] | None = None,
        asked: Sequence[int] | None = None,
        activation: str = "silu",
        context_size: int = 0,
        features: Fourier = PLAIN,
        seed: int | None = None,
        dtype: str = "float32",
        name: str = "conv_net",
    ) -> None:
        super().__init__(name=name)
        self._size = _as_size(size)
        sizes = {"channels_out": channels_out, "params": params, "hidden_channels": hidden_channels}
        check_sizes(channels_in=channels_in, **sizes, num_blocks=num_blocks, context_size=context_size)
        places = self._size[0] * self._size[1]
        spend(places * channels_out * params)
        self._seen = self._no_dependency(_as_places("seen", seen, places))
        self._asked = self._no_dependency(_as_places("asked", asked, places))
        self.input_size, self.output_size = len(self._seen) * channels_in, len(self._asked) * channels_out
        check_features(features, self.input_size)
        if features.marks is not None:
            raise InputError(f"features must be those of numbers on a line; got {in_short(features)}.")
        self.dtype, self.params, self.context_size, self.features = as_dtype(dtype), params, context_size, features
        self._channels, self._activation = channels_in, activation_function(activation)
        self._first = self._context_layer = self._last = self.places = None
        self._blocks = []
        if self.input_size or context_size:  # else there is but the last bias
            self._make_layers(hidden_channels, num_blocks, channels_out * params, random_generator(seed), name)
        bias = np.zeros([self.output_size, params], self.dtype)
        self.bias = tf.Variable(bias, name=f"{name}/bias")

    def _make_layers(self, hidden: int, num_blocks: int, outputs: int, rng: np.random.Generator, name: str) -> None:
        window = tuple(min(SIDE, 2 * side - 1) for side in self._size)  # no weights for what is always outside
        inputs = self._channels * self.features.width
        spend(hidden * (self._size[0] * self._size[1] + outputs + self.context_size))
        spend(hidden * window[0] * window[1] * (inputs + 2 * num_blocks * hidden))
        bare = {"use_bias": False, "dtype": self.dtype}
        if self.input_size:
            self._first = _Convolution(window, inputs, hidden, rng, name=f"{name}/first", **bare)
        if self.context_size:
            self._context_layer = Dense(self.context_size, hidden, rng, name=f"{name}/context", **bare)
        self.places = tf.Variable(np.zeros([*self._size, hidden], self.dtype), name=f"{name}/places")
        for i in range(num_blocks):
            names = (f"{name}/block{i}/first", f"{name}/block{i}/last")
            self._blocks.append([_Convolution(window, hidden, hidden, rng, dtype=self.dtype, name=n) for n in names])
        self._last = Dense(hidden, outputs, rng, gain=1e-3, name=f"{name}/last", **bare)

    def __call__(self, x: tf.Tensor, conditional_input: tf.Tensor | None = None) -> tf.Tensor:
        """`x [..., N]`, `conditional_input [..., C]` -> `[..., M, params]`."""
        conditional_input = as_context(conditional_input, self.context_size, self.dtype)
        x = as_input(x, self.input_size, self.dtype)
        if self._last is None:
            return tf.broadcast_to(self.bias, tf.concat([tf.shape(x)[:-1], self.bias.shape], 0))
        h = self._first_hidden(x, conditional_input)
        batch = tf.shape(h)[:-3]
        h = tf.reshape(h, [-1, *self.places.shape])
        for first, last in self._blocks:
            h += last(self._activation(first(self._activation(h))))
        h = tf.reshape(self._activation(h), [-1, self._size[0] * self._size[1], h.shape[-1]])
        h = self._at_asked(h)
        y = self._last(tf.reshape(h, [-1, h.shape[-1]]))
        return tf.reshape(y, tf.concat([batch, self.bias.shape], 0)) + self.bias

    def _first_hidden(self, x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        """`h[1]`, `[..., H, W, hidden_channels]`."""
        h = tf.convert_to_tensor(self.places)
        if self._first is not None:
            image = self._first(self._image(x))
            h += tf.reshape(image, tf.concat([tf.shape(x)[:-1], h.shape], 0))
        else:
            h += tf.zeros(tf.concat([tf.shape(x)[:-1], [1, 1, 1]], 0), h.dtype)
        return h if context is None else h + self._context_layer(context)[..., None, None, :]

    def _image(self, x: tf.Tensor) -> tf.Tensor:
        """What is seen of rows `[..., N]`, at its places: `[rows, H, W, channels]`."""
        x = self.features(x) if not self.features.is_plain else x
        x = tf.reshape(x, [-1, len(self._seen), self._channels * self.features.width])
        places = self._size[0] * self._size[1]
        if len(self._seen) < places:
            x = tf.pad(x, [[0, 0], [0, places - len(self._seen)], [0, 0]])
        x = _ordered(x, np.argsort(_first(self._seen, places)))
        return tf.reshape(x, [-1, *self._size, x.shape[-1]])

    def _at_asked(self, h: tf.Tensor) -> tf.Tensor:
        """Of `[rows, places, channels]`, the places that are asked for."""
        return _ordered(h, _first(self._asked, h.shape[1]))[:, : len(self._asked)]


class _Convolution(Dense):
    """A `Dense` of the window around each place, `[rows, H, W, N] -> [rows, H, W, M]`; zeros are outside the image."""

    def __init__(
        self, window: tuple[int, int], input_size: int, output_size: int, rng: np.random.Generator, **options: Any
    ) -> None:
        super().__init__(window[0] * window[1] * input_size, output_size, rng, **options)
        self._window = (*window, input_size, output_size)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        kernel = tf.reshape(tf.transpose(self.transposed_kernel()), self._window)
        y = tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
        return y if self.bias is None else y + self.bias


def _first(places: np.ndarray, count: int) -> np.ndarray:
    """A permutation of 0..count-1 that begins with those places."""
    return np.concatenate([places, np.setdiff1d(np.arange(count), places)]).astype(np.int32)


def _ordered(x: tf.Tensor, order: np.ndarray) -> tf.Tensor:
    """Places in an order: `y[:, i] = x[:, order[i]]`."""
    if (order == np.arange(len(order))).all():
        return x
    order = order.astype(np.int32)
    return permuted(x, order, np.argsort(order).astype(np.int32), axis=1)


def _as_size(size: Any) -> tuple[int, int]:
    sides = as_list(size)
    if sides is None or len(sides) != 2:
        raise InputError(f"size must be (height, width), in pixels; got {in_short(size)}.")
    for side in sides:
        check_sizes(size=side)
    return tuple(sides)


def _as_places(name: str, places: Any, count: int) -> np.ndarray:
    """Numbers of places as an array; None for all that there are."""
    listed = list(range(count)) if places is None else as_list(places)
    whole = listed is not None and all(isinstance(p, int) and not isinstance(p, bool) for p in listed)
    if not whole or len({*listed}) < len(listed) or not all(0 <= p < count for p in listed):
        raise InputError(f"{name} must list different places from 0 to {count - 1}; got {in_short(places)}.")
    return np.array(listed, np.int32)
