"""`tff.fit_density` on densities whose integral is known, and how its constants were chosen.

    python benchmarks/densities.py OUT.jsonl [--laws NAME ...] [--ways NAME ...] [--chains NAME ...] [--seeds N]

One line of JSON a fit: KL(q, p) in nats, the error of the log evidence and its standard error, effective sample size,
Pareto k, and the part of the mass that the flow is said to miss. `--report` prints what is in the file.
"""

import argparse
import contextlib
import importlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

tfd = tfp.distributions

SCHOOLS = {
    "y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], "float32"),
    "error": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], "float32"),
}


class Law(NamedTuple):
    """A target, how many columns its rows have, the logarithm of its integral, and a point of the first column.

    Of the draws, mean and standard deviation of the first column are noted, and the part above that point.
    """

    target: Any
    size: int
    log_evidence: float
    middle: float = 0.0


def modes(size: int = 2, first: float = -4.0, apart: float = 8.0) -> Law:
    """Two normal laws of equal weight."""
    middles = np.zeros([2, size], "float32")
    middles[:, 0] = first, first + apart
    law = tfd.MixtureSameFamily(tfd.Categorical(probs=[0.5, 0.5]), tfd.MultivariateNormalDiag(middles, tf.ones(size)))
    return Law(lambda x: law.log_prob(x) + 3.0, size, 3.0, first + apart / 2)


def funnel(size: int = 10) -> Law:
    """Neal's: v ~ N(0, 3), and all others N(0, e^(v / 2))."""

    def log_prob(x: tf.Tensor) -> tf.Tensor:
        v = x[..., :1]
        return tfd.Normal(0.0, 3.0).log_prob(v[..., 0]) + tf.reduce_sum(
            tfd.Normal(0.0, tf.exp(v / 2)).log_prob(x[..., 1:]), -1
        )

    return Law(log_prob, size, 0.0)


def schools() -> Law:
    """Eight schools (Rubin, 1981): mu ~ N(0, 5), tau ~ HalfCauchy(5), and no centre; the evidence by quadrature."""

    @tfd.JointDistributionCoroutineAutoBatched
    def model() -> Iterator:
        mu = yield tfd.Normal(0.0, 5.0, name="mu")
        tau = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
        eta = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="eta")
        theta = mu[..., tf.newaxis] + tau[..., tf.newaxis] * eta
        yield tfd.Independent(tfd.Normal(theta, SCHOOLS["error"]), 1, name="y")

    return Law(model.experimental_pin(y=SCHOOLS["y"]), 10, log_evidence_of_schools())


def log_evidence_of_schools() -> float:
    """By quadrature over log tau; mu and all theta are integrated in closed form."""
    y, error = (SCHOOLS[name].astype("float64") for name in ("y", "error"))
    log_tau, step = np.linspace(-25.0, 15.0, 400_001, retstep=True)
    tau = np.exp(log_tau)
    variance = error[:, None] ** 2 + tau**2
    one, two, three = ((y[:, None] ** k / variance).sum(axis=0) for k in range(3))
    likelihood = -0.5 * (
        np.log(2 * np.pi * variance).sum(axis=0) + np.log1p(25 * one) + three - two**2 / (one + 1 / 25)
    )
    prior = np.log(2 / (5 * np.pi)) - np.log1p((tau / 5) ** 2) + log_tau
    return float(np.log(np.sum(np.exp(likelihood + prior)) * step))


def gaussian(size: int = 64) -> Law:
    """Normal, of standard deviations from 0.1 to 2.2 along other axes than the columns'."""
    factor = np.random.default_rng(0).normal(size=(size, size)) / np.sqrt(size) + np.eye(size) / 2
    scale = np.linalg.cholesky(factor @ factor.T + 0.01 * np.eye(size)).astype("float32")
    return Law(tfd.MultivariateNormalTriL(tf.zeros(size), scale).log_prob, size, 0.0)


