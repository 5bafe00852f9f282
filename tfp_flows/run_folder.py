"""A run's folder on disk: one process at a time trains into it, and its results change all at once.

config.json  history.csv  metrics.json  figures/  and the flow's own file: the results
training/    config.json and checkpoint.npz of a training that has not ended
.lock        the process that trains
.staged/     results that are being written; renamed, they are
.aside/      a training that has not ended, and that another is about to replace
.commit/     results that count, and only have to be moved into place: whoever opens the run may do that
"""

import contextlib
import csv
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tfp_flows.atomic import atomic_path
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["COMMIT", "FIGURES", "RunFolder", "read_history", "write_history"]

LOCK, TRAINING, STAGED, COMMIT, DROPPED, ASIDE = ".lock", "training", ".staged", ".commit", ".dropped", ".aside"
FIGURES = ("samples.png", "corner.png", "density.png", "grid.png", "gap.png", "layers.png", "loss.png", "flow.gif")
_LEFT_OVER = re.compile(r"\.[0-9a-f]{32}(\.\w+)?")  # of atomic_path, in a process that was killed


class RunFolder:
    """The folder of a run, and where everything is in it."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.training = self.path / TRAINING
        self._made: list[Path] = []  # folders that were not there before, and go again if nothing comes of them
        self._known: list[tuple[int, int] | None] = []  # which weights are there, as far as this process knows

    @classmethod
    @contextlib.contextmanager
    def claimed(
        cls, out: str | os.PathLike | None, *, name: str = "run", force: bool = False, anew: bool = True
    ) -> "Iterator[RunFolder]":
        """A folder that no other process trains into, within the block.

        Args:
          out: the folder; None for the first free `runs/name`, `runs/name-2`, ...
          name: of the run.
          force: whether there may be something in it.
          anew: whether a new run begins; else one goes on.

        Raises:
          InputError: if it cannot be written, is not empty, or another process is at work there; nothing is changed.
        """
        if not isinstance(out, (str, os.PathLike, type(None))) or out == "":
            raise InputError(f"folder must be a path; got {in_short(out)}.")
        folder = cls._free(name) if out is None else cls(out)
        folder._lock(anew)
        try:
            folder.settle()
            folder._bring_back()
            if anew:
                folder._make_room(force)
            folder._known = folder._weights
            yield folder
        finally:
            folder._unlock()

    @property
    def has_results(self) -> bool:
        """Whether there is a trained flow in it."""
        return (self.path / "config.json").exists()

    @property
    def stamp(self) -> tuple[int, int] | None:
        """What changes as soon as another flow is there; None while there is none."""
        return _stamp_of(self.path / "flow.npz")

    @property
    def _weights(self) -> list[tuple[int, int] | None]:
        return [_stamp_of(self.path / name) for name in ("flow.npz", "weights.npz")]

    def commit(self, fill: Callable[[Path], None]) -> None:
        """Lets `fill` write results into a folder, and then makes them those of the run, all of them at once.

        What was measured or drawn of earlier weights is removed. Weights that somebody else has put there meanwhile are
        left alone: then the results, and a training that may go on from them, are in a folder beside this one, which
        the `InputError` names.
        """
        staged = self.path / STAGED
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        try:
            fill(staged)
            if self._weights != self._known:
                raise self._moved_aside(staged)
            os.rename(staged, self.path / COMMIT)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        self.settle()
        self._known = self._weights

    def _moved_aside(self, staged: Path) -> InputError:
        """Makes a run of its own of staged results, and says where."""
        names = (self.path.with_name(f"{self.path.name}-{i}") for i in range(2, 10_000))
        aside = next(path for path in names if not path.exists())
        os.rename(staged, aside)
        if self.training.exists():
            os.rename(self.training, aside / TRAINING)
        return InputError(
            f"{self.path} has weights that are not of this training, came meanwhile and are left alone: its own are in "
            f"{aside}, where resume finishes it."
        )

    def settle(self) -> None:
        """Moves results that count into place, if a process was killed before it had."""
        commit = self.path / COMMIT
        if not commit.is_dir():
            return
        with contextlib.suppress(FileNotFoundError):  # somebody else does it too
            (self.path / "metrics.json").unlink(missing_ok=True)
            for name in FIGURES:
                with contextlib.suppress(OSError):  # the results count, whatever somebody has put there
                    (self.path / "figures" / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others' files are in it, or it is not there
                (self.path / "figures").rmdir()
            shutil.rmtree(self.path / ASIDE, ignore_errors=True)  # there is something in its place now
            for file in sorted(commit.iterdir()):
                os.replace(file, self.path / file.name)
            if (self.path / "flow.npz").exists():
                (self.path / "weights.npz").unlink(missing_ok=True)  # of version 0.1
            commit.rmdir()

    def drop_training(self) -> None:
        """Removes the checkpoint of a training that has ended."""
        if self.training.exists():
            shutil.rmtree(self.path / DROPPED, ignore_errors=True)
            os.rename(self.training, self.path / DROPPED)
            shutil.rmtree(self.path / DROPPED, ignore_errors=True)

    def end_training(self, *, keep: bool) -> None:
        """Removes the training, unless it is kept; if nothing came of it, one that was set aside for it comes back."""
        if not keep:
            self.drop_training()
        self._bring_back()

    def _bring_back(self) -> None:
        """Puts a training back that was set aside for another, if that has no checkpoint."""
        if (self.path / ASIDE).exists():
            if (self.training / "checkpoint.npz").exists():
                shutil.rmtree(self.path / ASIDE, ignore_errors=True)
            else:
                self.drop_training()
                os.rename(self.path / ASIDE, self.training)

    @property
    def is_locked(self) -> bool:
        """Whether a process is at work there."""
        return _is_alive(_owner(self.path / LOCK))

    @classmethod
    def _free(cls, name: str) -> "RunFolder":
        for i in range(1, 10_000):
            folder = cls(Path("runs") / (name if i == 1 else f"{name}-{i}"))
            try:
                folder._make_parents()
                folder.path.mkdir()  # two processes cannot both make it
            except FileExistsError:
                continue
            except OSError as error:
                raise InputError(f"folder cannot be made: {folder.path}: {error.strerror}.") from error
            folder._made.append(folder.path)
            return folder
        raise InputError(f"folder must be given: there are 9,999 runs of the name {name}.")

    def _make_parents(self) -> None:
        missing = [parent for parent in self.path.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            self._made.append(parent)

    def _lock(self, anew: bool) -> None:
        if self.path.is_file():
            raise InputError(f"folder must not be a file; got {self.path}.")
        if not anew and not self.path.is_dir():
            raise InputError(f"{self.path} holds no run: there is no such folder.")
        own = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": _start_of(os.getpid())})
        try:
            self._make_parents()
            if not self.path.exists():
                self.path.mkdir(exist_ok=True)
                self._made.append(self.path)
            with _alone(self.path):
                owner = _owner(self.path / LOCK)
                if _is_alive(owner):
                    here = owner["host"] == socket.gethostname()
                    advice = "" if here else f"; if that is gone, delete {self.path / LOCK}"
                    raise InputError(
                        f"{self.path} is being trained by process {owner['pid']} on {owner['host']}: choose another "
                        f"folder{advice}."
                    )
                (self.path / LOCK).unlink(missing_ok=True)
                descriptor = os.open(self.path / LOCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                with open(descriptor, "w", encoding="utf-8") as file:
                    file.write(own)
        except OSError as error:
            raise InputError(f"folder cannot be written: {self.path}: {error.strerror or error}.") from error

    def _make_room(self, force: bool) -> None:
        """Empties what another training left, if that is wanted; `InputError` if there is something to lose."""
        there = {entry.name for entry in self.path.iterdir()} - {LOCK, STAGED, DROPPED, ASIDE}
        there = {name for name in there if not _LEFT_OVER.fullmatch(name)}
        if there and not force:
            if (self.training / "config.json").exists():
                raise InputError(f"folder is {self.path}, where a training has not ended: resume it, or force=True.")
            raise InputError(f"folder is {self.path}, which is not empty: choose another folder, or force=True.")
        for name in (STAGED, DROPPED):
            shutil.rmtree(self.path / name, ignore_errors=True)
        if self.training.exists():  # it is somebody's work until there is something in its place
            os.rename(self.training, self.path / ASIDE)
        for entry in [entry for entry in self.path.iterdir() if _LEFT_OVER.fullmatch(entry.name)]:
            entry.unlink(missing_ok=True)

    def _unlock(self) -> None:
        with contextlib.suppress(OSError):
            (self.path / LOCK).unlink(missing_ok=True)
            for made in reversed(self._made):
                made.rmdir()  # if it is empty


def _stamp_of(file: Path) -> tuple[int, int] | None:
    """What tells a file from any other that was or will be there; None while there is none."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """As good as the system can, no other process is in such a block: two may find one lock whose process is gone."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every network's file system has it
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _owner(lock: Path) -> dict[str, Any] | None:
    """What a lock says; None without one, or if its process was killed before it had written."""
    try:
        found = json.loads(lock.read_text(encoding="utf-8"))
        return {"pid": int(found["pid"]), "host": str(found["host"]), "started": found["started"]}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_alive(owner: dict[str, Any] | None) -> bool:
    """Whether the process of a lock may still be there; one of another machine may."""
    if owner is None:
        return False
    if owner["host"] != socket.gethostname() or os.name == "nt":
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return _start_of(owner["pid"]) == owner["started"]


def _start_of(pid: int) -> str | None:
    """When a process began, as numbers of processes are used again; None where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *numbers = stat.rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return None if state == "Z" else f"{boot} {numbers[18]}"


def write_history(path: Path, history: dict[str, Sequence[float]]) -> None:
    """Writes the columns of a training history as CSV, a line an epoch."""
    columns = sorted(history)
    with atomic_path(path, force=True) as scratch, open(scratch, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *columns])
        writer.writerows([i + 1, *row] for i, row in enumerate(zip(*(history[c] for c in columns), strict=True)))


def read_history(path: Path) -> dict[str, list[float]]:
    """What `write_history` wrote; nothing, if there is none."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {key: [float(row[key]) for row in rows] for key in (rows[0] if rows else {}) if key != "epoch"}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is no history of a training: {str(error)[:100]}.") from error
