"""The exceptions that a caller is meant to read."""

import re
from typing import Any

__all__ = ["DivergenceError", "InputError", "TrainingInterrupted", "argument"]

_ARGUMENT = re.compile("\ue000([^\ue000\ue001]*)\ue001")  # marks of Unicode's private area: no sentence has them itself


def argument(text: str) -> str:
    """Mark an argument in the sentence of an `InputError`, so that the command can call it an option.

    >>> from tfp_flows.errors import InputError, argument
    >>> error = InputError(f"a.npz holds 2 arrays; choose one with {argument('key')}.")
    >>> print(error)
    a.npz holds 2 arrays; choose one with key.
    >>> print(error.in_options())
    a.npz holds 2 arrays; choose one with --key.
    """
    return f"\ue000{text}\ue001"


class InputError(ValueError):
    """An argument, a file or a command that cannot work.

    Its message is one sentence: the argument, or the file with row and column; the value received; what would work.
    The command line prints that sentence and exits 2. It is a `ValueError`, so callers may catch that.
    """

    def __init__(self, message: str = "", *args: Any) -> None:
        super().__init__(_ARGUMENT.sub(r"\1", str(message)), *args)
        self._marked = str(message)

    def in_options(self) -> str:
        """The sentence with its marked arguments as options: `key` is `--key`, `force=True` is `--force`."""
        return _ARGUMENT.sub(lambda match: _option(match[1]), self._marked)


def _option(text: str) -> str:
    name, _, value = text.partition("=")
    return f"--{name.replace('_', '-')}{'' if value in ('', 'True') else f' {value}'}"


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

    def __init__(self, message: str, history: Any, signal: int = 2) -> None:
        super().__init__(message)
        self.history, self.signal = history, signal
