"""How well chains fit columns that are not the whole line, where the law is known.

`python benchmarks/supports.py` trains `nsf` on 20,000 rows of one column of each law below, and on a table of three of
them, one depending on another, for three seeds each, and prints: the gap of held-out NLL (of whole numbers, of the
bound that training minimises) for each seed, in nats; how many of 100,000 samples lie outside the support; and the mass
that the flow gives to it: the integral of its density, or the sum of what `log_prob` makes of the whole numbers, which
a bound leaves below 1. `--plain` trains the same rows without support and dequantize as well. Some ten minutes on two
cores.
"""

import argparse
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow_probability as tfp

import tfp_flows as tff

TRAIN, TEST, SAMPLES = 20_000, 20_000, 100_000
tfd = tfp.distributions
LAWS = {  # name -> the law, its support, whether it is of whole numbers
    "Beta(2, 5)": (tfd.Beta(np.float64(2), 5), (0, 1), False),
    "Beta(0.7, 0.7)": (tfd.Beta(np.float64(0.7), 0.7), (0, 1), False),
    "Gamma(2)": (tfd.Gamma(np.float64(2), 1), (0, None), False),
    "log-normal": (tfd.LogNormal(np.float64(0), 1), (0, None), False),
    "Poisson(3)": (tfd.Poisson(np.float64(3)), (0, None), True),
    "Binomial(16, 0.3)": (tfd.Binomial(np.float64(16), probs=np.float64(0.3)), (0, 16), True),
}


def measured(name: str, seed: int, plain: bool = False) -> tuple[float, int, float]:
    """The gap, how many samples are outside, and the mass inside, for a column of that law."""
    law, (low, high), is_whole = LAWS[name]
    x = law.sample(TRAIN + TEST, seed=seed).numpy()[:, None]
    options = {} if plain else {"support": {0: (low, high)}, "dequantize": [0] if is_whole else []}
    flow = fitted(x[:TRAIN], options, seed)
    test = x[TRAIN:]
    gap = float(np.mean(law.log_prob(test)) - np.mean(flow.log_prob(test)))
    drawn = flow.sample(SAMPLES, seed=seed).numpy().astype(np.float64)[:, 0]
    top = np.inf if high is None else high
    inside = (drawn >= low) & (drawn <= top) if is_whole else (drawn > low) & (drawn < top)
    return gap, int((~inside).sum()), mass(flow, low, high, is_whole)


def fitted(x: np.ndarray, options: dict, seed: int) -> tff.Flow:
    """A chain of autoregressive splines, trained on rows."""
    flow = tff.nsf(x.shape[1], num_layers=2, hidden_units=(32, 32), num_bins=64, seed=seed, **options)
    with warnings.catch_warnings(action="ignore"):  # of whole numbers without dequantize
        tff.fit(flow, x, epochs=30, verbose=False, seed=seed)
    return flow


def mass(flow: tff.Flow, low: float, high: float | None, is_whole: bool) -> float:
    """What the density comes to between the ends, or the probabilities of whole numbers."""
    if is_whole:
        return float(np.exp(flow.log_prob(np.arange(low, 1 + (200 if high is None else high))[:, None])).sum())
    t = (np.arange(20_000) + 0.5) / 20_000  # finer near the ends
    x = t**4 / (t**4 + (1 - t) ** 4) if high else (t / (1 - t)) ** 3
    slope = np.gradient(x, t)
    return float((np.exp(flow.log_prob(x[:, None])) * slope).mean())


def table(seed: int) -> tuple[float, int, None]:
    """The same for a table: x ~ Gamma(2), a count y given x ~ Poisson(1 + x), a share Beta(1 + y, 2)."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, size=TRAIN + TEST)
    y = rng.poisson(1 + x).astype(np.float64)
    rows = np.stack([x, y, rng.beta(1 + y, 2.0)], axis=1)
    flow = fitted(rows[:TRAIN], {"support": {0: (0, None), 1: (0, None), 2: (0, 1)}, "dequantize": [1]}, seed)
    x, y, z = rows[TRAIN:].T
    truth = (
        LAWS["Gamma(2)"][0].log_prob(x) + tfd.Poisson(1 + x).log_prob(y) + tfd.Beta(1 + y, np.float64(2)).log_prob(z)
    )
    drawn = flow.sample(SAMPLES, seed=seed).numpy()
    outside = (drawn[:, 0] <= 0) | (drawn[:, 1] < 0) | (drawn[:, 2] <= 0) | (drawn[:, 2] >= 1)
    return float(np.mean(truth) - np.mean(flow.log_prob(rows[TRAIN:]))), int(outside.sum()), None


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("laws", nargs="*", help="of these only")
    given = parser.parse_args()
    print("| law | gap by seed | samples outside | mass inside |", "|---|---|---|---|", sep="\n")
    rows = [(name, lambda seed, name=name: measured(name, seed)) for name in LAWS]
    if given.plain:
        rows += [(f"{name}, plain", lambda seed, name=name: measured(name, seed, plain=True)) for name in LAWS]
    for name, measure in [*rows, ("table", table)]:
        if not given.laws or any(name.startswith(law) for law in given.laws):
            gaps, outside, masses = zip(*map(measure, range(given.seeds)), strict=True)
            shown = " ".join(f"{gap:+.3f}" for gap in gaps)
            inside = " ".join(f"{mass:.3f}" for mass in masses if mass is not None)
            print(
                f"| {name} | {shown} | {sum(outside)} | {inside} |",
                flush=True,
            )
