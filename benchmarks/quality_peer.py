"""Trains a flow of Zuko or nflows on the rows of an npz file, and prints its NLL on the test rows.

    python benchmarks/quality_peer.py FILE LIBRARY FLOW SEED STEPS BATCH RATE DECAY LOOK_EVERY LAYERS BINS UNITS ...

FLOW is "maf" or "nsf"; what has no number here is as the library has it. Called by `quality.py` with the interpreter of
the peers' environment.
"""

import sys

import numpy as np
import torch


def _zuko(flow: str, size: int, count: int, bins: int, units: list[int]):
    import zuko

    options = {"transforms": count, "hidden_features": units}
    model = zuko.flows.NSF(size, bins=bins, **options) if flow == "nsf" else zuko.flows.MAF(size, **options)
    return model, lambda x: model().log_prob(x)


def _nflows(flow: str, size: int, count: int, bins: int, units: list[int]):
    from nflows import distributions, flows, transforms

    layers = []
    for i in range(count):
        layers += [transforms.ReversePermutation(size)] if i else []
        options = {"num_blocks": len(units) - 1, "use_residual_blocks": False}
        if flow == "nsf":
            options |= {"num_bins": bins, "tails": "linear", "tail_bound": 3.0}
            layers.append(transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(size, units[0], **options))
        else:
            layers.append(transforms.MaskedAffineAutoregressiveTransform(size, units[0], **options))
    model = flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([size]))
    return model, model.log_prob


def main() -> None:
    """Trains with Adam, decoupled decay and a cosine schedule; keeps the weights of the best look."""
    path, library, flow, *numbers = sys.argv[1:]
    seed, steps, batch = (int(number) for number in numbers[:3])
    learning_rate, decay = (float(number) for number in numbers[3:5])
    look_every, count, bins, *units = (int(number) for number in numbers[5:])
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rows = {name: torch.tensor(part, dtype=torch.float32) for name, part in np.load(path).items()}
    model, log_prob = {"zuko": _zuko, "nflows": _nflows}[library](flow, rows["train"].shape[1], count, bins, units)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, test = float("inf"), float("nan")
    order = torch.randperm(len(rows["train"]))
    for step in range(1, steps + 1):
        order = order if len(order) >= batch else torch.cat([order, torch.randperm(len(rows["train"]))])
        drawn, order = order[:batch], order[batch:]
        optimizer.zero_grad()
        (-log_prob(rows["train"][drawn]).mean()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step % look_every == 0:
            with torch.no_grad():
                nll = -float(log_prob(rows["validation"]).mean())
                if nll < best:
                    best, test = nll, -float(log_prob(rows["test"]).mean())
    print(test)


if __name__ == "__main__":
    main()
