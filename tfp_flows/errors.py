"""The exceptions that a caller is meant to read."""

from typing import Any

__all__ = ["DivergenceError", "InputError", "TrainingInterrupted"]


class InputError(ValueError):
    """An argument, a file or a command that cannot work.

    Its message is one sentence: the argument, or the file with row and column; the value received; what would work.
    The command line prints that sentence and exits 2. It is a `ValueError`, so callers may catch that.
    """


class DivergenceError(FloatingPointError):
    """Training reached a loss that is not finite; the flow has its last good weights again."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during `fit`: the flow has its best weights so far, and `history` holds the epochs that ended.

    Attributes:
      history: what `fit` would have returned.
    """

    def __init__(self, history: Any) -> None:
        super().__init__()
        self.history = history
