"""How well chains fit columns that are not the whole line, where the law is known.

`python benchmarks/supports.py` trains `nsf` on 20,000 rows of one column of each law below, and on tables of columns
that depend on one another, for three seeds each, and prints: the gap of held-out NLL (of whole numbers, of the bound
that training minimises) for each seed, in nats; how many of 100,000 samples lie outside the support, or the period; and
the mass that the flow gives to it: the integral of its density, or the sum of what `log_prob` makes of the whole
numbers, which a bound leaves below 1. `--plain` trains the same rows without support, circular and dequantize as well.
Some fifteen minutes on two cores.
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


class Hours:
    """Whole hours of the day: a normal time of standard deviation 3 around 23:30, rounded down, and round the clock."""

    times = tfd.Normal(np.float64(23.5), 3)

    def sample(self, n: int, seed: int) -> np.ndarray:
        """So many hours, `[n]`."""
        return np.floor(self.times.sample(n, seed=seed)) % 24

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Their log-probabilities, `[...]`."""
        days = np.asarray(x)[..., None] + 24.0 * np.arange(-3, 4)
        return np.log(np.sum(self.times.cdf(days + 1) - self.times.cdf(days), axis=-1))


LAWS = {  # name -> the law, its support, whether it is of whole numbers
    "Beta(2, 5)": (tfd.Beta(np.float64(2), 5), (0, 1), False),
    "Beta(0.7, 0.7)": (tfd.Beta(np.float64(0.7), 0.7), (0, 1), False),
    "Gamma(2)": (tfd.Gamma(np.float64(2), 1), (0, None), False),
    "log-normal": (tfd.LogNormal(np.float64(0), 1), (0, None), False),
    "Poisson(3)": (tfd.Poisson(np.float64(3)), (0, None), True),
    "Binomial(16, 0.3)": (tfd.Binomial(np.float64(16), probs=np.float64(0.3)), (0, 16), True),
}
CIRCULAR = {  # the same, with the ends of a period
    "von Mises(3, 2)": (tfd.VonMises(np.float64(3), 2), (-np.pi, np.pi), False),  # its mode is beside the seam
    "hours": (Hours(), (0, 24), True),
}
ALL = LAWS | CIRCULAR


def measured(name: str, seed: int, plain: bool = False) -> tuple[float, int, float]:
    """The gap, how many samples are outside, and the mass inside, for a column of that law."""
    law, (low, high), is_whole = ALL[name]
    x = np.asarray(law.sample(TRAIN + TEST, seed=seed))[:, None]
    kind = "circular" if name in CIRCULAR else "support"
    options = {} if plain else {kind: {0: (low, high)}, "dequantize": [0] if is_whole else []}
    flow = fitted(x[:TRAIN], options, seed)
    test = x[TRAIN:]
    gap = float(np.mean(law.log_prob(test)) - np.mean(flow.log_prob(test)))
    drawn = flow.sample(SAMPLES, seed=seed).numpy().astype(np.float64)[:, 0]
    top = np.inf if high is None else high
    inside = (drawn >= low) & (drawn <= top) if is_whole else (drawn > low) & (drawn < top)
    if name in CIRCULAR:
        inside = (drawn >= low) & (drawn < high)
        top = high = high - 1 if is_whole else high
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
    x = low + (high - low) * t**4 / (t**4 + (1 - t) ** 4) if high else (t / (1 - t)) ** 3
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


def angle_and_number(seed: int) -> tuple[float, int, None]:
    """The same for a table: an angle a ~ von Mises(3, 2), and a number given a ~ N(2 sin a, 0.3)."""
    rng = np.random.default_rng(seed)
    angle = rng.vonmises(3.0, 2.0, TRAIN + TEST)
    rows = np.stack([angle, rng.normal(2 * np.sin(angle), 0.3)], axis=1)
    flow = fitted(rows[:TRAIN], {"circular": {0: (-np.pi, np.pi)}}, seed)
    angle, number = rows[TRAIN:].T
    truth = CIRCULAR["von Mises(3, 2)"][0].log_prob(angle) + tfd.Normal(2 * np.sin(angle), 0.3).log_prob(number)
    drawn = flow.sample(SAMPLES, seed=seed).numpy()[:, 0].astype(np.float64)
    outside = (drawn < -np.pi) | (drawn >= np.pi)
    return float(np.mean(truth) - np.mean(flow.log_prob(rows[TRAIN:]))), int(outside.sum()), None


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("laws", nargs="*", help="of these only")
    given = parser.parse_args()
    print("| law | gap by seed | samples outside | mass inside |", "|---|---|---|---|", sep="\n")
    rows = [(name, lambda seed, name=name: measured(name, seed)) for name in LAWS | CIRCULAR]
    if given.plain:
        rows += [
            (f"{name}, plain", lambda seed, name=name: measured(name, seed, plain=True)) for name in LAWS | CIRCULAR
        ]
    for name, measure in [*rows, ("table", table), ("angle and number", angle_and_number)]:
        if not given.laws or any(name.startswith(law) for law in given.laws):
            gaps, outside, masses = zip(*map(measure, range(given.seeds)), strict=True)
            shown = " ".join(f"{gap:+.3f}" for gap in gaps)
            inside = " ".join(f"{mass:.3f}" for mass in masses if mass is not None)
            print(
                f"| {name} | {shown} | {sum(outside)} | {inside} |",
                flush=True,
            )
