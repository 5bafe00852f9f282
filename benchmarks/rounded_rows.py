"""From which rounding on a flow learns the steps in place of the density.

`python benchmarks/rounded_rows.py` trains `nsf_coupling` on 10,000 rows of two standard normal columns, rounded to 1/r,
and prints r, the share of the most frequent value, and how far held-out NLL ends from the entropy of rows that are not
rounded: far below it, the number means nothing. Some ten minutes on two cores. What it found decides when
`tff.datasets.judge_columns` warns of a column with steps.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tfp_flows as tff

TRAIN, TEST = 10_000, 5_000
ENTROPY = float(np.log(2 * np.pi * np.e))


def gap(r: float | None, num_bins: int, epochs: int) -> tuple[float, float]:
    """The share of the most frequent value, and held-out NLL less the entropy, in nats."""
    x = np.random.default_rng(0).normal(size=(TRAIN + TEST, 2))
    x = (x if r is None else np.round(x * r) / r).astype(np.float32)
    flow = tff.nsf_coupling(2, num_bins=num_bins, seed=0)
    tff.fit(flow, x[:TRAIN], epochs=epochs, patience=epochs, verbose=0, seed=0)
    share = np.unique(x[:TRAIN, 0], return_counts=True)[1].max() / TRAIN
    return share, -float(np.mean(flow.log_prob(x[TRAIN:]))) - ENTROPY


if __name__ == "__main__":
    print("| r | most frequent value | 64 bins, 60 epochs | 32 bins, 200 epochs |", "|---|---|---|---|", sep="\n")
    for r in (None, 3, 10, 20, 30, 50, 100):
        share, short = gap(r, 64, 60)
        print(f"| {r or 'not rounded'} | {share:.2%} | {short:.3f} | {gap(r, 32, 200)[1]:.3f} |", flush=True)
