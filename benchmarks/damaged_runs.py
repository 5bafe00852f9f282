"""Damaged and edited run folders: each is loaded as it was saved, or refused in a sentence, within time and memory.

    python benchmarks/damaged_runs.py [--number 5000] [--first 0]

Half of the folders are of today's format, half of version 0.1's. Bytes are flipped, cut off, doubled and exchanged;
members of the archive are left out, renamed, swapped, taken from another flow, compressed; recipes, options and headers
are edited, with a hash that fits and without. Counted are tracebacks (anything but `InputError`), sentences of more
than one line, loads that take more than 10 s, peak memory, and wrong densities: a folder that loads must give the
log-probabilities that were saved, unless what was edited is a number or an option of a folder without a hash, or with
a forged one: such a folder is another flow, and a right one.
"""

import argparse
import collections
import copy
import io
import json
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import tfp_flows as tff
from tfp_flows import state

X = np.linspace(-1.0, 1.0, 12).reshape(6, 2)
ODD = [None, True, -1, 0, 1, 3, 10**9, 2**70, 1e308, float("nan"), "", "relu", [], [0], {}, {"a": 1}, [[1]], "tfb.Exp"]
VERSION_0_1 = Path(__file__).parents[1] / "tests" / "data" / "format_0_1"


def main() -> None:
    """Prints what was counted; exit status 1 if a count that must be zero is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    options = parser.parse_args()
    counts = campaign(options.first, options.number)
    print(dict(counts))
    sys.exit(any(counts[kind] for kind in ("traceback", "long sentence", "slow", "wrong density")))


def campaign(first: int, number: int) -> collections.Counter:
    """Counts of what became of so many folders."""
    counts: collections.Counter = collections.Counter()
    with tempfile.TemporaryDirectory() as scratch:
        sources = _sources(Path(scratch))
        for seed in range(first, first + number):
            rng = np.random.default_rng(seed)
            name = str(rng.choice(list(sources)))
            folder = Path(scratch) / "damaged"
            shutil.copytree(sources[name].folder, folder)
            what, may_differ = _damage(folder, sources, rng)
            outcome = _outcome(folder, sources[name].log_prob, may_differ)
            if outcome not in ("loaded", "refused"):
                print(f"seed {seed}, {name}, {what}: {outcome}", flush=True)
            counts[outcome.split(":")[0]] += 1
            shutil.rmtree(folder)
    counts["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return counts


class _SourceFlow:
    def __init__(self, folder: Path, log_prob: np.ndarray) -> None:
        self.folder, self.log_prob = folder, log_prob


def _sources(scratch: Path) -> dict[str, _SourceFlow]:
    """Small flows, in today's format and in version 0.1's."""
    found = {}
    for name in ("maf", "nsf_coupling", "mlp", "planar"):
        options = {} if name in ("mlp", "planar") else {"hidden_units": (4,)}
        flow = tff.make(name, event_size=2, num_layers=2, seed=1, **options)
        flow.save(scratch / name)
        found[name] = _SourceFlow(scratch / name, flow.log_prob(X).numpy())
    for folder in sorted(VERSION_0_1.iterdir()):
        flow = tff.load(folder)
        context = {"context": np.ones((6, 2))} if flow.context_size else {}
        found[f"0.1 {folder.name}"] = _SourceFlow(folder, flow.log_prob(X, **context).numpy())
    return found


def _outcome(folder: Path, expected: np.ndarray, may_differ: bool) -> str:
    started = time.perf_counter()
    try:
        flow = tff.load(folder)
        context = {"context": np.ones((6, flow.context_size))} if flow.context_size else {}
        log_prob = flow.log_prob(X[:, : flow.event_size], **context).numpy() if flow.event_size <= 2 else None
    except tff.InputError as error:
        sentence = str(error)
        if len(sentence.splitlines()) > 1 or len(sentence) > 400:
            return f"long sentence: {sentence!r}"
        return "refused" if time.perf_counter() - started < 10 else "slow"
    except Exception:
        return (
            f"traceback: {traceback.format_exc().strip().splitlines()[-1]} {traceback.format_exc().splitlines()[-4:-1]}"
        )
    if time.perf_counter() - started > 10:
        return "slow"
    same = log_prob is not None and log_prob.shape == expected.shape and np.array_equal(log_prob, expected)
    return "loaded" if same or may_differ else "wrong density"


def _damage(folder: Path, sources: dict[str, _SourceFlow], rng: np.random.Generator) -> tuple[str, bool]:
    """Damages a folder; says how, and whether the flow may be another one now."""
    is_new = (folder / "flow.npz").exists()
    archive = folder / ("flow.npz" if is_new else "weights.npz")
    kinds = ["bytes", "cut", "members", "array", "json", "missing"] + ["forged"] * is_new
    kind = str(rng.choice(kinds))
    if kind == "bytes":
        path = archive if is_new or rng.random() < 0.7 else folder / "config.json"
        content = bytearray(path.read_bytes())
        for place in rng.integers(len(content), size=rng.integers(1, 8)):
            content[place] = rng.integers(256)
        path.write_bytes(bytes(content))
        return kind, path.name == "config.json"
    if kind == "cut":
        content = archive.read_bytes()
        archive.write_bytes(content[: rng.integers(len(content))] + content[: rng.integers(0, 200)])
        return kind, False
    if kind == "missing":
        (archive if is_new or rng.random() < 0.5 else folder / "config.json").unlink()
        return kind, False
    if kind == "json" and not is_new:
        config = json.loads((folder / "config.json").read_text())
        _edit(config, rng)
        (folder / "config.json").write_text(json.dumps(config))
        return kind, True
    members = _members(archive)
    may_differ = _change_members(kind, members, sources, rng)
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return kind, may_differ or not is_new


def _members(archive: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as file:
        return [(name, file.read(name)) for name in file.namelist()]


def _change_members(
    kind: str, members: list[tuple[str, bytes]], sources: dict[str, _SourceFlow], rng: np.random.Generator
) -> bool:
    i, j = rng.integers(len(members), size=2)
    if kind == "members":
        other = sources[str(rng.choice(list(sources)))].folder
        foreign = _members(other / ("flow.npz" if (other / "flow.npz").exists() else "weights.npz"))
        change = rng.integers(4)
        if change == 0:
            members.pop(i)
        elif change == 1:
            members[i] = (members[i][0], members[j][1])
        elif change == 2:
            members[i] = (f"{members[i][0]}x", members[i][1])
        else:
            members[i] = foreign[rng.integers(len(foreign))]
        return False
    if kind == "array":
        shape = tuple(rng.integers(0, 5, size=rng.integers(0, 3)))
        value = rng.choice([np.nan, np.inf, 1e300, 0.0, 5.0]) * np.ones(shape)
        buffer = io.BytesIO()
        np.save(buffer, value.astype(rng.choice(["float32", "float64", "int8", "complex64", "U3", "object"])))
        members[i] = (members[i][0], buffer.getvalue())
        return False
    place = next(k for k, (name, _) in enumerate(members) if name == "flow.json")
    header = json.loads(members[place][1])
    _edit(header, rng)
    if kind == "forged" and isinstance(header, dict):
        header.pop("sha256", None)
        arrays = {n.removesuffix(".npy"): np.load(io.BytesIO(c)) for n, c in members if n != "flow.json"}
        header["sha256"] = state._hash_of(header, arrays)
    members[place] = ("flow.json", json.dumps(header).encode())
    return kind == "forged"


def _edit(data: Any, rng: np.random.Generator) -> None:
    """Puts something odd, or a copy of something else, somewhere into nested JSON."""
    places = []

    def visit(node: Any) -> None:
        keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            visit(node[key])

    visit(data)
    for _ in range(rng.integers(1, 4)):
        node, key = places[rng.integers(len(places))]
        source, other = places[rng.integers(len(places))]
        with_odd = ODD[rng.integers(len(ODD))]
        try:
            node[key] = copy.deepcopy(with_odd if rng.random() < 0.6 else source[other])
            if rng.random() < 0.15:
                del node[key]
        except (KeyError, IndexError):  # an earlier edit took the place away
            continue


if __name__ == "__main__":
    main()
