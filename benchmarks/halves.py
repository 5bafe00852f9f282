"""What two cores save that work on a half of each training batch: a step of `tff.fit`, whole and in halves.

`python benchmarks/halves.py` prints the table of the README; the two take turns in one process, in blocks of 25 steps,
as `tff.fit` runs them; the times are medians. Run it on an idle machine.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import tfp_flows as tff
from tfp_flows.training.rates import adam

CASES = [
    ("maf", 2, 5, (64, 64), 500),
    ("maf", 2, 8, (64, 64), 1500),
    ("maf", 2, 8, (512, 512), 1500),
    ("maf", 64, 5, (512, 512), 256),
    ("maf", 784, 5, (1024, 1024), 256),
    ("real_nvp", 2, 8, (64, 64), 500),
    ("nsf_coupling", 2, 4, (64, 64), 500),
]
STEPS = 25
SECONDS = 10.0  # of each line, shared by the two


class Whole(tff.FlowModel):
    """The same model without halves."""

    def _halves(self, x: tf.Tensor, context: tf.Tensor | None) -> list:
        return [(x, context)]


def block(kind: type, case: tuple, jit_compile: bool) -> tf.types.experimental.PolymorphicFunction:
    """A compiled function of no arguments that takes a block of steps and returns the loss."""
    name, event_size, layers, hidden, batch = case
    flow = tff.make(name, event_size=event_size, num_layers=layers, hidden_units=hidden, seed=0)
    rows = tf.random.stateless_normal([STEPS, batch, event_size], seed=[0, 1])
    model = kind(flow, in_blocks=True)
    model.compile(adam(1e-4, "cosine", 100_000, 5.0), jit_compile=jit_compile)
    model.optimizer.build(model.trainable_variables)
    return tf.function(lambda: model.train_step(rows)["nll"], jit_compile=jit_compile)


def measure(case: tuple, jit_compile: bool) -> None:
    """Prints one line of the table."""
    calls = [block(kind, case, jit_compile) for kind in (Whole, tff.FlowModel)]
    compiled, times = [], [[], []]
    for call in calls:
        started = time.perf_counter()
        call().numpy()
        compiled.append(time.perf_counter() - started)
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(times[0]) < 3:
        for call, found in zip(calls, times, strict=True):
            started = time.perf_counter()
            call().numpy()
            found.append(1e3 * (time.perf_counter() - started) / STEPS)
    whole, halves = (np.median(found) for found in times)
    name, event_size, layers, hidden, batch = case
    print(
        f"| `{name}` D={event_size}, {layers} × {list(hidden)}, batch {batch} | {'XLA' if jit_compile else 'graph'} "
        f"| {whole:.2f} | {halves:.2f} | {halves / whole:.2f} | {compiled[0]:.0f}, {compiled[1]:.0f} |",
        flush=True,
    )


def main() -> None:
    """Prints the table."""
    print("| flow | by | whole, ms | in halves, ms | ratio | compiled, s |\n|---|---|---|---|---|---|")
    for jit_compile in (True, False):
        for case in CASES:
            measure(case, jit_compile)


if __name__ == "__main__":
    main()