def far(size: int = 2) -> Law:
    """Narrow, and a hundred away from 0."""
    return Law(tfd.MultivariateNormalDiag(tf.fill([size], 100.0), tf.fill([size], 0.1)).log_prob, size, 0.0)


LAWS: dict[str, Callable[[], Law]] = {
    "modes": modes,
    "modes, one at 0": lambda: modes(first=0.0),
    "modes, D = 10": lambda: modes(10),
    "funnel": funnel,
    "schools": schools,
    "gaussian": gaussian,
    "far": far,
}
# name: constants of training.survey, options of fit_density
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it is": ({}, {}),
    "total": ({}, {"gradient": "total"}),
    "no warm-up": ({}, {"warm_up": 0.0}),
    "warm-up over all but a tenth": ({}, {"warm_up": 0.9}),
    "wide 2": ({"WIDE": 2.0}, {}),
    "wide 5": ({"WIDE": 5.0}, {}),
    "one mode": ({}, {"warm_up": 0.0, "start": np.random.default_rng(0).normal(size=(1000, 2))}),
    "rate 2e-3": ({}, {"learning_rate": 2e-3}),
    "rate 1e-2": ({}, {"learning_rate": 1e-2}),
}


@contextlib.contextmanager
def constants(values: dict[str, Any]) -> Iterator[None]:
    """Within the block, the survey has other constants."""
    module = importlib.import_module("tfp_flows.training.survey")
    before = {name: getattr(module, name) for name in values}
    vars(module).update(values)
    yield
    vars(module).update(before)


def fitted(law: Law, chain: str, way: str, seed: int, epochs: int) -> dict[str, Any]:
    """The figures of one fit."""
    changed, options = WAYS[way]
    flow = tff.make(chain, event_size=law.size, seed=seed)
    started = time.perf_counter()
    with constants(changed), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        history = tff.fit_density(flow, law.target, epochs=epochs, seed=seed, verbose=False, **options)
    found, column = history.importance, history.importance.x[:, 0]
    return {
        "kl": law.log_evidence - found.elbo,
        "log evidence": found.log_evidence - law.log_evidence,
        "standard error": found.standard_error,
        "ess": found.ess,
        "k": found.pareto_k,
        "missed": history.missed,
        "warned": any("dropped" in str(one.message) for one in said),
        "first column": [float(np.mean(column)), float(np.std(column)), float(np.mean(column > law.middle))],
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    """Reads the command line, fits, and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--laws", nargs="+", default=list(LAWS))
    parser.add_argument("--ways", nargs="+", default=["as it is"])
    parser.add_argument("--chains", nargs="+", default=["maf"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    for name in [] if options.report else options.laws:
        law = LAWS[name]()
        for chain in options.chains:
            for seed in range(options.seeds):
                for way in options.ways:
                    result = {"law": name, "chain": chain, "way": way, "seed": seed, "epochs": options.epochs}
                    result |= fitted(law, chain, way, seed, options.epochs)
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(result) + "\n")
                    print(result, flush=True)
    report(options.out)


def report(path: Path) -> None:
    """A line for each law, chain and way: means, and the worst, over seeds."""
    cells: dict[tuple, list[dict]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        cells.setdefault((one["law"], one["chain"], one["way"], one["epochs"]), []).append(one)
    print("| density | chain | | epochs | seeds | KL(q, p) | log evidence off by | ESS | Pareto k | missed | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for key, ones in cells.items():
        worst = max(abs(one["log evidence"]) for one in ones)
        figures = [f"{np.mean([one['kl'] for one in ones]):.4f}", f"{worst:.4f}"]
        figures += [f"{min(one['ess'] for one in ones):.3f}", f"{max(one['k'] for one in ones):.2f}"]
        figures += [", ".join("?" if one["missed"] is None else f"{one['missed']:.0%}" for one in ones)]
        figures += [f"{np.mean([one['seconds'] for one in ones]):.0f}"]
        print(f"| {' | '.join(map(str, (*key, len(ones), *figures)))} |")


if __name__ == "__main__":
    main()
