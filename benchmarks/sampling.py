"""What a sample of MAF, or of NSF, costs: against a density pass, and against TFP's own loop of D passes.

`python benchmarks/sampling.py [nsf] [D HIDDEN BATCH] ...` prints a line for each; without numbers, the table of the
README. All three are compiled with XLA and take turns in one process; the times are medians. Run it on an idle machine.
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

tfb = tfp.bijectors

CASES = [(2, 512, 1500), (8, 512, 256), (64, 512, 256), (256, 512, 256), (784, 1024, 256)]
LAYERS = 5
SECONDS = 20.0  # of each case, shared by the three


NSF_CASES = [(2, 256, 1500), (8, 256, 256), (64, 256, 256), (256, 512, 256)]


class Mapped(tfb.Bijector):
    """An elementwise map with the parameters that it got: what TFP's loop asks for."""

    def __init__(self, elementwise: tff.elementwise.Elementwise, raw: tf.Tensor) -> None:
        super().__init__(forward_min_event_ndims=0, name="mapped")
        self._map, self._raw = elementwise, raw

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return self._map.forward(self._raw, u)[0]


def looped(layer: tfb.Bijector) -> tfb.Bijector:
    """The same layer in TFP's loop."""
    if isinstance(layer, tff.bijectors.MaskedAutoregressiveFlow):
        return tfb.MaskedAutoregressiveFlow(layer._shift_and_log_scale_fn)
    if isinstance(layer, tff.bijectors.Autoregressive):
        return tfb.MaskedAutoregressiveFlow(bijector_fn=lambda x: Mapped(layer.elementwise, layer.network(x)))
    return layer


def functions(name: str, event_size: int, hidden: int, batch: int) -> dict:
    """The three, as compiled functions of no arguments."""
    options = {"num_layers": LAYERS, "hidden_units": (hidden, hidden), "activation": "relu", "seed": 0}
    flow = tff.make(name, event_size=event_size, **options)
    rng = np.random.default_rng(0)
    for variable in flow.trainable_variables:  # away from the identity that it starts as
        scale = 0.3 / np.sqrt(max(variable.shape))
        variable.assign_add(rng.normal(0.0, scale, variable.shape).astype("float32"))
    u = tf.constant(rng.normal(size=(batch, event_size)).astype("float32"))
    chain = tfb.Chain([looped(layer) for layer in flow.layers])
    return {
        "log_prob": tf.function(lambda: flow.log_prob(u), jit_compile=True),
        "sample": tf.function(lambda: flow.bijector.forward(tf.identity(u)), jit_compile=True),
        "TFP's sample": tf.function(lambda: chain.forward(tf.identity(u)), jit_compile=True),
    }


def measure(name: str, event_size: int, hidden: int, batch: int) -> None:
    """Prints one line of the table."""
    calls = functions(name, event_size, hidden, batch)
    compiled, values, times = {}, {}, {work: [] for work in calls}
    for work, call in calls.items():
        started = time.perf_counter()
        values[work] = call().numpy()
        compiled[work] = time.perf_counter() - started
    off = np.abs(values["sample"] - values["TFP's sample"]).max()
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(times["sample"]) < 3:
        for work, call in calls.items():
            for _ in range(1 if work == "TFP's sample" else 5):
                started = time.perf_counter()
                call().numpy()
                times[work].append(time.perf_counter() - started)
    score, ours, loop = (1e3 * np.median(times[work]) for work in calls)
    print(
        f"| {event_size} | {hidden} | {batch} | {score:.1f} | {ours:.1f} | {ours / score:.2f} | {loop:.0f} "
        f"| {loop / ours:.0f} | {off:.0e} | {compiled['sample']:.0f} |",
        flush=True,
    )


def main() -> None:
    """Prints the table."""
    flow = "nsf" if "nsf" in sys.argv else "maf"
    numbers = [int(word) for word in sys.argv[1:] if word != "nsf"]
    cases = [tuple(numbers[i : i + 3]) for i in range(0, len(numbers), 3)] or (CASES if flow == "maf" else NSF_CASES)
    print(
        "| D | hidden | batch | log_prob, ms | sample, ms | ratio | TFP's, ms | faster by | differ by | compiled, s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in cases:
        measure(flow, *case)


if __name__ == "__main__":
    main()
