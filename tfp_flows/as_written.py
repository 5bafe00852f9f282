"""Functions that TensorFlow runs as they are written."""

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

__all__ = ["as_written"]

F = TypeVar("F", bound=Callable[..., Any])


def as_written(function: F) -> F:
    """The same function, which AutoGraph leaves alone in a `tf.function`, and all that it calls.

    AutoGraph would rewrite each of them into one that asks at every branch whether it depends on a tensor; none of the
    package's does. It takes seconds of the first traces of a process.
    """
    return tf.autograph.experimental.do_not_convert(function)
