"""From how many steps on XLA pays for its compilation in `tff.fit`, and that it never does for figures and validations.

A process for each line and way.

`python benchmarks/xla.py` prints the table of the README. The start is what the first epoch takes longer than the
median of those after it: preparation and compilation. The step is of that median. The last start is with what a process
before has left in TensorFlow's cache of compiled programs. Run it on an idle machine.

`python benchmarks/xla.py figures` prints that of `log_prob` in pieces of 5,000 rows, of which figures and validations
consist: the first call, and the 160,000 cells of a figure.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

CASES = [
    ("nsf_coupling", 2, 4, (64, 64), 500),
    ("maf", 2, 5, (64, 64), 500),
    ("real_nvp", 2, 8, (64, 64), 500),
    ("maf", 8, 5, (64, 64), 256),
    ("maf", 64, 5, (512, 512), 256),
]
EPOCHS, STEPS = 6, 50
LETTERS = {"octaves": 7, "logit_bound": 4.0, "affine": False, "mixing": "reverse", "tails": "identity"}
CHAINS = [("nsf_coupling", LETTERS), ("nsf", {}), ("maf", {}), ("naf", {}), ("planar", {})]
PIECE, CELLS = 5_000, 160_000


def train(case: tuple, jit_compile: bool) -> dict:
    """Seconds of the start and of a step of one training, in this process."""
    import tensorflow as tf

    import tfp_flows as tff

    name, event_size, layers, hidden, batch = case
    flow = tff.make(name, event_size=event_size, num_layers=layers, hidden_units=hidden, seed=0)
    rows = np.random.default_rng(0).normal(size=(STEPS * batch, event_size))
    ends = [time.perf_counter()]
    tff.fit(
        flow,
        rows,
        validation_split=0.0,
        epochs=EPOCHS,
        batch_size=batch,
        jit_compile=jit_compile,
        patience=None,
        callbacks=[tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))],
        verbose=False,
    )
    first, *others = np.diff(ends)
    return {"start": first - np.median(others), "step": np.median(others) / STEPS}


def measure(case: tuple, jit_compile: bool, cache: str | None = None) -> dict:
    """The same in a fresh process, with TensorFlow's cache of compiled programs in a folder, if one is given."""
    flags = f"--tf_xla_persistent_cache_directory={cache} --tf_xla_persistent_cache_device_types=CPU" if cache else ""
    command = [sys.executable, __file__, json.dumps([case, jit_compile])]
    environment = os.environ | {"TF_XLA_FLAGS": flags}
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def figures() -> None:
    """Prints how long a density over the plane takes, with XLA and without."""
    import tensorflow as tf

    import tfp_flows as tff

    x = tff.datasets.siggraph().sample(PIECE, seed=0).astype("float64")
    print("| flow | first call, s | with XLA | 160,000 cells, s | with XLA |\n" + "|---" * 5 + "|")
    for name, options in CHAINS:
        flow = tff.make(name, event_size=2, seed=0, **options)
        flow.standardize(x)
        found = []
        for jit_compile in (False, True):
            log_prob = tf.function(flow.log_prob, jit_compile=jit_compile, autograph=False)
            ends = [time.perf_counter()]
            for _ in range(1 + CELLS // PIECE):
                log_prob(tf.constant(x)).numpy()
                ends.append(time.perf_counter())
            found.append((ends[1] - ends[0], ends[-1] - ends[1]))
        first, then = zip(*found, strict=True)
        print(f"| `{name}` | {first[0]:.1f} | {first[1]:.1f} | {then[0]:.1f} | {then[1]:.1f} |", flush=True)


def main() -> None:
    """Prints the table, or trains one case for it."""
    if sys.argv[1:] == ["figures"]:
        figures()
        return
    if len(sys.argv) > 1:
        print(json.dumps(train(*json.loads(sys.argv[1]))))
        return
    print("| flow | start, s | with XLA | cached | step, ms | with XLA | pays from, steps |\n" + "|---" * 7 + "|")
    for case in CASES:
        with tempfile.TemporaryDirectory() as cache:
            graph, xla = (measure(case, way) for way in (False, True))
            cached = [measure(case, True, cache) for _ in range(2)][-1]
        even = (xla["start"] - graph["start"]) / (graph["step"] - xla["step"])
        name, event_size, layers, hidden, batch = case
        print(
            f"| `{name}` D={event_size}, {layers} × {list(hidden)}, batch {batch} | {graph['start']:.1f} "
            f"| {xla['start']:.1f} | {cached['start']:.1f} | {1e3 * graph['step']:.2f} | {1e3 * xla['step']:.2f} "
            f"| {even:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
