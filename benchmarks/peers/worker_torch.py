"""The worker of the PyTorch libraries: `python worker_torch.py zuko`, `nflows` or `normflows`.

They run as they are used, without `torch.compile`.
"""

import importlib
import sys
import time

import torch
from protocol import Case, Timed, serve, threads
from rows import rows
from siggraph import race

library = importlib.import_module(f"torch_{sys.argv[1]}")


def build(case: Case) -> torch.nn.Module:
    """The flow of a case."""
    torch.manual_seed(0)
    return library.build(case)


def count(flow: torch.nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in flow.parameters() if p.requires_grad)


def training_step(flow: torch.nn.Module, learning_rate: float):
    """A function of a batch that takes a step of Adam and returns the loss."""
    optimizer = torch.optim.Adam(flow.parameters(), learning_rate)

    def run(x: torch.Tensor) -> float:
        optimizer.zero_grad()
        loss = -library.log_prob(flow, x).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def step(case: Case) -> Timed:
    """A step of Adam on a fixed batch."""
    flow, x = build(case), torch.from_numpy(rows(case))
    run = training_step(flow, 1e-4)
    return Timed(count(flow), lambda: run(x))


def without_gradient(case: Case, call) -> Timed:
    """A call of the flow that needs no gradient."""
    flow = build(case).eval()

    def run() -> None:
        with torch.no_grad():
            call(flow)

    return Timed(count(flow), run)


def log_prob(case: Case, batch: int | None = None) -> Timed:
    """The log-densities of a batch."""
    x = torch.from_numpy(rows(case, batch))
    return without_gradient(case, lambda flow: library.log_prob(flow, x))


def sample(case: Case) -> Timed:
    """A batch of samples."""
    return without_gradient(case, lambda flow: library.sample(flow, case.batch))


def matmul(case: Case) -> Timed:
    """The product of two large matrices."""
    a = torch.from_numpy(rows(case, case.event_size))
    return Timed(0, lambda: torch.matmul(a, a))


def train(case: Case, learning_rate: float, **options) -> dict:
    """Steps on SIGGRAPH until the target or the limit."""
    started = time.perf_counter()
    flow = build(case)
    run = training_step(flow, learning_rate)

    def nll(x) -> float:
        with torch.no_grad():
            return -library.log_prob(flow, torch.from_numpy(x)).mean().item()

    return race(lambda x: run(torch.from_numpy(x)), nll, started, batch=case.batch, **options)


if __name__ == "__main__":
    torch.set_num_threads(threads())
    serve(
        [*library.PACKAGES, "torch", "numpy"],
        {
            "step": step,
            "log_prob": log_prob,
            "sample": sample,
            "first": lambda case: log_prob(case, 1),
            "matmul": matmul,
        },
        train,
    )
