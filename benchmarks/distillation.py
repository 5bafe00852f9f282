"""How the constants of `tff.distill` were chosen, and what `forward` is worth.

    python benchmarks/distillation.py OUT.jsonl [FILTER]

Three teachers are fitted once: a MAF of three layers to SIGGRAPH, the command's splines to the same letters, and a MAF
to frames of sound as notebook 04 makes them; then a student for each line of `RUNS` whose name has the filter in it.
One line of JSON a run: both divergences on 20,000 fresh samples, nats, and the share of the teacher's samples to which
the student gives less than a tenth of the teacher's density (the mass that it misses).
"""

import functools
import importlib
import json
import sys
import time

import numpy as np

import tfp_flows as tff
from tfp_flows.runs import EDGES

FRAME = 32  # samples, at 8 kHz

# name: teacher, constants of the module, options of distill
RUNS = {
    "maf, as it is": ("maf", {}, {}),
    "maf, outliers above 5 nats": ("maf", {"OUTLIER": 5.0}, {}),
    "maf, outliers above 1000 nats": ("maf", {"OUTLIER": 1000.0}, {}),
    "maf, no warm-up": ("maf", {}, {"warm_up": 0.0}),
    "maf, warm-up from power 0.1": ("maf", {"FIRST_POWER": 0.1}, {}),
    "maf, warm-up over half": ("maf", {}, {"warm_up": 0.5}),
    **{
        f"{teacher}, forward {forward}": (teacher, {}, {"forward": forward})
        for teacher in ("maf", "splines", "frames")
        for forward in (0.0, 0.5, 1.0)
    },
}


def frames(count: int) -> np.ndarray:
    """Tones with three harmonics, and noise: `[count, FRAME]`."""
    rng = np.random.default_rng(0)
    pitch, phase, loudness = (rng.uniform(a, b, (count, 1)) for a, b in ((100, 500), (0, 2 * np.pi), (0.3, 1.0)))
    at = np.arange(FRAME) / 8000
    tone = sum(loudness / k * np.sin(2 * np.pi * k * pitch * at + k * phase) for k in (1, 2, 3))
    return (tone + 0.2 * rng.normal(size=(count, FRAME))).astype("float32")


@functools.cache
def teacher_of(name: str) -> tff.Flow:
    """The teacher that all students of a kind have."""
    letters = tff.datasets.siggraph()
    if name == "maf":
        teacher = tff.maf(event_size=2, num_layers=3, log_scale_bound=2.0, seed=0)
        tff.fit(teacher, letters, epochs=40, learning_rate=1e-2, verbose=False)
    elif name == "splines":
        teacher = tff.nsf_coupling(event_size=2, seed=0, **EDGES["nsf_coupling"])
        tff.fit(teacher, letters, epochs=43, verbose=False)
    else:
        teacher = tff.maf(event_size=FRAME, num_layers=4, hidden_units=(128, 128), log_scale_bound=2.0, seed=0)
        tff.fit(teacher, frames(60_000), epochs=15, batch_size=500, learning_rate=3e-3, verbose=False)
    return teacher


def student_of(name: str) -> tuple[tff.Flow, dict]:
    """A new student for that teacher, and how it is trained."""
    settings = {"epochs": 20, "learning_rate": 3e-3, "warm_up": 0.3, "verbose": False}
    if name == "maf":
        return tff.iaf(event_size=2, num_layers=8, log_scale_bound=2.0, seed=1), settings
    if name == "splines":
        return tff.nsf_coupling(event_size=2, seed=1, **EDGES["nsf_coupling"]), settings | {"epochs": 43}
    return tff.iaf(event_size=FRAME, num_layers=4, hidden_units=(128, 128), log_scale_bound=2.0, seed=1), settings


def run(name: str, constants: dict, options: dict) -> dict:
    """One student."""
    module = importlib.import_module("tfp_flows.training.own_samples")
    before = {constant: getattr(module, constant) for constant in constants}
    vars(module).update(constants)
    teacher, (student, settings) = teacher_of(name), student_of(name)
    started = time.perf_counter()
    tff.distill(teacher, student, **(settings | options))
    seconds = time.perf_counter() - started
    vars(module).update(before)
    x, log_q = student.sample_and_log_prob(20_000, seed=2)
    z = teacher.sample(20_000, seed=3).numpy()
    ahead = log_q.numpy() - tff.plots.log_prob_of(teacher, x.numpy())
    back = tff.plots.log_prob_of(teacher, z) - tff.plots.log_prob_of(student, z)
    return {
        "kl_student_teacher": float(ahead.mean()),
        "standard_error": float(ahead.std() / np.sqrt(len(ahead))),
        "kl_teacher_student": float(back.mean()),
        "missed": float((back > np.log(10)).mean()),
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    out, wanted = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    for label, arguments in RUNS.items():
        if wanted in label:
            result = {"label": label} | run(*arguments)
            with open(out, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(result, flush=True)
