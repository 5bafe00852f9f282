"""A dense layer as a `tf.Module`: its variables exist once it is constructed, its mask is applied at every call."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_choice, check_flags, check_seed
from tfp_flows.errors import InputError
from tfp_flows.words import plural

__all__ = [
    "Dense",
    "activation_function",
    "as_context",
    "as_input",
    "check_residual",
    "random_generator",
]

# How a kernel lies in memory. What is saved is the whole kernel, so these may change from one version to the next.
STRIPE = 256  # columns of a wide masked kernel that are kept, and multiplied, together
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
    check_choice("activation", name, list(ACTIVATIONS))
    return ACTIVATIONS[name]


def as_context(conditional_input: Any, size: int, dtype: str) -> tf.Tensor | None:
    """A context `[..., C]`, or None; `InputError` unless it is there exactly where the network was built for one."""
    if conditional_input is None and size:
        raise InputError(f"conditional_input must have {plural(size, 'column')}, as context_size says; got none.")
    return None if conditional_input is None else as_input(conditional_input, size, dtype, "conditional_input")


def as_input(x: Any, size: int, dtype: str, name: str = "x") -> tf.Tensor:
    """Rows `[..., N]` as a tensor; `InputError` for those that a network was not built for."""
    x = tf.convert_to_tensor(x) if tf.is_tensor(x) or hasattr(x, "dtype") else tf.convert_to_tensor(x, dtype)
    if x.dtype != dtype:
        raise InputError(f"{name} must be of {dtype}, as the network is; got {x.dtype.name}.")
    if x.shape.rank == 0 or x.shape[-1] not in (None, size):
        raise InputError(
            f"{name} must have {plural(size, 'column')}, as the network was built for; got shape {x.shape}."
        )
    return x


def random_generator(seed: int | None) -> np.random.Generator:
    """NumPy's generator for `seed`; None draws one from NumPy's global state, which Keras' own seeding sets."""
    if seed is None:
        seed = np.random.randint(2**31 - 1)  # noqa: NPY002
    check_seed(seed)
    return np.random.default_rng(seed)


def check_residual(residual: bool, hidden_units: Sequence[int]) -> None:
    """Raises `InputError` for hidden layers of several sizes, whose units cannot be added."""
    check_flags(residual=residual)
    if residual and len(set(hidden_units)) > 1:
        raise InputError(f"residual=True needs hidden_units of one size; got {tuple(hidden_units)}.")


