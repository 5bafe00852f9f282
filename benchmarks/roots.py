"""Steps that the root of a mixture of logistics takes, and how far off it is, for parameters of several sizes.

    python benchmarks/roots.py

A network's outputs have a size of about 1. A size of 3 makes modes that are narrow beside their distances, 8 modes
between which the cdf is flat: there `off`, which is linear in the error of u, says nothing in float32.
"""

import importlib

import numpy as np
import tensorflow as tf

from tfp_flows.elementwise import MixtureOfLogistics

ROWS = 4000
law = importlib.import_module("tfp_flows.elementwise.mixture_of_logistics")


def main() -> None:
    """Prints a line for each size and dtype."""
    logit_of_cdf, calls = law._logit_of_cdf, []
    law._logit_of_cdf = lambda *args: calls.append(1) or logit_of_cdf(*args)
    for size in (0.3, 1.0, 3.0, 8.0):
        for dtype in ("float32", "float64"):
            rng, mixture = np.random.default_rng(0), MixtureOfLogistics()
            raw = tf.constant(rng.normal(0.0, size, (ROWS, mixture.params)), dtype)
            u, _ = mixture.inverse(raw, tf.constant(rng.normal(0.0, 3.0 * max(1.0, size / 2), ROWS), dtype))
            calls.clear()
            law._root(mixture._parts(raw), u)
            steps = len(calls)
            x, _ = mixture.forward(raw, u)
            found, log_slope = mixture.inverse(*(tf.cast(part, tf.float64) for part in (raw, x)))
            off = np.abs((found - tf.cast(u, tf.float64)) * tf.exp(-log_slope)) / (1.0 + np.abs(x))
            print(f"size {size:3}  {dtype}  {steps:3} steps  off {np.quantile(off, 0.99):.0e} at most {off.max():.0e}")


if __name__ == "__main__":
    main()
