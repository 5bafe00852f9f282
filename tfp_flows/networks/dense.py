"""A dense layer as a `tf.Module`: its variables exist once it is constructed, its mask is applied at every call."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.errors import InputError

__all__ = [
    "Dense",
    "activation_function",
    "check_conditional_input",
    "check_hidden_units",
    "check_sizes",
    "random_generator",
]

STRIPE = 128  # columns of a wide masked kernel that are kept, and multiplied, together
WORTH_SAVING = 50_000  # multiplications of a row that pay for several products: see benchmarks/README.md

ACTIVATIONS: dict[str, Callable] = {
    "silu": tf.nn.silu,
    "tanh": tf.math.tanh,
    "softplus": tf.math.softplus,
    "gelu": tf.nn.gelu,
    "elu": tf.nn.elu,
    "relu": tf.nn.relu,
}


def activation_function(name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """The activation of that name; `InputError` lists the names there are."""
    if name not in ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {name!r}.")
    return ACTIVATIONS[name]


def check_sizes(**sizes: int) -> None:
    """Raises `InputError` unless every argument is a positive integer, or zero for `context_size`."""
    for name, size in sizes.items():
        least = 0 if name == "context_size" else 1
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < least:
            raise InputError(f"{name} must be an integer of at least {least}; got {size!r}.")


def check_hidden_units(hidden_units: Sequence[int]) -> None:
    """Raises `InputError` unless it is a list of positive integers."""
    if not isinstance(hidden_units, (list, tuple)):
        raise InputError(f"hidden_units must be a list of integers; got {hidden_units!r}.")
    for size in hidden_units:
        check_sizes(hidden_units=size)


def check_conditional_input(context_size: int, conditional_input: tf.Tensor | None) -> None:
    """Raises `InputError` unless a context of that size is there exactly where the network was built for one."""
    size = 0 if conditional_input is None else conditional_input.shape[-1]
    if size != context_size:
        raise InputError(f"conditional_input must have {context_size} columns, as context_size says; got {size}.")


def random_generator(seed: int | None) -> np.random.Generator:
    """NumPy's generator for `seed`; None draws one from NumPy's global state, which Keras' own seeding sets."""
    if seed is None:
        seed = np.random.randint(2**31 - 1)  # noqa: NPY002
    return np.random.default_rng(seed)


class Dense(tf.Module):
    """The affine layer `y = x (mask * kernel) + bias`, `[..., N] -> [..., M]`.

    The kernel starts uniform with variance `gain^2 / N` (N counts the inputs that the mask lets through, on average),
    the bias at zero. A kernel whose mask lets nothing through is not made: then `y = bias` for every `x`.

    A wide masked kernel is kept in stripes of columns, each only as high as its mask reaches: most of what is masked is
    neither multiplied, nor stored, nor updated by an optimizer. What is much higher than wide is kept transposed.

    Args:
      input_size: N.
      output_size: M.
      rng: source of the kernel's start.
      mask: zeros and ones `[N, M]`, or None for a full kernel.
      gain: scale of the kernel's start.
      use_bias: whether there is a bias.
      dtype: of the variables.
      name: prefix of the variables' names.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        rng: np.random.Generator,
        *,
        mask: np.ndarray | None = None,
        gain: float = 1.0,
        use_bias: bool = True,
        dtype: str = "float32",
        name: str = "dense",
    ) -> None:
        super().__init__()
        shape = (input_size, output_size)
        mask = np.ones(shape, bool) if mask is None else mask
        fan_in = mask.sum() / output_size
        self._shape, self.stripes = shape, []
        if fan_in > 0:
            limit = gain * np.sqrt(3.0 / fan_in)
            start = rng.uniform(-limit, limit, shape) * mask
            for i, (height, low, high) in enumerate(_parts(mask)):
                part = slice(height), slice(low, high)
                self.stripes.append(Stripe(start[part], mask[part], dtype, f"{name}/kernel{i}"))
        self.bias = tf.Variable(np.zeros(output_size, dtype), name=f"{name}/bias") if use_bias else None

    def masked_kernel(self) -> tf.Tensor:
        """What `x` is multiplied by, `[N, M]`."""
        if not self.stripes:
            return tf.zeros(self._shape, self.bias.dtype)
        return tf.concat([stripe.masked_kernel(self._shape[0]) for stripe in self.stripes], axis=1)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """`[..., N] -> [..., M]`."""
        if not self.stripes:
            return tf.broadcast_to(self.bias, tf.concat([tf.shape(x)[:-1], self.bias.shape], 0))
        y = tf.concat([stripe(x) for stripe in self.stripes], axis=-1)
        return y if self.bias is None else y + self.bias


class Stripe(tf.Module):
    """Neighbouring columns of a kernel, down to a row below which their mask lets nothing through.

    Of a product's gradient in a kernel much higher than wide, `x^T dy` takes several times as long as its transpose
    `dy^T x` (see benchmarks/README.md), so such a kernel is kept transposed.
    """

    def __init__(self, start: np.ndarray, mask: np.ndarray, dtype: str, name: str) -> None:
        super().__init__()
        self._height, self._transposed = start.shape[0], start.shape[0] >= 2 * start.shape[1]
        if self._transposed:
            start, mask = start.T, mask.T
        self.kernel = tf.Variable(start.astype(dtype), name=name)
        self._mask = None if mask.all() else tf.constant(mask, dtype)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """`[..., N] -> [..., columns]`, of which the first `height` inputs matter."""
        x = x if x.shape[-1] == self._height else x[..., : self._height]
        if x.shape.rank == 2:
            return tf.linalg.matmul(x, self._masked(), transpose_b=self._transposed)
        return tf.tensordot(x, self._masked(), [[-1], [int(self._transposed)]])

    def masked_kernel(self, input_size: int) -> tf.Tensor:
        """The columns in full, `[input_size, columns]`."""
        kernel = tf.transpose(self._masked()) if self._transposed else self._masked()
        missing = input_size - self._height
        return tf.pad(kernel, [[0, missing], [0, 0]]) if missing else kernel

    def _masked(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.kernel) if self._mask is None else self.kernel * self._mask


def _parts(mask: np.ndarray) -> list[tuple[int, int, int]]:
    """Stripes of columns `low..high`, and how many rows the mask leaves each: what is masked need not be multiplied.

    One of all there is, where too little would be saved to pay for several products in place of one.
    """
    edges = np.linspace(0, mask.shape[1], max(1, mask.shape[1] // STRIPE) + 1).round().astype(int).tolist()
    parts = []
    for low, high in itertools.pairwise(edges):
        rows = np.flatnonzero(mask[:, low:high].any(axis=1))
        parts.append((int(rows[-1]) + 1 if len(rows) else 1, low, high))
    saved = mask.size - sum(height * (high - low) for height, low, high in parts)
    return parts if saved >= WORTH_SAVING else [(mask.shape[0], 0, mask.shape[1])]
