"""Being stopped at a good moment: SIGINT (Ctrl-C) and SIGTERM (how clusters stop a job), noted or made an exception."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["StopNote", "Terminated", "ending_on_sigterm", "noting"]


class StopNote:
    """Which signal has asked for the end; None as long as none has."""

    number: int | None = None


class Terminated(SystemExit):
    """SIGTERM, as an exception: the exit status is 143."""


@contextlib.contextmanager
def noting(*numbers: int) -> Iterator[StopNote]:
    """Within the block the first of these signals is only noted, for the work to end where nothing is half done.

    A second one raises KeyboardInterrupt at once. Signals that are ignored stay ignored, and outside of the main
    thread, which alone may have handlers, nothing is changed; the handlers that were are put back.

    >>> import os, signal
    >>> from tfp_flows.signals import noting
    >>> with noting(signal.SIGTERM) as note:
    ...     os.kill(os.getpid(), signal.SIGTERM)
    >>> note.number == signal.SIGTERM
    True
    """
    note = StopNote()

    def handle(number: int, frame: FrameType | None) -> None:
        if note.number is not None:
            raise KeyboardInterrupt
        note.number = number

    with _handled(numbers, handle):
        yield note


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Within the block SIGTERM is the exception Terminated(143), so that what must be cleaned up is.

    A program that has a handler of its own keeps it.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        raise Terminated(128 + number)

    with _handled([s for s in (signal.SIGTERM,) if signal.getsignal(s) == signal.SIG_DFL], handle):
        yield


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
