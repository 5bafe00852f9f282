"""normflows' flows, on what they compute.

Its `MaskedAffineAutoregressive` is called masked autoregressive flow, but samples in one pass and scores in D: it is
what others call an inverse autoregressive flow.
"""

import normflows as nf
import torch
from protocol import Case

PACKAGES = ["normflows"]


def layer(case: Case, i: int) -> list:
    """Layer i, and what comes between it and the next."""
    size = case.event_size
    if case.flow == "maf":
        made = nf.flows.MaskedAffineAutoregressive(
            size, case.hidden[0], num_blocks=len(case.hidden) - 1, use_residual_blocks=False
        )
        return [made, nf.flows.Permute(size, mode="swap")]
    if case.flow == "real_nvp":
        network = nf.nets.MLP([size // 2, *case.hidden, size])
        return [nf.flows.AffineCouplingBlock(network), nf.flows.Permute(size, mode="swap")]
    # its network has blocks of two layers, and the half that stays goes through a spline without a network
    return [
        nf.flows.CoupledRationalQuadraticSpline(
            size, len(case.hidden) - 1, case.hidden[0], num_bins=case.bins, tail_bound=3.0, reverse_mask=bool(i % 2)
        )
    ]


def build(case: Case) -> torch.nn.Module:
    """The flow of a case."""
    layers = [part for i in range(case.layers) for part in layer(case, i)]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(case.event_size, trainable=False), layers)


def log_prob(flow, x: torch.Tensor) -> torch.Tensor:
    """Log-densities of rows."""
    return flow.log_prob(x)


def sample(flow, count: int) -> torch.Tensor:
    """Samples."""
    return flow.sample(count)[0]
