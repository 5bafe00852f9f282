"""The import of TensorFlow without the lines that it writes on the terminal whatever one asks of it."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from tfp_flows.errors import InputError

__all__ = ["check_keras", "importing_tensorflow"]

# A line of TensorFlow's own log, as in "I0000 00:00:1795637471.077636    6711 port.cc:153] ..." or
# "2026-01-31 10:20:30.123456: I tensorflow/...", and the warning that introduces the first of them.
_LOG_LINE = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:[\d.]+ +\d+ \S+:\d+\] |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |"
    rb"WARNING: All log messages before absl::InitializeLog\(\)|To enable the following instructions: "
)


@contextlib.contextmanager
def importing_tensorflow() -> Iterator[None]:
    """Within the block nothing of TensorFlow's log reaches the terminal; all else does when the block has ended.

    The environment variable TF_CPP_MIN_LOG_LEVEL is read too late for the first lines: they are written to the file
    descriptor while the library loads. Once TensorFlow is imported, this does nothing.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    with _held_back_stderr():
        yield
        if "tensorflow" in sys.modules:  # looks for GPUs once, which has a line to say where there is none
            sys.modules["tensorflow"].config.list_physical_devices()


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            kept = os.dup(2)
        except OSError:  # there is no stderr, and so nothing to hold back
            kept = None
        if kept is None:
            yield
            return
        stack.callback(os.close, kept)
        held = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            held.seek(0)
            for line in held:
                if not _LOG_LINE.match(line):
                    os.write(2, line)


def check_keras() -> None:
    """Raises `InputError` if Keras 3 is told to work with something else than TensorFlow."""
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        return
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if "keras" in sys.modules:
        backend = sys.modules["keras"].config.backend()
    if backend != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND is {backend!r}, and flows are trained with TensorFlow: unset it, or set "
            "KERAS_BACKEND=tensorflow, before Python starts."
        )
