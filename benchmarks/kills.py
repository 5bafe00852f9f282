"""Kills `tfp-flows train` at random moments, resumes it, and compares the end with a run that was never killed.

    python benchmarks/kills.py --number 100 --jobs 2

Each case is SIGKILL, SIGTERM or SIGINT at a moment that is uniform over the whole command, from its first line to the
last figure; every third is killed once more while it is resumed. Half of the cases train over a finished run with
`--force`. Each command is a process of its own, forked from one that has imported TensorFlow and done nothing else:
importing takes longer than most trainings here, and writes nothing. Counted are

- lost: no checkpoint, or one older than the interval between two and five seconds, while training was under way;
  or, with `--force`, the old run gone with nothing in its place;
- mixed: a folder whose weights and metrics do not belong together, looked at before the run is resumed;
- different: weights, history or NLL that are not, to the last bit, those of the run that was never killed.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tfp_flows as tff
import tfp_flows.cli

EVERY = 0.5
SERVER = multiprocessing.get_context("forkserver")
TRAINING = ["--flow", "real_nvp", "--batch-norm", "--data", "two_moons", "--num-layers", "2", "--hidden-units", "16,16"]
TRAINING += ["--steps-per-epoch", "200", "--batch-size", "100"]
STATUSES = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15}, signal.SIGINT: {130, -2, 1}}


def main() -> None:
    """Runs the campaign and prints the counts; exit status 1 if one that ought to be 0 is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=100, help="how many kills")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40, help="of each training")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs in the background ignore it
    SERVER.set_forkserver_preload(["__main__"])
    with tempfile.TemporaryDirectory() as scratch:
        counts = campaign(Path(scratch), given.number, given.jobs, given.seed, given.epochs)
    print(json.dumps(counts, indent=2))
    sys.exit(any(counts[kind] for kind in ("lost", "mixed", "different", "wrong status")))


def campaign(scratch: Path, number: int, jobs: int, seed: int, epochs: int) -> dict[str, int]:
    """How many kills of each kind there were, and what came of them."""
    start, training = time.monotonic(), [*TRAINING, "--epochs", str(epochs)]
    run(scratch / "never-killed", [*training, "--out", scratch / "never-killed"])
    seconds = time.monotonic() - start
    old = scratch / "old"
    run(old, ["--flow", "mlp", "--data", "gaussian", "--num-layers", "1", "--epochs", "1", "--out", old])
    rng = random.Random(seed)
    cases = [(i, rng.choice(list(STATUSES)), rng.uniform(0, seconds), rng.random()) for i in range(number)]
    counts = Counter(dict.fromkeys(("kills", "lost", "mixed", "different", "wrong status", "resumed", "begun anew"), 0))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for i, found in enumerate(pool.map(lambda case: one(scratch, training, *case), cases), 1):
            counts.update(found)
            if i % 10 == 0:
                print(f"{i} of {number}: {dict(counts)}", file=sys.stderr, flush=True)
    return dict(counts)


def one(scratch: Path, training: list[str], i: int, number: signal.Signals, moment: float, chance: float) -> Counter:
    """What came of one case: its folder is trained, killed, looked at, resumed and compared."""
    found, out = Counter(), scratch / f"run{i}"
    has_old = i % 2 == 0
    if has_old:
        shutil.copytree(scratch / "old", out)
    words = [*training, "--out", out, *(["--force"] if has_old else [])]
    for delay in [moment, *([moment * chance] if i % 3 == 0 else [])]:
        killed = kill(words, number, delay)
        if killed is None:
            break  # it had ended
        found.update({"kills": 1, number.name: 1})
        if killed.status not in STATUSES[number]:
            found["wrong status"] += 1
            print(f"case {i}: exit status {killed.status} after {delay:.2f} s", file=sys.stderr, flush=True)
        found["lost"] += is_late(out / "training" / "checkpoint.npz", killed)
        found.update(look(scratch, out, has_old))
        if (out / "training" / "config.json").exists():
            words = ["--resume", out]
    found["resumed" if words[0] == "--resume" else "begun anew"] += 1
    if words[0] != "--resume" and (out / "config.json").exists() and not is_old(scratch, out):
        words = ["--resume", out]  # it had ended, but for figures
    run(out, words)
    same = identical(scratch / "never-killed", out)
    found["different"] += not same
    if not same or found["lost"] or found["mixed"] or found["wrong status"]:
        print(f"case {i}: {number.name} after {moment:.2f} s: {dict(found)}", file=sys.stderr, flush=True)
    shutil.rmtree(out)
    return found


