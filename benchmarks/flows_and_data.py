"""What each flow reaches on each data set, and in what time: `python benchmarks/flows_and_data.py OUT.jsonl [FILTER]`.

One line of JSON a run, appended as it ends: the options, the test NLL on 10,000 fresh rows with its standard error, the
gap to the exact entropy, the seconds that `fit` took, compiling included, and the epochs. FILTER keeps the runs whose
label contains it. Run it on an idle machine.
"""

import json
import sys
import time

import numpy as np

import tfp_flows as tff

# label: flow, its options, data set, options of fit
RUNS = {
    **{
        f"table {flow} {data}": (flow, {}, data, {"epochs": epochs})
        for data, epochs in (("siggraph", 60), ("two_moons", 20), ("banana", 20), ("gaussian", 20))
        for flow in tff.flows.names()
    },
    **{
        f"batch_norm {flow} {data}": (flow, {"batch_norm": True}, data, {"epochs": epochs})
        for data, epochs in (("siggraph", 60), ("two_moons", 20))
        for flow in ("maf", "real_nvp")
    },
    **{
        f"learning_rate {rate:g}": ("nsf_coupling", {}, "siggraph", {"epochs": 30, "learning_rate": rate})
        for rate in (1e-3, 2e-3, 3e-3, 5e-3, 1e-2)
    },
    **{
        f"learning_rate {flow} {rate:g}": (flow, {}, "two_moons", {"epochs": 20, "learning_rate": rate})
        for flow in ("maf", "real_nvp", "planar", "mlp")
        for rate in (1e-3, 3e-3, 1e-2)
    },
    **{f"bins {bins}": ("nsf_coupling", {"num_bins": bins}, "siggraph", {"epochs": 30}) for bins in (16, 32, 64, 128)},
    **{
        f"interval {interval:g}": ("nsf_coupling", {"interval": interval}, "siggraph", {"epochs": 20})
        for interval in (2.5, 3.0, 4.0)
    },
    **{
        f"batch {size}": ("nsf_coupling", {}, "siggraph", {"epochs": 20 * 1000 // size, "batch_size": size})
        for size in (250, 500, 1000)
    },
    **{
        f"layers {layers}": ("nsf_coupling", {"num_layers": layers}, "siggraph", {"epochs": 30})
        for layers in (2, 3, 4, 6)
    },
    **{
        f"activation {flow} {name}": (flow, {"activation": name}, data, {"epochs": 20})
        for flow, data in (("nsf_coupling", "siggraph"), ("maf", "two_moons"))
        for name in ("silu", "tanh", "relu", "gelu")
    },
}


def run(flow_name: str, options: dict, data: str, fit_options: dict, seed: int = 0) -> dict:
    """One line of the table."""
    law = tff.datasets.make(data)
    flow = tff.make(flow_name, event_size=2, seed=seed, **options)
    fit_options = {"batch_size": 1000, "learning_rate": 3e-3} | fit_options
    started = time.perf_counter()
    history = tff.fit(flow, law, verbose=False, seed=seed, **fit_options)
    seconds = time.perf_counter() - started
    nll = -tff.plots.log_prob_of(flow, law.split(seed).test)
    return {
        "flow": flow_name,
        "data": data,
        "options": options,
        "fit": fit_options,
        "nll": float(nll.mean()),
        "standard_error": float(nll.std() / np.sqrt(len(nll))),
        "gap": float(nll.mean() - law.entropy),
        "seconds": round(seconds, 1),
        "epochs": len(history.history["nll"]),
    }


if __name__ == "__main__":
    out, wanted = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    for label, arguments in RUNS.items():
        if wanted in label:
            result = {"label": label} | run(*arguments)
            with open(out, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(f"{label:<28} NLL {result['nll']:.4f} gap {result['gap']:.4f} in {result['seconds']} s", flush=True)
