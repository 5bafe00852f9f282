"""Training on SIGGRAPH until a held-out NLL is reached: the rows, and the loop for who has none of its own."""

import sys
import time
from collections.abc import Callable

import numpy as np

__all__ = ["load", "race"]

TRAIN, HELD_OUT = 50_000, 5_000


def write(path: str) -> None:
    """Draws the rows from the exact law and writes them, standardised, with what that adds to an NLL."""
    from tfp_flows import datasets

    x = datasets.siggraph().sample(TRAIN + HELD_OUT, seed=0)
    loc, scale = x[:TRAIN].mean(0), x[:TRAIN].std(0)
    x = ((x - loc) / scale).astype(np.float32)
    np.savez(path, train=x[:TRAIN], held_out=x[TRAIN:], log_volume=np.log(scale).sum())


def load(path: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Training rows, held-out rows, and what turns their NLL into one in the units of the data."""
    with np.load(path) as file:
        return file["train"], file["held_out"], float(file["log_volume"])


def race(
    step: Callable[[np.ndarray], None],
    nll: Callable[[np.ndarray], float],
    started: float,
    *,
    data: str,
    batch: int,
    look_every: int,
    target: float,
    limit: float,
) -> dict:
    """Takes steps on shuffled batches, looking at the held-out NLL now and then, until it is reached or time is up."""
    train, held_out, log_volume = load(data)
    rng = np.random.default_rng(0)
    steps, curve = 0, []
    while True:
        order = rng.permutation(len(train))
        for start in range(0, len(train) - batch + 1, batch):
            step(train[order[start : start + batch]])
            steps += 1
            if steps % look_every == 0:
                curve.append((round(time.perf_counter() - started, 2), nll(held_out) + log_volume))
                if ended := outcome(curve, steps, target, limit):
                    return ended


def outcome(curve: list[tuple[float, float]], steps: int, target: float, limit: float) -> dict | None:
    """What a training has come to, once the target is reached, time is up or the NLL is no number."""
    seconds, nll = curve[-1]
    if nll > target and seconds < limit:
        return None
    return {"nll": nll, "seconds": seconds, "steps": steps, "reached": nll <= target, "curve": curve}


if __name__ == "__main__":
    write(sys.argv[1])
