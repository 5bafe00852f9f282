"""What a Gaussian makes of tables whose columns were taken to powers, by the gain that a change of a power must have.

    python benchmarks/powers.py [TABLE ...]

Held-out NLL in nats of the Gaussian with all correlations, shrunk as `Standardize(whiten=True)` does: where a chain
starts. *none*: no powers; *own*: each column's by itself. Without names, the tables of `quality.py` and four laws:
parts and their total, the same beside two columns that go together, heavy tails, and slips of the pen. It needs what
`quality.py` does.

    python benchmarks/powers.py few

What powers that were chosen by a few rows cost such a Gaussian on others: the differences to none of twelve draws.
"""

import importlib
import itertools
import sys
import warnings

import numpy as np
from quality_tables import REAL, table

import tfp_flows as tff

power = importlib.import_module("tfp_flows.bijectors.power")
GAINS = {"none": None, "own": np.inf, "0.2": 0.2, "0.1": 0.1, "0.05": 0.05, "0.02": 0.02, "0": 1e-9}
NARROW = np.full([3, 3], 0.99) + 0.01 * np.eye(3)


def parts_and_total(count: int, rng: np.random.Generator) -> np.ndarray:
    """Two lopsided columns and their sum, nearly."""
    parts = np.exp(rng.normal(size=(count, 2)))
    return np.column_stack([parts, parts.sum(axis=1) + 0.01 * rng.normal(size=count)])


def mixed(count: int, rng: np.random.Generator) -> np.ndarray:
    """The same, and two lopsided columns whose logarithms go together."""
    together = np.exp(rng.multivariate_normal(np.zeros(2), NARROW[:2, :2], size=count))
    return np.column_stack([parts_and_total(count, rng), together])


def heavy(count: int, rng: np.random.Generator) -> np.ndarray:
    """Student's t of two degrees of freedom in three columns that go together."""
    return rng.multivariate_normal(np.zeros(3), NARROW, size=count) / np.sqrt(rng.chisquare(2, (count, 1)) / 2)


def slips(count: int, rng: np.random.Generator) -> np.ndarray:
    """Scores out of 100, most of them near it, and three rows in a thousand with a digit too many."""
    score = 100 - 5 * rng.exponential(size=count)
    x = np.column_stack([score, score + 0.1 * rng.normal(size=count), rng.normal(size=count)])
    x[rng.uniform(size=count) < 0.003, :2] *= 10
    return x


def normal(count: int, rng: np.random.Generator) -> np.ndarray:
    """Eight columns of a normal law, of which two are nearly the same."""
    x = rng.normal(size=(count, 8))
    x[:, 7] = x[:, 0] + 0.05 * x[:, 7]
    return x


def lognormal(count: int, rng: np.random.Generator) -> np.ndarray:
    """What has these as its logarithms."""
    return np.exp(normal(count, rng))


LAWS = {"parts_and_total": parts_and_total, "mixed": mixed, "heavy": heavy, "slips": slips}


def gaussian_nll(train: np.ndarray, test: np.ndarray, gain: float | None) -> float:
    """NLL of the test rows in the Gaussian of the training rows, after the powers that these choose."""
    size, power.LEAST_GAIN = train.shape[1], gain
    powers = [] if gain is None else [tff.bijectors.Power(size)]
    flow = tff.Flow([*powers, tff.bijectors.Standardize(size, whiten=True)], event_size=size)
    flow.standardize(train)
    return -float(np.mean(flow.log_prob(test)))


def by_few_rows() -> None:
    """Prints a line a law and number of rows."""
    power.FEWEST_ROWS = 0
    print("| law | rows | median | least | most |\n|---|---|---|---|---|")
    for law, count in itertools.product((normal, lognormal), (10, 15, 20, 30, 50)):
        draws = [[law(size, np.random.default_rng([seed, size])) for size in (count, 2000)] for seed in range(12)]
        costs = [gaussian_nll(x, fresh, 0.05) - gaussian_nll(x, fresh, None) for x, fresh in draws]
        print(
            f"| {law.__name__} | {count} | {np.median(costs):.2f} | {min(costs):.2f} | {max(costs):.2f} |", flush=True
        )


def main() -> None:
    """Prints a line a table: the means over three splits, or draws."""
    print(f"| table | {' | '.join(GAINS)} |\n|---|{'---|' * len(GAINS)}")
    for name in sys.argv[1:] or [*REAL, *LAWS]:
        found = []
        for seed in range(3):
            if name in LAWS:
                train, test = (LAWS[name](2000, np.random.default_rng([seed, i])) for i in range(2))
            else:
                rows = table(name, seed)
                train, test = rows.train, rows.test
            found.append([gaussian_nll(train, test, gain) for gain in GAINS.values()])
        print(f"| {name} | {' | '.join(f'{nll:.3f}' for nll in np.mean(found, axis=0))} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    by_few_rows() if sys.argv[1:] == ["few"] else main()
