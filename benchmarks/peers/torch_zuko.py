"""Zuko's flows."""

from functools import partial

import torch
import zuko
from protocol import Case

PACKAGES = ["zuko"]


def build(case: Case) -> torch.nn.Module:
    """The flow of a case; the coupling spline from zuko's parts, as its NSF is autoregressive."""
    if case.flow == "maf":
        return zuko.flows.MAF(case.event_size, transforms=case.layers, hidden_features=case.hidden)
    if case.flow == "nsf":
        return zuko.flows.NSF(case.event_size, transforms=case.layers, hidden_features=case.hidden, bins=case.bins)
    if case.flow == "real_nvp":
        return zuko.flows.RealNVP(case.event_size, transforms=case.layers, hidden_features=case.hidden)
    layers = [
        zuko.flows.GeneralCouplingTransform(
            case.event_size,
            mask=torch.arange(case.event_size) % 2 == i % 2,
            univariate=partial(zuko.transforms.MonotonicRQSTransform, bound=3.0),
            shapes=[(case.bins,), (case.bins,), (case.bins - 1,)],
            hidden_features=case.hidden,
        )
        for i in range(case.layers)
    ]
    base = zuko.flows.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(case.event_size), torch.ones(case.event_size), buffer=True
    )
    return zuko.flows.Flow(layers, base)


def log_prob(flow, x: torch.Tensor) -> torch.Tensor:
    """Log-densities of rows."""
    return flow().log_prob(x)


def sample(flow, count: int) -> torch.Tensor:
    """Samples."""
    return flow().sample((count,))
