"""What log p is where there was no data: bounds on an affine layer's log-scale, tails of splines, damped numbers.

    python benchmarks/off_data.py [moons] [digits]

moons: 100 and 600 rows of Two Moons .05; the gap on fresh rows, and the lowest log p of uniform noise around them.
digits: 1,437 dequantised images of 64 pixels; bits per dimension held out, and the lowest log p of uniform noise of the
same range. All else is by default. It needs scikit-learn.
"""

import sys
import warnings

import numpy as np
from quality_tables import table

import tfp_flows as tff

CHAINS = [("maf", {"log_scale_bound": bound}) for bound in (1.0, 2.0, 3.0, 5.0)]
CHAINS += [
    ("maf", {"log_scale_bound": 2.0, "whiten": True}),
    ("maf", {"damped_beyond": None}),
    ("nsf", {}),
    ("nsf", {"damped_beyond": None}),
    ("nsf", {"affine": False}),
    ("nsf", {"tails": "identity"}),
]


def moons(seeds: int = 3) -> None:
    """Few rows: what is learnt of them, and what is made of the rest of the plane."""
    law = tff.datasets.two_moons(0.05)
    fresh = law.sample(20_000, seed=99)
    exact = law.log_prob(fresh)
    noise = np.random.default_rng(0).uniform(-4, 5, [20_000, 2])
    print("| chain | options | rows | gap | lowest log p of noise |\n|---|---|---|---|---|")
    for name, options in CHAINS:
        for rows in (100, 600):
            gaps, lowest = [], []
            for seed in range(seeds):
                flow = tff.make(name, event_size=2, seed=seed, **options)
                tff.fit(flow, law.sample(rows, seed=seed), verbose=False, seed=seed)
                gaps.append(np.mean(exact - flow.log_prob(fresh)))
                lowest.append(np.min(flow.log_prob(noise)))
            cells = " ".join(f"{gap:.3g}" for gap in gaps), f"{min(lowest):.2g}"
            print(f"| {name} | {options} | {rows} | {' | '.join(cells)} |", flush=True)


def digits() -> None:
    """Bits of a pixel with 17 levels of grey, and log p of noise, in units of a level."""
    raw = table("digits", standardise=False)
    size = raw.train.shape[1]
    noise = np.random.default_rng(0).uniform(0, 17, [2000, size])
    print("| chain | options | bits per dimension | lowest log p of noise |\n|---|---|---|---|")
    for name, options in CHAINS:
        flow = tff.make(name, event_size=size, seed=0, **options)
        tff.fit(flow, raw.train, validation_data=raw.validation, verbose=False)
        bits = -np.mean(flow.log_prob(raw.test)) / size / np.log(2)
        print(f"| {name} | {options} | {bits:.3f} | {np.min(flow.log_prob(noise)):.3g} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for word in sys.argv[1:] or ("moons", "digits"):
        {"moons": moons, "digits": digits}[word]()