class Killed(NamedTuple):
    """Exit status of a command, and between which times it ran."""

    status: int
    began: float
    died: float


def is_late(checkpoint: Path, killed: Killed) -> bool:
    """Whether a command trained for longer than it should after the last checkpoint that it wrote.

    What it does before (imports, compiling) and after training does not count.
    """
    if not checkpoint.exists() or checkpoint.stat().st_mtime < killed.began:
        return False
    with np.load(checkpoint) as file:
        facts = json.loads(file["facts"].tobytes())
    is_under_way = not facts["ended"] and (facts["epoch"], facts["done"]) != (0, 0)
    return is_under_way and killed.died - checkpoint.stat().st_mtime > EVERY + 5


def kill(words: list, number: signal.Signals, delay: float) -> Killed | None:
    """Runs the command for so many seconds, and kills it; None if it had ended before."""
    began = time.time()
    process = begin(words, os.devnull)
    process.join(delay)
    if not process.is_alive():
        return None
    died = time.time()
    os.kill(process.pid, number)
    process.join(120)
    if number == signal.SIGKILL and process.exitcode == 0:
        return None
    return Killed(process.exitcode, began, died)


def run(out: Path, words: list) -> None:
    """Runs the command to its end."""
    said = out.with_suffix(".said")
    process = begin(words, said)
    process.join()
    if process.exitcode:
        raise SystemExit(f"{out}: exit status {process.exitcode}: {said.read_text()[-2000:]}")


def begin(words: list, said: str | Path) -> multiprocessing.process.BaseProcess:
    """A process that runs the command, what it says in a file."""
    process = SERVER.Process(target=train, args=([str(word) for word in words], said))
    process.start()
    return process


def train(words: list[str], said: str | Path) -> None:
    """The command, in a process of its own."""
    with open(said, "w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["tfp-flows", "train", "--checkpoint-every", str(EVERY), *words]
    tfp_flows.cli.main()


def look(scratch: Path, out: Path, has_old: bool) -> Counter:
    """Whether what a killed command left belongs together."""
    found = Counter()
    if not (out / "config.json").exists() and not (out / ".commit").exists():
        return Counter(lost=1) if has_old else found
    opened = tff.Run.open(out)
    law = tff.datasets.make(opened.config["data"]["name"])
    measured, nll = opened.metrics.get("nll"), -float(opened.flow.log_prob(law.split(0).test).numpy().mean())
    found["mixed"] += measured is not None and abs(measured - nll) > 1e-3
    found["mixed"] += is_old(scratch, out) and opened.history != tff.Run.open(scratch / "old").history
    return found


def is_old(scratch: Path, out: Path) -> bool:
    """Whether a folder still has the run that was there before."""
    return same_weights(scratch / "old", out)


def weights(folder: Path) -> list[np.ndarray]:
    """The variables of the flow in a folder."""
    return [variable.numpy() for variable in tff.load(folder).variables]


def same_weights(one: Path, other: Path) -> bool:
    """Whether two folders have the same flow, to the last bit."""
    pairs = weights(one), weights(other)
    return len(pairs[0]) == len(pairs[1]) and all(np.array_equal(a, b) for a, b in zip(*pairs, strict=True))


def identical(one: Path, other: Path) -> bool:
    """Whether two folders have the same run, but for its times."""
    a, b = tff.Run.open(one), tff.Run.open(other)
    same = a.history == b.history and a.metrics["nll"] == b.metrics["nll"] and a.config == b.config
    return same and not (other / "training").exists() and same_weights(one, other)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
