"""What the benchmark and its workers share: a case, the clock, and lines of JSON over stdin and stdout.

A worker says `{"ready": true}` when all is imported. Then each request is answered by one line:

    {"op": "prepare", "case": {...}, "work": "step"}   {"parameters": 5, "first_call_seconds": 1.5}
    {"op": "measure", "work": "step", "repeats": 3}    {"seconds": [0.01, 0.01, 0.01]}
    {"op": "train", "case": {...}, "data": "x.npz", …} {"nll": 1.1, "seconds": 9.0, "steps": 700, "reached": true}
    {"op": "memory"}                                   {"after_import": 3e8, "peak": 5e8}       bytes
    {"op": "versions"}                                 {"torch": "2.13.0"}
    {"op": "drop"}                                     {}

or by `{"error": "ValueError: …"}`. Standard library only: every worker imports this, whatever its framework.
"""

import gc
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["WIDE", "Case", "Timed", "serve", "threads"]

WIDE = 100_000  # units of input times units of hidden layer from which an epoch has fewer steps


@dataclass(frozen=True)
class Case:
    """One architecture and batch: `layers` of `flow` in `event_size` dimensions, each with a network of its own."""

    flow: str  # "maf", "nsf", "real_nvp", "spline" (couplings); or "matmul", a product of two square matrices
    event_size: int
    layers: int = 5
    hidden: tuple[int, ...] = (64, 64)
    batch: int = 256
    bins: int = 8  # of a spline

    @property
    def name(self) -> str:
        """The case as the tables say it."""
        if self.flow == "matmul":
            return f"matmul {self.event_size}"
        hidden = ", ".join(map(str, self.hidden))
        return f"{self.flow} D={self.event_size}, {self.layers} × [{hidden}], batch {self.batch}"

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch, where a training is measured by epochs."""
        return 25 if self.event_size * max(self.hidden) > WIDE else 100


def case_of(fields: dict[str, Any]) -> Case:
    """The case that came over the line."""
    return Case(**{**fields, "hidden": tuple(fields["hidden"])})


def threads() -> int:
    """How many threads every framework gets: all the cores."""
    return os.cpu_count() or 1


@dataclass
class Timed:
    """Work that is one call, which returns when its result is there."""

    parameters: int
    call: Callable[[], Any]

    def measure(self, repeats: int) -> list[float]:
        """Seconds of each of `repeats` calls."""
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            self.call()
            seconds.append(time.perf_counter() - started)
        return seconds

    def close(self) -> None:
        """Nothing runs between two calls."""


def peak_memory() -> int:
    """The most that this process has held, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class _Worker:
    def __init__(self, packages: Sequence[str], works: dict[str, Callable], train: Callable | None) -> None:
        self._packages, self._works, self._train = packages, works, train
        self._prepared: dict[str, Any] = {}
        self._after_import = peak_memory()

    def prepare(self, case: dict, work: str) -> dict:
        prepared = self._prepared[work] = self._works[work](case_of(case))
        started = time.perf_counter()
        prepared.measure(1)
        return {"parameters": prepared.parameters, "first_call_seconds": time.perf_counter() - started}

    def measure(self, work: str, repeats: int) -> dict:
        gc.collect()
        return {"seconds": self._prepared[work].measure(repeats)}

    def train(self, case: dict, **options: Any) -> dict:
        return self._train(case_of(case), **options)

    def memory(self) -> dict:
        return {"after_import": self._after_import, "peak": peak_memory()}

    def versions(self) -> dict:
        found = {package: importlib.metadata.version(package) for package in self._packages}
        return {"python": sys.version.split()[0], **found}

    def drop(self) -> dict:
        for prepared in self._prepared.values():
            prepared.close()
        self._prepared.clear()
        gc.collect()
        return {}


def serve(packages: Sequence[str], works: dict[str, Callable], train: Callable | None = None) -> None:
    """Answers requests until stdin ends.

    Args:
      packages: those whose versions are reported.
      works: by name, what makes of a case an object like `Timed`.
      train: trains a case to a target: see `siggraph.py`.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between two answers
    worker = _Worker(packages, works, train)

    def say(answer: dict) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say(getattr(worker, request.pop("op"))(**request))
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]})
