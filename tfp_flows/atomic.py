"""Files that appear whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from tfp_flows.errors import InputError

__all__ = ["atomic_path", "check_space"]


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, *, force: bool = False) -> Iterator[Path]:
    """Let a file appear whole or not at all.

    Gives a temporary path beside `path`, with its suffix. When the block ends, what it has written there
    becomes `path`, on the disk itself and not only in the system's memory; when the block raises, it is removed.

    Args:
      path: the file to be written.
      force: whether to replace an existing file.

    Raises:
      InputError: if `path` exists (unless `force`), is a folder, or cannot be written.

    >>> import pathlib, tempfile
    >>> from tfp_flows.atomic import atomic_path
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with atomic_path(path) as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> path.read_text()
    'all of it'
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a file to write.")
    if path.exists() and not force:
        raise InputError(f"{path} exists; choose another name, or force=True to replace it.")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; make it first.")
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk: else a power cut may leave an empty file."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_space(folder: str | os.PathLike, size: int) -> None:
    """Makes a folder, and raises `InputError` unless `size` bytes can be written into it; they are, and removed.

    >>> import tempfile
    >>> from tfp_flows.atomic import check_space
    >>> check_space(tempfile.mkdtemp(), 1000)
    """
    folder = Path(folder)
    probe = folder / f".{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(probe, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            file.write(b"\0")
            os.fsync(file.fileno())
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder} cannot hold the {size:,} bytes that are needed: {reason}.") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