class Dense(tf.Module):
    """The affine layer `y = x (mask * kernel) + bias`, `[..., N] -> [..., M]`.

    The kernel starts uniform with variance `gain^2 / N` (N counts the inputs that the mask lets through, on average),
    the bias at zero. A kernel whose mask lets nothing through is not made: then `y = bias` for every `x`.

    A wide masked kernel is kept in stripes of columns, each only as high as its mask reaches: most of what is masked is
    neither multiplied, nor stored, nor updated by an optimizer. Stripes no wider than half of N are kept transposed:
    the gradient `dy^T x` takes a fraction of the time of its transpose, see benchmarks/README.md. What a graph gets of
    the mask are the degrees: XLA compares them where it multiplies, and reads no matrix of zeros and ones.

    Args:
      input_size: N.
      output_size: M.
      rng: source of the kernel's start.
      degrees: of the inputs and of the outputs, `[N]` and `[M]`; the mask lets an input through to the outputs of its
        own degree and of higher ones. None for a full kernel.
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
        degrees: tuple[np.ndarray, np.ndarray] | None = None,
        gain: float = 1.0,
        use_bias: bool = True,
        dtype: str = "float32",
        name: str = "dense",
    ) -> None:
        super().__init__()
        shape = (int(input_size), int(output_size))
        degrees = (np.zeros(input_size), np.zeros(output_size)) if degrees is None else degrees
        self._degrees = tuple(np.asarray(each, np.int32) for each in degrees)
        mask = self._degrees[0][:, None] <= self._degrees[1]
        fan_in = mask.sum() / output_size
        self.kernel_shape, self._mask, self._dtype = shape, mask, dtype
        self.kernel_name = f"{name}/kernel"
        self._parts, self.kernels, self._eager_masks = [], [], []
        if fan_in > 0:
            limit = gain * np.sqrt(3.0 / fan_in)
            start = rng.uniform(-limit, limit, shape) * mask
            parts = _parts(mask, STRIPE, WORTH_SAVING)
            self._parts = [(_reached(mask, low, high), low, high) for _, low, high in parts]
            self._transposed = _is_transposed(self._parts, shape[0])
            for i, (kernel, there) in enumerate(zip(self._cut(start), self._cut(mask), strict=True)):
                self.kernels.append(tf.Variable(kernel.astype(dtype), name=f"{self.kernel_name}{i}"))
                self._eager_masks.append(None if there.all() else tf.constant(there, dtype))
        self.bias = tf.Variable(np.zeros(output_size, dtype), name=f"{name}/bias") if use_bias else None

    @property
    def mask(self) -> tf.Tensor | None:
        """Zeros and ones `[N, M]`; None where nothing is masked."""
        return None if self._mask.all() else tf.constant(self._mask, self._dtype)

    def whole_kernel(self) -> tf.Tensor:
        """The kernel, masked, `[N, M]`: what is saved of it, however it lies in memory."""
        padded = []
        for stripe, (height, _, _) in zip(self.kernels, self._parts, strict=True):
            stripe = tf.transpose(stripe) if self._transposed else tf.convert_to_tensor(stripe)
            padded.append(tf.pad(stripe, [[0, self.kernel_shape[0] - height], [0, 0]]))
        return tf.concat(padded, axis=1) * tf.cast(self._mask, self._dtype)

    def assign_kernel(self, kernel: np.ndarray) -> None:
        """Sets it to the values `[N, M]` that `whole_kernel` gave."""
        for variable, value in zip(self.kernels, self._cut(kernel), strict=True):
            variable.assign(value)

    def joined_as_0_1(self, stripes: Sequence[np.ndarray]) -> np.ndarray:
        """The whole kernel from the variables that version 0.1 kept, and saved, of it."""
        parts = _parts(self._mask, 256, 50_000)
        whole = np.zeros(self.kernel_shape, self._dtype)
        for stripe, (height, low, high) in zip(stripes, parts, strict=True):
            whole[:height, low:high] = stripe.T if _is_transposed(parts, self.kernel_shape[0]) else stripe
        return whole * self._mask

    # TensorFlow's checkpoints hold the whole kernel, too: stripes of another size would be left out without a word. A
    # SavedModel, which is written from a graph, holds the stripes, as its functions need them.

    def _serialize_to_tensors(self) -> dict[str, tf.Tensor]:
        return {"kernel": self.whole_kernel()} if self.kernels and tf.executing_eagerly() else {}

    def _restore_from_tensors(self, restored: dict[str, tf.Tensor]) -> None:
        if "kernel" in restored:
            for variable, value in zip(self.kernels, self._cut(restored["kernel"]), strict=True):
                variable.assign(value)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        return {k: v for k, v in children.items() if k != "kernels"} if save_type == "checkpoint" else children

    def transposed_kernel(self) -> tf.Tensor:
        """The whole kernel, masked and transposed, `[M, N]`."""
        if not self.kernels:
            return tf.zeros(self.kernel_shape[::-1], self._dtype)
        padded = []
        for stripe, (height, _, _) in zip(self._masked(), self._parts, strict=True):
            missing = self.kernel_shape[0] - height
            padded.append(tf.pad(stripe, [[0, 0], [0, missing]] if self._transposed else [[0, missing], [0, 0]]))
        return tf.concat(padded, axis=0) if self._transposed else tf.transpose(tf.concat(padded, axis=1))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """`[..., N] -> [..., M]`."""
        if not self.kernels:
            return tf.broadcast_to(self.bias, tf.concat([tf.shape(x)[:-1], self.bias.shape], 0))
        stripes = zip(self._masked(), self._parts, strict=True)
        y = tf.concat([self._product(x[..., :height], stripe) for stripe, (height, _, _) in stripes], axis=-1)
        return y if self.bias is None else y + self.bias

    def _cut(self, kernel: Any) -> list:
        """A whole kernel `[N, M]` as the stripes that lie in memory."""
        stripes = [kernel[:height, low:high] for height, low, high in self._parts]
        if not self._transposed:
            return stripes
        return [tf.transpose(stripe) if tf.is_tensor(stripe) else stripe.T for stripe in stripes]

    def _masked(self) -> list[tf.Tensor]:
        return [
            tf.convert_to_tensor(kernel) if mask is None else kernel * self._mask_of(part, mask)
            for kernel, part, mask in zip(self.kernels, self._parts, self._eager_masks, strict=True)
        ]

    def _mask_of(self, part: tuple[int, int, int], eager_mask: tf.Tensor) -> tf.Tensor:
        if tf.executing_eagerly():
            return eager_mask
        height, low, high = part
        of_inputs, of_outputs = tf.constant(self._degrees[0][:height]), tf.constant(self._degrees[1][low:high])
        reaches = of_outputs[:, None] >= of_inputs if self._transposed else of_inputs[:, None] <= of_outputs
        return tf.cast(reaches, self._dtype)

    def _product(self, x: tf.Tensor, stripe: tf.Tensor) -> tf.Tensor:
        if x.shape.rank == 2:
            return tf.linalg.matmul(x, stripe, transpose_b=self._transposed)
        return tf.tensordot(x, stripe, [[-1], [int(self._transposed)]])


def _is_transposed(parts: Sequence[tuple[int, int, int]], input_size: int) -> bool:
    _, low, high = parts[0]
    return input_size >= 2 * (high - low)


def _parts(mask: np.ndarray, stripe: int, worth_saving: int) -> list[tuple[int, int, int]]:
    """Stripes of columns `low..high`, and how many rows the mask leaves each: what is masked need not be multiplied.

    One of all there is, where too little would be saved to pay for several products in place of one.
    """
    edges = np.linspace(0, mask.shape[1], max(1, mask.shape[1] // stripe) + 1).round().astype(int).tolist()
    parts = []
    for low, high in itertools.pairwise(edges):
        parts.append((_reached(mask, low, high), low, high))
    saved = mask.size - sum(height * (high - low) for height, low, high in parts)
    return parts if saved >= worth_saving else [(mask.shape[0], 0, mask.shape[1])]


def _reached(mask: np.ndarray, low: int, high: int) -> int:
    """How many rows there are down to the last that reaches one of those columns; at least one."""
    rows = np.flatnonzero(mask[:, low:high].any(axis=1))
    return int(rows[-1]) + 1 if len(rows) else 1
