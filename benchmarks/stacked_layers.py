"""Deep chains: equal layers written out, or stacked and run in one loop, which is traced and compiled once.

`python benchmarks/stacked_layers.py` prints the table of the README: affine coupling layers in plain TensorFlow,
log_prob and its gradient, a process for each line and way. Run it on an idle machine.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable

CASES = [(8, 64, 256), (64, 64, 256), (64, 256, 4096)]  # layers, hidden units, batch
EVENT_SIZE = 64
REPEATS = 15


def weights(layers: int, hidden: int) -> list[list]:
    """The variables of each layer, of a network with two hidden layers."""
    import numpy as np
    import tensorflow as tf

    half, rng = EVENT_SIZE // 2, np.random.default_rng(0)
    shapes = [(half, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, 2 * half), (2 * half,)]

    def start(shape: tuple) -> tf.Variable:
        scale = 0.3 / np.sqrt(shape[0]) if len(shape) == 2 else 0.0
        return tf.Variable((scale * rng.normal(size=shape)).astype("float32"))

    return [[start(shape) for shape in shapes] for _ in range(layers)]


def chain(layers: list[list], looped: bool) -> Callable:
    """`x -> (u, log_det)`, of layers that are written out, or stacked."""
    import tensorflow as tf

    half = EVENT_SIZE // 2

    def layer(x: tf.Tensor, log_det: tf.Tensor, w: list) -> tuple[tf.Tensor, tf.Tensor]:
        h = tf.nn.silu(tf.nn.silu(x[:, :half] @ w[0] + w[1]) @ w[2] + w[3]) @ w[4] + w[5]
        log_scale = tf.tanh(h[:, :half])
        moved = (x[:, half:] - h[:, half:]) * tf.exp(-log_scale)
        return tf.concat([moved, x[:, :half]], 1), log_det - tf.reduce_sum(log_scale, 1)

    def written_out(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_det = tf.zeros(x.shape[0])
        for w in layers:
            x, log_det = layer(x, log_det, w)
        return x, log_det

    def in_a_loop(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = len(layers)
        stacks = [
            tf.TensorArray(tf.float32, count, clear_after_read=False).unstack(tf.stack([v.read_value() for v in same]))
            for same in zip(*layers, strict=True)
        ]
        return tf.while_loop(
            lambda i, *_: i < count,
            lambda i, x, log_det: (i + 1, *layer(x, log_det, [stack.read(i) for stack in stacks])),
            (0, x, tf.zeros(x.shape[0])),
            maximum_iterations=count,
        )[1:]

    return in_a_loop if looped else written_out


def run(case: tuple, looped: bool, jit_compile: bool) -> dict:
    """Seconds to trace and to compile a step, and the median of a step."""
    import numpy as np
    import tensorflow as tf

    count, hidden, batch = case
    layers = weights(count, hidden)
    apply, variables = chain(layers, looped), [v for w in layers for v in w]

    @tf.function(jit_compile=jit_compile)
    def step(x: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            u, log_det = apply(x)
            loss = tf.reduce_mean(0.5 * tf.reduce_sum(u * u, 1) - log_det)
        return loss, tape.gradient(loss, variables)

    x = tf.random.stateless_normal([batch, EVENT_SIZE], [0, 1])
    times = [time.perf_counter()]
    step(x)[0].numpy()
    times.append(time.perf_counter())
    for _ in range(REPEATS):
        step(x)[0].numpy()
        times.append(time.perf_counter())
    start, *steps = np.diff(times)
    return {"start": start, "step": float(np.median(steps))}


def main() -> None:
    """Prints the table, or runs one case for it."""
    if len(sys.argv) > 1:
        print(json.dumps(run(*json.loads(sys.argv[1]))))
        return
    print("| layers | hidden | batch | by | start, s | in a loop, s | step, ms | in a loop, ms |\n" + "|---" * 8 + "|")
    for jit_compile in (False, True):
        for case in CASES:
            out, loop = (
                json.loads(
                    subprocess.run(
                        [sys.executable, __file__, json.dumps([case, looped, jit_compile])],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                )
                for looped in (False, True)
            )
            count, hidden, batch = case
            print(
                f"| {count} | {hidden} | {batch} | {'XLA' if jit_compile else 'graph'} | {out['start']:.1f} "
                f"| {loop['start']:.1f} | {1e3 * out['step']:.1f} | {1e3 * loop['step']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
