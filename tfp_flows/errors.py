"""The exceptions that a caller is meant to read."""

import re
from typing import Any

__all__ = ["DivergenceError", "InputError", "RoundingWarning", "TrainingInterrupted"]


class InputError(ValueError):
    """An argument, a file or a command that cannot work.

    Its message is one sentence: the argument, or the file with row and column; the value received; what would work.
    The command line prints that sentence and exits 2. It is a `ValueError`, so callers may catch that.
    """

    ag_pass_through = True  # AutoGraph, which rewrites the functions that it traces, would raise an error of its own

    def __init__(self, message: str) -> None:
        super().__init__(re.sub(r"\s*\n\s*", " ", message))  # what was received may take several lines to print


class DivergenceError(FloatingPointError):
    """Training, or all of its validations, came to a loss that is not finite.

    The flow has the weights of its best epoch again, or those it came with if no epoch was any good.

    Attributes:
      history: what `fit` would have returned, of the epochs that ended; its `best_epoch` is None if none was good.
    """

    def __init__(self, message: str, history: Any = None) -> None:
        super().__init__(message)
        self.history = history


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM, during `fit`: the flow has its best weights so far, or those it came with if no epoch ended.

    Attributes:
      history: what `fit` would have returned, of the epochs that ended; its `best_epoch` is None if there is none.
      signal: the number of the signal; SIGINT for Ctrl-C.
    """

    def __init__(self, message: str, history: Any = None, signal: int = 2) -> None:
        super().__init__(message)
        self.history, self.signal = history, signal


class RoundingWarning(UserWarning):
    """Samples of a flow will have fewer digits than the rows that it was fitted to: see `Flow.sample_in_float64`."""
