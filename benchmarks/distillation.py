"""How the constants of `tff.distill` were chosen: `python benchmarks/distillation.py OUT.jsonl [FILTER]`.

A MAF teacher of three layers is fitted to SIGGRAPH once; then a student for each line of `RUNS`. One line of JSON a
run: both divergences on 20,000 fresh samples, nats, and the share of the teacher's samples to which the student gives
less than a tenth of the teacher's density (the mass that it misses).
"""

import importlib
import json
import sys
import time

import numpy as np

import tfp_flows as tff

# label: constants of the module, options of distill
RUNS = {
    "as it is": ({}, {}),
    "outliers above 5 nats": ({"OUTLIER": 5.0}, {}),
    "outliers above 1000 nats": ({"OUTLIER": 1000.0}, {}),
    "no warm-up": ({}, {"warm_up": 0.0}),
    "warm-up from power 0.1": ({"FIRST_POWER": 0.1}, {}),
    "warm-up over half": ({}, {"warm_up": 0.5}),
}


def fit_teacher() -> tff.Flow:
    """The teacher that all students have."""
    teacher = tff.maf(event_size=2, num_layers=3, log_scale_bound=2.0, seed=0)
    tff.fit(teacher, tff.datasets.siggraph(), epochs=40, learning_rate=1e-2, verbose=False)
    return teacher


def run(teacher: tff.Flow, constants: dict, options: dict) -> dict:
    """One student."""
    module = importlib.import_module("tfp_flows.training.own_samples")
    before = {name: getattr(module, name) for name in constants}
    vars(module).update(constants)
    student = tff.iaf(event_size=2, num_layers=6, log_scale_bound=2.0, seed=1)
    settings = {"epochs": 20, "batch_size": 500, "learning_rate": 3e-3, "warm_up": 0.3, "verbose": False} | options
    started = time.perf_counter()
    tff.distill(teacher, student, **settings)
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
    common_teacher = fit_teacher()
    for label, arguments in RUNS.items():
        if wanted in label:
            result = {"label": label} | run(common_teacher, *arguments)
            with open(out, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(result, flush=True)
