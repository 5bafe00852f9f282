"""What bounding the logits of a spline does to rounding, to what training reaches, and to the time of a step.

`python benchmarks/spline_bounds.py rounding|quality|steps` prints a line for each run. The quality is the held-out gap
of `nsf_coupling` after equal trainings from the same start; steps are of several rounds in turn, the median of the
ratios to the step without the option, of the same round: of bounded logits, and of networks that see waves.
"""

import itertools
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import tfp_flows as tff

BOUNDS = (None, 1.5, 2.0, 3.0)
STEPS = {  # a chain, without an option and with it
    "bounded logits": ("nsf_coupling", {"logit_bound": None}, {"logit_bound": 2.0}),
    "waves on letters": ("nsf_coupling", {"num_bins": 64}, {"num_bins": 64, "octaves": 8}),
    "waves": ("nsf_coupling", {}, {"octaves": 8}),
    "waves of maf": ("maf", {}, {"octaves": 8}),
}
DATA = {"two_moons": {"noise": 0.05}, "siggraph": {}}


def rounding(seeds: int = 4, scale: float = 0.15) -> None:
    """Log-densities of samples, and of the same samples as data, with weights moved from their start.

    Of splines alone: matrices and affine maps of such weights make log p so steep that a row's last bit counts.
    """
    alone = {"mixing": "reverse", "affine": False}
    for bound, seed in itertools.product(BOUNDS, range(seeds)):
        flow, rng = tff.nsf_coupling(5, logit_bound=bound, seed=seed, **alone), np.random.default_rng(seed)
        for variable in flow.trainable_variables:
            variable.assign_add(rng.normal(0.0, scale, variable.shape).astype("float32"))
        x, log_prob = flow.sample_and_log_prob(4000, seed=1)
        difference = np.abs(log_prob - flow.log_prob(x))
        print(f"bound {bound} seed {seed}: p50, p99, most", np.percentile(difference, [50, 99, 100]), flush=True)


def quality(seeds: int = 3, epochs: int = 25, bounds: tuple = (None, 2.0)) -> None:
    """Held-out NLL less the entropy."""
    for name, seed, bound in itertools.product(DATA, range(seeds), bounds):
        data = getattr(tff.datasets, name)(**DATA[name])
        flow = tff.nsf_coupling(2, logit_bound=bound, seed=seed)
        tff.fit(flow, data.sample(9800, seed=seed), epochs=epochs, learning_rate=5e-3, seed=seed, verbose=False)
        gap = -np.mean(flow.log_prob(data.sample(20_000, seed=100 + seed))) - data.entropy
        print(f"{name} seed {seed} bound {bound}: gap {gap:.4f}", flush=True)


def training_step(name: str, options: dict, jit_compile: bool, x: tf.Tensor) -> Callable[[], None]:
    """A compiled step of Adam, after its first call."""
    flow = tff.make(name, event_size=2, seed=0, **options)
    optimizer = tf.keras.optimizers.Adam(1e-3)
    optimizer.build(flow.trainable_variables)

    @tf.function(jit_compile=jit_compile)
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        gradients = tape.gradient(loss, flow.trainable_variables)
        optimizer.apply_gradients(zip(gradients, flow.trainable_variables, strict=True))

    step()
    return step


def steps(rounds: int = 15, count: int = 40, batch: int = 500) -> None:
    """Seconds of training steps, without an option and with it."""
    x = tf.random.stateless_normal([batch, 2], seed=[0, 0])
    for (label, (name, *both)), jit_compile in itertools.product(STEPS.items(), (False, True)):
        pair = [training_step(name, options, jit_compile, x) for options in both]
        seconds = [[], []]
        for _, (step, times) in itertools.product(range(rounds), zip(pair, seconds, strict=True)):
            start = time.perf_counter()
            for _ in range(count):
                step()
            times.append((time.perf_counter() - start) / count)
        ratio, least = np.divide(seconds[1], seconds[0]), 1e3 * np.min(seconds, axis=1)
        print(f"{label}, XLA {jit_compile}: ratio {np.median(ratio):.3f}, least milliseconds {least}", flush=True)


if __name__ == "__main__":
    {"rounding": rounding, "quality": quality, "steps": steps}[sys.argv[1]]()
