"""How long `tff.fit` takes to return after its last epoch: 45 epochs of a spline flow on SIGGRAPH, again and again.

    python benchmarks/returns.py [--number 20] [--steps 20]

prints the longest time, and how many took more than half a second.
"""

import argparse
import time

import tensorflow as tf

import tfp_flows as tff


def main() -> None:
    """Prints the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    options = parser.parse_args()
    times = []
    for seed in range(options.number):
        flow, ended = tff.nsf_coupling(2, seed=seed), []
        noting = tf.keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_, ended=ended: ended.append(time.perf_counter())
        )
        data = tff.datasets.siggraph()
        tff.fit(flow, data, epochs=45, steps_per_epoch=options.steps, callbacks=[noting], patience=None, verbose=False)
        times.append(time.perf_counter() - ended[-1])
        print(f"{seed}: {times[-1]:.3f} s", flush=True)
    print(f"longest {max(times):.3f} s; {sum(t > 0.5 for t in times)} of {len(times)} above 0.5 s")


if __name__ == "__main__":
    main()
