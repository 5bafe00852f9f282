"""What a network of the user's makes of a context, before the layers of a flow see it."""

import contextlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.errors import InputError
from tfp_flows.networks.mlp import MLP
from tfp_flows.words import in_short, plural

__all__ = ["ContextNetwork"]


MOST_OF_CAUSE = 200  # letters of what an error of the network's says


class ContextNetwork(tf.Module):
    """A network `[N, C] -> [N, E]`, for contexts `[..., C] -> [..., E]`, with its variables where TensorFlow sees them.

    Args:
      network: a `tff.networks.MLP`, whose outputs `[..., M, params]` count as `E = M params`; a layer or model of Keras
        3 or tf_keras; a `tf.Module`; or a function without variables.
      context_size: C.
      dtype: of the context; what the network gives is cast to it.

    Raises:
      InputError: if it cannot be called on such contexts, gives another shape, or reads variables that it does not
        hold, as a function around a layer does: they would never be trained or saved.
    """

    def __init__(self, network: Callable, context_size: int, dtype: str) -> None:
        super().__init__(name="context_network")
        if not callable(network) or isinstance(network, type):
            raise InputError(
                f"context_network must be a network that can be called on a context; got {in_short(network)}."
            )
        if not context_size:
            raise InputError("context_network needs a context: give context_size=… too; got context_size=0.")
        # Keras 3 keeps its variables in faces of their own, and SavedModel would trace its layers once more.
        seen_by_tf = isinstance(network, tf.Module)
        self._network = network if seen_by_tf else self._no_dependency(network)
        self._context_size, self._dtype = context_size, tf.as_dtype(dtype)
        self.takes_training = _takes_training(network)
        self.kind = getattr(network, "__name__", type(network).__name__)
        with tf.GradientTape() as tape:
            self.output_size = self._size_of(network, tf.zeros([1, context_size], dtype))
        variables = getattr(network, "variables", ())
        trainable = {id(v) for v in getattr(network, "trainable_variables", variables)}
        variables = [_variable(v, id(v) in trainable) for v in variables]
        self._held = self._no_dependency(variables) if seen_by_tf else variables
        hidden = {v.ref() for v in tape.watched_variables()} - {v.ref() for v in self.variables}
        if hidden:
            raise InputError(
                f"context_network reads the variable {hidden.pop().deref().name}, which it does not hold: give the "
                "layer or tf.Module itself, and not a function around it."
            )

    @property
    def array_names(self) -> dict[Any, str]:
        """Names for variables that Keras calls by how many of its layers there were before; ours have their own."""
        if isinstance(self._network, MLP):
            return {}
        return {v.ref(): f"{i}/{v.name.rpartition('/')[2].partition(':')[0]}" for i, v in enumerate(self._held)}

    def _size_of(self, network: Callable, zeros: tf.Tensor) -> int:
        """E, found by calling it."""
        try:
            found = self._called(zeros, False)
        except Exception as error:  # whatever a network of the user's raises
            size = self._context_size
            must = f"context_network must take a context [N, {size}] of {zeros.dtype.name}, as context_size={size} says"
            known = _input_size(network)
            if known not in (None, size):
                fits = f"give a network of {plural(size, 'input')}, or context_size={known}"
                raise InputError(f"{must}; {self.kind} takes [N, {known}]: {fits}.") from error
            raise InputError(f"{must}; {self.kind} cannot: {_cause(error)}.") from error
        shape = found.shape if tf.is_tensor(found) else None
        if shape is None or shape.rank != 2 or shape[0] != 1 or not shape[1] or not found.dtype.is_floating:
            raise InputError(
                f"context_network must make [N, E] of a context [N, {self._context_size}], in floats; of one row it "
                f"made {'no tensor' if shape is None else f'{found.dtype.name} {shape}'}."
            )
        return shape[1]

    def _called(self, rows: tf.Tensor, training: Any) -> Any:
        found = self._network(rows, **({"training": training} if self.takes_training else {}))
        if isinstance(self._network, MLP):
            return tf.reshape(found, [-1, found.shape[-2] * found.shape[-1]])
        return found

    def __call__(self, context: tf.Tensor, training: Any = False) -> tf.Tensor:
        """`[..., C] -> [..., E]`."""
        rows = context if context.shape.rank == 2 else tf.reshape(context, [-1, self._context_size])
        found = tf.ensure_shape(tf.cast(self._called(rows, training), self._dtype), [None, self.output_size])
        if context.shape.rank == 2:
            return found
        return tf.reshape(found, tf.concat([tf.shape(context)[:-1], [self.output_size]], 0))


def _input_size(network: Any) -> int | None:
    """How many columns a network takes, where it says so: an MLP, or a layer or model of Keras that is built."""
    for find in (
        lambda: network.input_size,
        lambda: network.input_shape[-1],
        lambda: network.input_spec.axes[-1],
    ):
        with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
            if isinstance(size := find(), int):
                return size
    return None


def _cause(error: BaseException) -> str:
    """The line of an error that says what is wrong: TensorFlow and Keras put others around it."""
    text = re.sub(r"\x1b\[\d*m|\{\{.*?\}\}|\[Op:[^\]]*\]( name: ?)?", "", str(error))
    around = ("Exception encountered", "Arguments received", "Call arguments")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(around)]
    line = lines[0].rstrip(". ") if lines else type(error).__name__
    return line if len(line) <= MOST_OF_CAUSE else f"{line[:MOST_OF_CAUSE]} …"


def _takes_training(network: Callable) -> bool:
    try:
        return "training" in inspect.signature(getattr(network, "call", network)).parameters
    except ValueError:  # of a function that is not Python's
        return False


def _variable(variable: Any, trainable: bool) -> tf.Variable:
    """TensorFlow's variable behind one of Keras, which does not tell it what is frozen."""
    found = variable if isinstance(variable, tf.Variable) else variable.value
    found._trainable = found.trainable and trainable
    return found
