"""Two checkouts of this package side by side: each in a process of its own, measured in turn, block by block.

    git worktree add ../other v0.1.0
    python benchmarks/versions.py ../other [--only log_prob] [--seconds 4]

prints, for the judged cases of the peers' benchmark and a spline, the median time of a call in the other checkout and
in this one, and the median of the ratios of neighbouring blocks. Run it on an idle machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = [
    {"flow": "maf", "event_size": 2, "layers": 8, "hidden": [64, 64], "batch": 1500},
    {"flow": "maf", "event_size": 2, "layers": 8, "hidden": [512, 512], "batch": 1500},
    {"flow": "maf", "event_size": 64, "layers": 5, "hidden": [512, 512], "batch": 256},
    {"flow": "maf", "event_size": 784, "layers": 5, "hidden": [1024, 1024], "batch": 256},
    {"flow": "spline", "event_size": 2, "layers": 4, "hidden": [64, 64], "batch": 500, "bins": 64},
]
WORKS = ("step", "log_prob", "sample")


class Worker:
    """A worker of the peers' benchmark, on the package of one checkout."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "worker_tfp_flows.py"],
            cwd=HERE / "peers",
            env=os.environ | {"PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def ask(self, **request: object) -> dict:
        """The answer to one request."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer

    def _answer(self) -> dict:
        return json.loads(self._process.stdout.readline())


def compare(workers: list[Worker], case: dict, work: str, seconds: float) -> None:
    """Prints one line of the table."""
    first = [worker.ask(op="prepare", case={"bins": 8, **case}, work=work)["first_call_seconds"] for worker in workers]
    once = max(worker.ask(op="measure", work=work, repeats=3)["seconds"][-1] for worker in workers)
    repeats = max(1, int(0.1 / once))
    found, until = [[], []], time.perf_counter() + seconds
    while time.perf_counter() < until or len(found[0]) < 7:
        for worker, times in zip(workers, found, strict=True):
            times.append(statistics.median(worker.ask(op="measure", work=work, repeats=repeats)["seconds"]))
    ratio = statistics.median(new / old for old, new in zip(*found, strict=True))
    old, new = (1e3 * statistics.median(times) for times in found)
    hidden = ", ".join(map(str, case["hidden"]))
    name = f"{case['flow']} D={case['event_size']}, {case['layers']} × [{hidden}], batch {case['batch']}"
    print(f"| {name} | {work} | {old:.3f} | {new:.3f} | {ratio:.3f} | {first[0]:.1f}, {first[1]:.1f} |", flush=True)
    for worker in workers:
        worker.ask(op="drop")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--only", default="", help="cases and works that have this in their line")
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    workers = [Worker(options.other.resolve()), Worker(HERE.parent)]
    print("| case | work | other, ms | this, ms | ratio | first call, s |\n|---|---|---|---|---|---|")
    for case in CASES:
        for work in WORKS:
            if options.only in f"{case} {work}":
                compare(workers, case, work, options.seconds)


if __name__ == "__main__":
    main()
