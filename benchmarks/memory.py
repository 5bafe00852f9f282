"""Peak memory and time of a training step, plain and with what `reversible=True` and `recompute=True` forget.

`python benchmarks/memory.py` prints the tables of the README; each number comes from a process of its own. `python
benchmarks/memory.py FLOW LAYERS OPTION COMPILER` measures one, and prints it as JSON: OPTION is plain, reversible or
recompute; COMPILER is graph or xla. Run it on an idle Linux machine.

- graph: what the step adds to the memory of the process (its peak, less what it took before the first full batch; the
  function was traced with a small batch before).
- xla: the temporary buffers that XLA lays out for the step, from its own buffer assignment.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BATCH, EVENT_SIZE, HIDDEN = 4096, 64, (256, 256)
CASES = {"real_nvp": ("reversible", (8, 16, 32, 64)), "maf": ("recompute", (4, 8, 16, 32))}
STEPS = 3


def one(flow_name: str, layers: int, option: str, compiler: str) -> dict:
    """What this process measures: milliseconds of a step, and megabytes that its start added."""
    import numpy as np
    import tensorflow as tf

    import tfp_flows as tff

    options = {} if option == "plain" else {option: True}
    flow = tff.make(flow_name, event_size=EVENT_SIZE, num_layers=layers, hidden_units=HIDDEN, seed=0, **options)
    optimizer = tf.keras.optimizers.Adam(1e-4)
    optimizer.build(flow.trainable_variables)

    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        variables = flow.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    signature = [tf.TensorSpec([None, EVENT_SIZE], tf.float32)] if compiler == "graph" else None
    step = tf.function(step, input_signature=signature, jit_compile=compiler == "xla")
    x = np.random.default_rng(0).normal(size=(BATCH, EVENT_SIZE)).astype("float32")
    if compiler == "graph":
        for _ in range(3):
            step(tf.constant(x[:8]))
    x = tf.constant(x)
    before = memory("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    started = time.perf_counter()
    step(x).numpy()
    first = time.perf_counter() - started
    added = memory("VmHWM") - before
    times = []
    for _ in range(STEPS):
        started = time.perf_counter()
        loss = step(x).numpy()
        times.append(1e3 * (time.perf_counter() - started))
    return {"ms": float(np.median(times)), "mb": added, "first_s": first, "loss": float(loss)}


def memory(key: str) -> float:
    """VmRSS, the memory of this process, or VmHWM, its peak, in megabytes."""
    return int(re.search(rf"{key}:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 1024


def measure(flow_name: str, layers: int, option: str, compiler: str) -> dict:
    """`one` in a process of its own; with XLA, the megabytes are those of its buffer assignment."""
    command = [sys.executable, __file__, flow_name, str(layers), option, compiler]
    with tempfile.TemporaryDirectory() as folder:
        # Every tensor is mapped by itself, and given back at once: what the heap holds on to does not count.
        environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
        if compiler == "xla":
            environment = {"XLA_FLAGS": f"--xla_dump_to={folder} --xla_dump_hlo_as_text"}
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        if compiler == "xla":
            found["mb"] = max(map(temporary_megabytes, pathlib.Path(folder).glob("*buffer-assignment.txt")))
    return found | {"flow": flow_name, "layers": layers, "option": option, "compiler": compiler}


def temporary_megabytes(path: pathlib.Path) -> float:
    """The preallocated temporary buffers of a compiled module."""
    sizes = re.findall(r"allocation \d+: size (\d+), preallocated-temp", path.read_text())
    return sum(map(int, sizes)) / 2**20


def table(found: list[dict]) -> None:
    """Prints one row for each flow, compiler and depth."""
    by_case = {(f["flow"], f["compiler"], f["layers"], f["option"]): f for f in found}
    print("| flow | compiled by | layers | plain, MB | plain, ms | option | MB | ms | memory | time |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (flow, compiler, layers, option), its in sorted(by_case.items()):
        if option == "plain":
            continue
        plain = by_case[flow, compiler, layers, "plain"]
        print(
            f"| `{flow}` | {compiler} | {layers} | {plain['mb']:.0f} | {plain['ms']:.0f} | `{option}` "
            f"| {its['mb']:.0f} | {its['ms']:.0f} | x {its['mb'] / plain['mb']:.2f} | x {its['ms'] / plain['ms']:.2f} |"
        )


def main() -> None:
    """One measurement, or all of them."""
    if sys.argv[1:]:
        flow_name, layers, option, compiler = sys.argv[1:]
        print(json.dumps(one(flow_name, int(layers), option, compiler)))
        return
    table(
        [
            measure(flow_name, layers, option, compiler)
            for flow_name, (frugal, depths) in CASES.items()
            for compiler in ("graph", "xla")
            for layers in depths
            for option in ("plain", frugal)
        ]
    )


if __name__ == "__main__":
    main()
