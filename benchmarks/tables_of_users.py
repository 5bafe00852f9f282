"""Numbers that users' tables have: weights, offsets and scales, few rows. What `fit` makes of them, held out.

    python benchmarks/tables_of_users.py [weights [SIZE ...]] [offsets] [batches [ROWS ...]]

weights: 90 % of the weight on 1 % of the rows; the share of samples on their side, for batches of 20, 200 and 5000 at
the same number of passes, and of rows that count alike. offsets: the NLL of offset + scale N(0, 1) in the units of
N(0, 1), default dtype. batches: the gap on Two Moons for batches of several sizes and numbers of rows, all other
options as they are by default: why `batch_size=None` chooses as it does.
"""

import sys
import time
import warnings

import numpy as np

import tfp_flows as tff

SEEDS = (0, 1, 2)
QUIET = {"verbose": False}


def weights(*sizes: int, rows: int = 20_000, passes: int = 100) -> None:
    """Share of the samples near the 1 % of the rows that have 90 % of the weight.

    Beside it, of as many rows of the same law that count alike: what it lacks there, the weights are no reason for.
    """
    heavy = np.arange(rows) % 100 == 0
    weight = np.where(heavy, 1.0, 0.0011)
    truth = weight[heavy].sum() / weight.sum()
    print(f"| batch | share, truth {truth:.3f} | | of rows that count alike | |\n|---|---|---|---|---|")
    for batch_size in sizes or (20, 200, 5000):
        cells = []
        for weighted in (True, False):
            shares = []
            for seed in SEEDS:
                rng = np.random.default_rng(seed)
                right = heavy if weighted else rng.random(rows) < truth
                x = np.where(right, 5.0, -5.0)[:, None] + rng.normal(size=(rows, 2))
                flow = tff.nsf_coupling(2, num_layers=2, hidden_units=(32,), num_bins=16, interval=5.0, seed=seed)
                options = {"epochs": passes, "batch_size": batch_size, "learning_rate": 5e-3, "seed": seed}
                tff.fit(flow, x, sample_weight=weight if weighted else None, **options, **QUIET)
                shares.append(float((flow.sample(20_000, seed=seed).numpy()[:, 0] > 0).mean()))
            cells.append(f"{' '.join(f'{share:.3f}' for share in shares)} | {np.mean(shares) - truth:+.3f}")
        print(f"| {batch_size} | {' | '.join(cells)} |", flush=True)


def offsets() -> None:
    """NLL above the entropy, less the logarithm of the scale."""
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    print("| offset | scale | NLL - entropy, nats |\n|---|---|---|")
    for offset, scale in [(0, 1), (1e8, 1), (1.7e9, 1e3), (3, 1e-9), (0, 1e-9), (0, 1e9), (1e12, 1)]:
        rng = np.random.default_rng(0)
        flow = tff.maf(1, num_layers=1, seed=0)
        tff.fit(flow, offset + scale * rng.normal(size=(5000, 1)), epochs=5, learning_rate=1e-3, **QUIET)
        z = rng.normal(size=(20_000, 1))
        log_prob = flow.log_prob(offset + scale * z).numpy().astype(float) + np.log(scale)
        exact = -0.5 * z[:, 0] ** 2 - 0.5 * np.log(2 * np.pi)
        gap, nll = np.mean(exact - log_prob), -log_prob.mean() - entropy
        print(f"| {offset:g} | {scale:g} | {gap:+.4f} (of the sample {nll:+.3f}) |")


def batches(*numbers_of_rows: int) -> None:
    """Gap on Two Moons by rows and size of batch. Each fit leaves some 80 MB behind: large ones want a process each."""
    sizes = (32, 64, 128, 250, 500, None)
    law = tff.datasets.two_moons(0.05)
    test = law.sample(20_000, seed=99)
    exact = law.log_prob(test)
    heads = "".join(f" {size or 'None'} |" for size in sizes)
    print(f"| rows | flow |{heads}\n|---|---|{'---|' * len(sizes)}")
    for rows in numbers_of_rows or (100, 600, 3000, 20_000, 100_000):
        for name in ("nsf_coupling", "maf"):
            cells = []
            for size in sizes:
                if rows == 100_000 and size in (32, 64, 128):
                    cells.append("-")
                    continue
                started, gaps = time.perf_counter(), []
                for seed in SEEDS[: 1 if rows > 3000 else 3]:
                    flow = tff.make(name, event_size=2, seed=seed, **({"num_bins": 16} if name != "maf" else {}))
                    tff.fit(flow, law.sample(rows, seed=seed), batch_size=size, seed=seed, **QUIET)
                    gaps.append(np.mean(exact - tff.plots.log_prob_of(flow, test)))
                cells.append(f"{np.mean(gaps):.3f} ({(time.perf_counter() - started) / len(gaps):.0f} s)")
            print(f"| {rows} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    words = [word for word in sys.argv[1:] if not word.isdigit()]
    for word in words or ("weights", "offsets", "batches"):
        numbers = [int(number) for number in sys.argv[1:] if number.isdigit() and word != "offsets"]
        {"weights": weights, "offsets": offsets, "batches": batches}[word](*numbers)
