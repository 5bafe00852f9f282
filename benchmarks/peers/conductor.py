"""The workers, and whose turn it is: all are alive at once, one works at a time."""

import json
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cases import Job
from frameworks import FRAMEWORKS, HERE, environment
from protocol import Case

__all__ = ["Peer", "PeerError", "take_turns"]

ROUNDS = 10
MOST_CALLS = 500  # of a turn
EPOCHS = 5  # of a training, at least
LONG = 20.0  # seconds from which a first call that compiled nothing is taken for the measurement
PAUSE = 0.05  # seconds between two turns: threads of the one before may still wait for work, awake
PATIENCE = 900.0  # seconds after which a worker that does not answer is ended


class PeerError(Exception):
    """What a worker could not do, and why."""


class Peer:
    """A worker process, started when it is first asked for something, and again after it has died.

    Args:
      name: of the framework.
      python: interpreter of its environment.
    """

    def __init__(self, name: str, python: Path) -> None:
        self.name = name
        self._framework, self._python = FRAMEWORKS[name], python
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Starts the process and waits until its imports are done."""
        script, *arguments = self._framework.worker
        self._process = subprocess.Popen(
            [str(self._python), str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(self._framework),
        )
        self._answer()

    def ask(self, op: str, **request: Any) -> dict:
        """The answer to a request; `PeerError` if there is none."""
        if self._process is None:
            self.start()
        try:
            self._process.stdin.write(json.dumps({"op": op, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            self.stop()
            raise PeerError("the worker had died") from error
        answer = self._answer()
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answer(self) -> dict:
        timer = threading.Timer(PATIENCE, self._process.kill)
        timer.start()
        try:
            # what a library prints while it is imported comes before the first answer
            line = next((line for line in self._process.stdout if line.startswith("{")), None)
        finally:
            timer.cancel()
        if line is None:
            self.stop()
            raise PeerError(f"the worker died, or did not answer in {PATIENCE:.0f} s")
        return json.loads(line)


def take_turns(job: Job, workers: Mapping[tuple[str, bool], Peer]) -> list[dict]:
    """Measures the entrants of a job round by round; a record for each, with medians or an error.

    Of each framework there are two workers, the other for `fit`: what a training leaves behind, in the heap or in the
    settings of malloc, can make every call after it slower.
    """
    records = [_prepare(job.case, name, work, workers[name, work == "fit"]) for name, work in job.entrants]
    for turn in range(ROUNDS):
        for record in records[turn % len(records) :] + records[: turn % len(records)]:  # none is always after the same
            if "error" not in record:
                try:
                    _take_turn(record, job, workers[record["framework"], record["work"] == "fit"])
                except PeerError as error:
                    record["error"] = str(error)
    for key in {(name, work == "fit") for name, work in job.entrants}:
        workers[key].ask("drop")
    return [_summary(record, job) for record in records]


def _prepare(case: Case, name: str, work: str, peer: Peer) -> dict:
    record = {"framework": name, "work": work, "seconds": []}
    try:
        record |= peer.ask("prepare", case=asdict(case), work=work)
    except PeerError as error:
        return record | {"error": str(error)}
    if FRAMEWORKS[name].eager and record["first_call_seconds"] > LONG:
        record["seconds"] = [record["first_call_seconds"]]
    return record


def _take_turn(record: dict, job: Job, peer: Peer) -> None:
    """One turn of an entrant that has not used up its time: a part of that, and at least one call."""
    seconds, steps = record["seconds"], job.case.epoch_steps if record["work"] == "fit" else 1
    if sum(seconds) * steps >= job.seconds and (steps == 1 or len(seconds) >= EPOCHS):
        return
    time.sleep(PAUSE)
    first = not seconds
    if first:
        seconds += peer.ask("measure", work=record["work"], repeats=1)["seconds"]
    repeats = int(job.seconds / ROUNDS / (statistics.median(seconds) * steps))
    if repeats or not first:
        seconds += peer.ask("measure", work=record["work"], repeats=min(max(repeats, 1), MOST_CALLS))["seconds"]


def _summary(record: dict, job: Job) -> dict:
    seconds = record.pop("seconds")
    if seconds:
        low, _, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        record |= {"calls": len(seconds), "median": statistics.median(seconds), "low": low, "high": high}
    return {"kind": "time", "group": job.group, "case": job.case.name, "spec": asdict(job.case), **record}
