"""What it saves to keep the wide masked kernels of a MADE in stripes: density pass and training step, whole and cut.

`python benchmarks/masked_products.py` prints the table of the README; the variants take turns in one process, compiled
with XLA; the times are medians. Run it on an idle machine.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import tfp_flows as tff
from tfp_flows.networks import dense

CASES = [(64, 256, 256), (64, 512, 256), (64, 512, 1500), (784, 1024, 256)]
STRIPES = (64, 128, 256, 10_000)  # columns; the last leaves every kernel whole
SECONDS = 12.0  # of each case and work, shared by the variants


def functions(event_size: int, hidden: int, batch: int, stripe: int) -> tuple:
    """The density pass and the training step with stripes so wide, each a compiled function of no arguments."""
    dense.STRIPE = stripe
    flow = tff.maf(event_size, num_layers=5, hidden_units=(hidden, hidden), seed=0)
    x = tf.random.stateless_normal([batch, event_size], seed=[0, 1])
    optimizer = tf.keras.optimizers.Adam(1e-4)
    optimizer.build(flow.trainable_variables)

    @tf.function(jit_compile=True)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        variables = flow.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return tf.function(lambda: tf.reduce_mean(flow.log_prob(x)), jit_compile=True), step


def main() -> None:
    """Prints the table."""
    print("| D | hidden | batch | work |" + "".join(f" {n} columns, ms |" for n in STRIPES[:-1]) + " whole, ms |")
    print("|---|---|---|---|" + "---|" * len(STRIPES))
    for case in CASES:
        pairs = [functions(*case, stripe) for stripe in STRIPES]
        for work, calls in zip(("log_prob", "train step"), zip(*pairs, strict=True), strict=True):
            times = [[] for _ in calls]
            for call in calls:
                call()
            until = time.perf_counter() + SECONDS
            while time.perf_counter() < until:
                for call, found in zip(calls, times, strict=True):
                    for _ in range(5):
                        started = time.perf_counter()
                        call().numpy()
                        found.append(1e3 * (time.perf_counter() - started))
            print(
                "| {} | {} | {} |".format(*case),
                work,
                "|",
                " | ".join(f"{np.median(t):.1f}" for t in times),
                "|",
                flush=True,
            )


if __name__ == "__main__":
    main()
