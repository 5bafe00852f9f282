"""nflows' flows."""

import itertools

import torch
from nflows import distributions, flows, transforms
from protocol import Case

PACKAGES = ["nflows"]


class Dense(torch.nn.Sequential):
    """A network of dense layers, called as nflows calls one: with a context, here None."""

    def __init__(self, case: Case, inputs: int, outputs: int) -> None:
        sizes = [inputs, *case.hidden]
        layers = []
        for before, after in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
        super().__init__(*layers, torch.nn.Linear(sizes[-1], outputs))
        self.hidden_features = case.hidden[-1]  # by which nflows scales a spline's raw widths

    def forward(self, x: torch.Tensor, context: None = None) -> torch.Tensor:
        """What the layers make of the rows."""
        return super().forward(x)


def layer(case: Case, i: int) -> list[transforms.Transform]:
    """Layer i, with a reversal before it in an autoregressive flow; couplings swap their halves."""
    if case.flow in ("maf", "nsf"):
        options = {"num_blocks": len(case.hidden) - 1, "use_residual_blocks": False}
        kind = transforms.MaskedAffineAutoregressiveTransform
        if case.flow == "nsf":
            kind = transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform
            options |= {"num_bins": case.bins, "tails": "linear", "tail_bound": 3.0}
        made = kind(case.event_size, case.hidden[0], **options)
        return [transforms.ReversePermutation(case.event_size), made] if i else [made]
    mask = (torch.arange(case.event_size) % 2 == i % 2).int()

    def network(inputs: int, outputs: int) -> Dense:
        return Dense(case, inputs, outputs)

    if case.flow == "real_nvp":
        return [transforms.AffineCouplingTransform(mask, network)]
    return [
        transforms.PiecewiseRationalQuadraticCouplingTransform(
            mask, network, num_bins=case.bins, tails="linear", tail_bound=3.0
        )
    ]


def build(case: Case) -> torch.nn.Module:
    """The flow of a case."""
    layers = [part for i in range(case.layers) for part in layer(case, i)]
    return flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([case.event_size]))


def log_prob(flow, x: torch.Tensor) -> torch.Tensor:
    """Log-densities of rows."""
    return flow.log_prob(x)


def sample(flow, count: int) -> torch.Tensor:
    """Samples."""
    return flow.sample(count)
