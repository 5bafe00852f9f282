"""What each flow reaches on each data set, and in what time; and the sweeps that chose the defaults.

`python benchmarks/flows_and_data.py table OUT.jsonl [FILTER]` runs `tfp-flows train` with the options of each line of
the table; `... sweeps OUT.jsonl [FILTER]` runs `tff.fit`. A line of JSON a run, appended as it ends; FILTER keeps the
runs whose label contains it. Run it on an idle machine.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import tfp_flows as tff

# The table: options of `tfp-flows train`, each run as a command of its own. Two Moons with rounds that fit in a minute.
FLOWS = ("nsf_coupling", "maf", "iaf", "real_nvp", "nice", "planar", "mlp")
MOONS = {"nsf_coupling": 6, "maf": 23, "iaf": 14, "real_nvp": 12, "nice": 14, "planar": 25, "mlp": 25}
COMMANDS = [
    "",
    *(f"--flow {flow}" for flow in FLOWS[1:]),
    *(f"--flow {flow} --batch-norm" for flow in ("maf", "real_nvp")),
    *(f"--flow {flow} --data two_moons --epochs {MOONS[flow]}" for flow in FLOWS),
    *(f"--flow {flow} --data two_moons --epochs {MOONS[flow]} --batch-norm" for flow in ("maf", "real_nvp")),
    *(
        f"--flow {flow} --data {data} --epochs {8 if flow == 'nsf_coupling' else 30} --learning-rate 0.005"
        for data in ("banana", "gaussian")
        for flow in FLOWS
    ),
]

BINS = {"num_bins": 64}  # for letters
EDGES = BINS | {"octaves": 8, "logit_bound": 4.0}
# The sweeps. label: flow, its options, data set, options of fit; and a seed, if it is not 0.
SWEEPS = {
    **{
        f"learning_rate {rate:g}": ("nsf_coupling", BINS, "siggraph", {"epochs": 30, "learning_rate": rate})
        for rate in (1e-3, 2e-3, 3e-3, 5e-3, 1e-2)
    },
    **{
        f"learning_rate {flow} {rate:g}": (flow, {}, "two_moons", {"epochs": 20, "learning_rate": rate})
        for flow in ("maf", "real_nvp", "planar", "mlp")
        for rate in (1e-3, 3e-3, 1e-2)
    },
    **{f"bins {bins}": ("nsf_coupling", {"num_bins": bins}, "siggraph", {"epochs": 30}) for bins in (16, 32, 64, 128)},
    **{
        f"num_bins {bins} {data} seed {seed}": (
            *("nsf_coupling", {"num_bins": bins}, data, {"epochs": 15, "learning_rate": 5e-3}),
            seed,
        )
        for data in ("two_moons", "banana", "gaussian")
        for bins in (8, 16, 32, 64)
        for seed in (0, 1)
    },
    **{
        f"interval {interval:g}": ("nsf_coupling", BINS | {"interval": interval}, "siggraph", {"epochs": 20})
        for interval in (2.5, 3.0, 4.0)
    },
    **{
        f"octaves {octaves} seed {seed}": (
            *("nsf_coupling", EDGES | {"octaves": octaves, "affine": False, "tails": "identity", "mixing": "reverse"}),
            *("siggraph", {"epochs": 43}, seed),
        )
        for octaves in (0, 7, 8, 9, [8, 7, 7, 7], [8, 8, 8, 8])
        for seed in (0, 1)
    },
    **{
        f"schedule {schedule}": ("nsf_coupling", EDGES, "siggraph", {"epochs": 45, "schedule": schedule})
        for schedule in ("cosine", "one_cycle")
    },
    **{
        f"logit_bound {bound:g}": ("nsf_coupling", EDGES | {"logit_bound": bound}, "siggraph", {"epochs": 45})
        for bound in (2.0, 3.0, 4.0)
    },
    **{
        f"letters {tails} {mixing} {bins} bins seed {seed}": (
            *("nsf_coupling", EDGES | {"affine": False, "tails": tails, "mixing": mixing, "num_bins": bins}),
            *("siggraph", {"epochs": 43}, seed),
        )
        for tails, mixing in (("free", "linear"), ("free", "reverse"), ("identity", "reverse"))
        for bins in (32, 64)
        for seed in (0, 1)
    },
    **{
        f"tails {tails} {mixing}": ("nsf_coupling", {"tails": tails, "mixing": mixing}, "banana", {"epochs": 12})
        for tails in ("identity", "equal", "free")
        for mixing in ("reverse", "linear")
    },
    **{
        f"log_scale_bound {bound:g} {data}": (
            "maf",
            {"log_scale_bound": bound},
            data,
            {"epochs": 40, "learning_rate": 0.01},
        )
        for bound in (1.0, 2.0, 3.0, 5.0)
        for data in ("two_moons", "siggraph")
    },
    **{
        f"batch {size}": ("nsf_coupling", BINS, "siggraph", {"epochs": 20 * 1000 // size, "batch_size": size})
        for size in (250, 500, 1000)
    },
    **{
        f"layers {layers}": ("nsf_coupling", BINS | {"num_layers": layers}, "siggraph", {"epochs": 30})
        for layers in (2, 3, 4, 6)
    },
    **{
        f"activation {flow} {name}": (flow, {"activation": name}, data, {"epochs": 20})
        for flow, data in (("nsf_coupling", "siggraph"), ("maf", "two_moons"))
        for name in ("silu", "tanh", "relu", "gelu")
    },
}


def train(options: str, seed: int = 0) -> dict:
    """One line of the table: the whole command, from the start of its process to the last figure."""
    with tempfile.TemporaryDirectory() as folder:
        command = [pathlib.Path(sys.executable).with_name("tfp-flows"), "train", *options.split(), "--out", folder]
        started = time.perf_counter()
        subprocess.run([*command, "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        metrics = json.loads((pathlib.Path(folder) / "metrics.json").read_text())
    return metrics | {"seconds": round(seconds, 1)}


def sweep(flow_name: str, options: dict, data: str, fit_options: dict, seed: int = 0) -> dict:
    """One run of a sweep, through `fit`; judged on validation rows, as it serves to choose."""
    law = tff.datasets.make(data)
    flow = tff.make(flow_name, event_size=2, seed=seed, **options)
    started = time.perf_counter()
    tff.fit(flow, law, verbose=False, seed=seed, **fit_options)
    seconds = time.perf_counter() - started
    x = law.sample(100_000, seed=np.random.default_rng([seed, 2]))
    log_prob = tff.plots.log_prob_of(flow, x)
    off = law.log_prob(x) - log_prob  # row by row: far less noise than its mean NLL less the entropy
    return {
        "nll": float(-log_prob.mean()),
        "standard_error": float(off.std() / np.sqrt(len(off))),
        "gap": float(off.mean()),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Runs what was asked for, a line of JSON and of text a run."""
    kind, out, wanted = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    runs = {options: (options,) for options in COMMANDS} if kind == "table" else SWEEPS
    for label, arguments in runs.items():
        if wanted in label:
            result = {"label": label} | (train if kind == "table" else sweep)(*arguments)
            with open(out, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(
                f"| `{label}` | {result['nll']:.3f} | {result['standard_error']:.4f} | {result['gap']:.4f} "
                f"| {result['seconds']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
