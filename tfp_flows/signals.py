"""Being stopped at a good moment: SIGINT (Ctrl-C) and SIGTERM (how clusters stop a job), noted or made an exception."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["StopNote", "Terminated", "ending_on_signals", "noting"]


class StopNote:
    """Which signal has asked for the end; None as long as none has."""

    number: int | None = None


class Terminated(SystemExit):
    """SIGTERM, as an exception: the exit status is 143."""


_raised = StopNote()  # what `ending_on_signals` has made an exception, until its block has ended


@contextlib.contextmanager
def noting(*numbers: int) -> Iterator[StopNote]:
    """Within the block the first of these signals is only noted, for the work to end where nothing is half done.

    A second one raises KeyboardInterrupt at once. One whose exception was lost in a block of `ending_on_signals` around
    this one is noted from the start. Signals that are ignored stay ignored, and outside of the main thread, which alone
    may have handlers, nothing is changed; the handlers that were are put back.

    >>> import os, signal
    >>> from tfp_flows.signals import noting
    >>> with noting(signal.SIGTERM) as note:
    ...     os.kill(os.getpid(), signal.SIGTERM)
    >>> note.number == signal.SIGTERM
    True
    """
    note = StopNote()
    note.number = _raised.number if _raised.number in numbers else None

    def handle(number: int, frame: FrameType | None) -> None:
        if note.number is not None:
            raise KeyboardInterrupt
        note.number = number

    with _handled(numbers, handle):
        yield note


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Within the block SIGTERM is the exception Terminated(143), so that what must be cleaned up is; SIGINT likewise.

    Python loses exceptions that are raised in destructors and callbacks of weak references: if one was, it is raised
    where the block would end well. A program that has handlers of its own keeps them.
    """
    plain = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    ours = [number for number, handler in plain.items() if signal.getsignal(number) == handler]

    def handle(number: int, frame: FrameType | None) -> None:
        _raised.number = number
        raise _exception(number)

    try:
        with _handled(ours, handle):
            try:
                yield
            except SystemExit as end:
                if end.code or not ours or _raised.number is None:
                    raise
            if ours and _raised.number is not None:
                raise _exception(_raised.number)
    finally:
        if ours:
            _raised.number = None


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(128 + number)


@contextlib.contextmanager
def _handled(numbers: "tuple[int, ...] | list[int]", handle: "signal._HANDLER") -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        # None: a handler that was not set from Python, and could not be put back
        kept = (signal.SIG_IGN, None)
        before = {n: signal.signal(n, handle) for n in numbers if signal.getsignal(n) not in kept}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
