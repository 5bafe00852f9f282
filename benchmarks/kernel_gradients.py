"""Of the gradient in a kernel, the faster form: `x^T dy`, or the transpose of `dy^T x`; why `Dense` transposes kernels.

`python benchmarks/kernel_gradients.py` prints the table of the README: microseconds of one product, of many in a loop
that XLA compiles; the two take turns, the times are medians. Run it on an idle machine.
"""

import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

# rows of x, its columns N, those of dy, M
CASES = [
    (1500, 2, 64),
    (1500, 64, 4),
    (1500, 64, 64),
    (1500, 512, 4),
    (1500, 512, 512),
    (256, 64, 128),
    (256, 256, 128),
    (256, 512, 128),
    (256, 512, 64),
    (256, 1024, 128),
]
REPEATS, TURNS = 20, 15


def repeated(product: Callable, x: tf.Tensor, dy: tf.Tensor) -> Callable[[], tf.Tensor]:
    """The product again and again, each time of a `dy` that the time before had a part in."""

    @tf.function(jit_compile=True)
    def run() -> tf.Tensor:
        def again(i: tf.Tensor, dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, dy + 1e-30 * product(x, dy)[0, 0]

        return tf.while_loop(lambda i, _: i < REPEATS, again, (0, dy))[1]

    return run


def measure(rows: int, inputs: int, outputs: int) -> list[float]:
    """Microseconds of both forms."""
    x = tf.random.stateless_normal([rows, inputs], seed=[0, 1])
    dy = tf.random.stateless_normal([rows, outputs], seed=[0, 2])
    forms = (
        lambda x, dy: tf.linalg.matmul(x, dy, transpose_a=True),
        lambda x, dy: tf.linalg.matmul(dy, x, transpose_a=True),
    )
    calls, times = [repeated(form, x, dy) for form in forms], [[], []]
    for call in calls:
        call()
    for _ in range(TURNS):
        for call, found in zip(calls, times, strict=True):
            started = time.perf_counter()
            call().numpy()
            found.append(1e6 * (time.perf_counter() - started) / REPEATS)
    return [float(np.median(found)) for found in times]


def main() -> None:
    """Prints the table."""
    print("| rows | N | M | `x^T dy`, us | `dy^T x`, us | ratio |\n|---|---|---|---|---|---|")
    for case in CASES:
        one, other = measure(*case)
        print("| {} | {} | {} |".format(*case), f"{one:.0f} | {other:.0f} | {one / other:.1f} |", flush=True)


if __name__ == "__main__":
    main()
