"""tfp_flows beside its peers: the same work in each framework, in turn, in one run.

    python benchmarks/peers/run.py [--quick] [--only FILTER]

builds a virtual environment per framework, runs what `cases.py` lists, appends each result to a JSONL file as it comes,
and writes tables and figures into `benchmarks/README.md`. `--report` writes them from that file alone. The whole takes
more than an hour, `--quick`, the cases that count, a quarter. Run it on an idle machine: with one core of two
taken, small operations of PyTorch, whose threads wait for one another, took ten and more times as long.
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import report
from cases import MEMORY, QUICK, RACES, START, jobs
from conductor import Peer, PeerError, take_turns
from frameworks import FRAMEWORKS, HERE, OURS, python_of
from machine import machine
from protocol import Case

Pythons = dict[str, Path]

STARTS = 3  # fresh processes of each framework
STEPS_FOR_MEMORY = 10
RACE = {"look_every": 100, "limit": 60.0, "learning_rate": 1e-3}


def check_machine(path: Path) -> None:
    """Ends the program if the file has results of another machine: a report must not mix them."""
    here = machine()
    if path.exists():
        for r in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            there = {key: r.get(key) for key in here}
            if r["kind"] == "machine" and there != here:
                raise SystemExit(f"{path} has results of {there}, this is {here}: give another file as --out.")


def memory(case: Case, pythons: Pythons) -> Iterator[dict]:
    """What a fresh process holds at most, after its imports and after ten train steps."""
    for name, python in pythons.items():
        if name == "normflows" and case.event_size > 64:
            continue
        peer = Peer(name, python)
        record = {"kind": "memory", "case": case.name, "framework": name}
        try:
            peer.ask("prepare", case=asdict(case), work="step")
            peer.ask("measure", work="step", repeats=STEPS_FOR_MEMORY)
            record |= peer.ask("memory")
        except PeerError as error:
            record["error"] = str(error)
        peer.stop()
        yield record


def start(pythons: Pythons) -> Iterator[dict]:
    """Seconds until a fresh process has its imports, and until it has the log-density of one row."""
    imports, firsts = {name: [] for name in pythons}, {name: [] for name in pythons}
    for _ in range(STARTS):
        for name, python in pythons.items():
            peer, started = Peer(name, python), time.perf_counter()
            peer.start()
            imports[name].append(time.perf_counter() - started)
            peer.ask("prepare", case=asdict(START), work="first")
            firsts[name].append(time.perf_counter() - started)
            peer.stop()
    for name in pythons:
        record = {"import_seconds": statistics.median(imports[name]), "first_seconds": statistics.median(firsts[name])}
        yield {"kind": "start", "case": START.name, "framework": name, **record}


def races(case: Case, target: float, peers: dict[str, Peer], python: Path) -> Iterator[dict]:
    """Seconds of training on SIGGRAPH until the held-out NLL is at the target."""
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "siggraph.npz")
        subprocess.run([str(python), str(HERE / "siggraph.py"), data], check=True)
        for name, peer in peers.items():
            record = {"kind": "race", "case": case.name, "framework": name, "target": target}
            try:
                record |= peer.ask("train", case=asdict(case), data=data, target=target, **RACE)
                peer.ask("drop")
            except PeerError as error:
                record["error"] = str(error)
            yield record


def everything(pythons: Pythons, wanted: Callable[[str], bool]) -> Iterator[dict]:
    """All the records of a run, as they come."""
    workers = {(name, trains): Peer(name, python) for name, python in pythons.items() for trains in (False, True)}
    peers = {name: workers[name, False] for name in pythons}
    yield {"kind": "machine", **machine()}
    for name, peer in peers.items():
        yield {"kind": "versions", "framework": name, "versions": peer.ask("versions")}
    for job in jobs():
        if wanted(job.name):
            yield from take_turns(job, workers)
    for case, target in RACES:
        if wanted(f"siggraph: {case.name}"):
            yield from races(case, target, peers, pythons[OURS])
    for worker in workers.values():
        worker.stop()
    for case in MEMORY:
        if wanted(f"memory: {case.name}"):
            yield from memory(case, pythons)
    if wanted(f"start: {START.name}"):
        yield from start(pythons)


def main() -> None:
    """Reads the command line, measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=Path, default=HERE / "envs", help="folder of the virtual environments")
    parser.add_argument("--python", action="append", default=[], metavar="ENV=PATH", help="an interpreter to use as is")
    parser.add_argument("--only", default="", metavar="FILTER", help="only what has this in its name")
    parser.add_argument("--quick", action="store_true", help="only the cases that count")
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl", help="file that results are appended to")
    parser.add_argument("--report", action="store_true", help="measure nothing, report what is in the file")
    options = parser.parse_args()
    if not options.report:
        given = {home: Path(path) for home, path in (text.split("=", 1) for text in options.python)}
        check_machine(options.out)
        homes = {framework.home for framework in FRAMEWORKS.values()}
        found = {home: given.get(home) or python_of(home, options.envs.resolve()) for home in sorted(homes)}
        pythons = {name: found[framework.home] for name, framework in FRAMEWORKS.items()}

        def wanted(name: str) -> bool:
            return options.only in name and (not options.quick or name.startswith(QUICK))

        with open(options.out, "a", encoding="utf-8") as out:
            for record in everything(pythons, wanted):
                line = json.dumps({**record, "date": datetime.date.today().isoformat()})
                print(line[:200], file=sys.stderr, flush=True)
                out.write(line + "\n")
                out.flush()
    report.write(options.out)


if __name__ == "__main__":
    main()
