"""A case of every public layer, with weights away from their start: what holds for all layers is tested for these."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import scramble_variables

from tfp_flows import bijectors as b
from tfp_flows import elementwise, networks

SIZE, CONTEXT = 3, 2
rng = np.random.default_rng


def _mlp(params, context_size=0, outputs=2):
    return networks.MLP(1, outputs, params, (4,), context_size=context_size, seed=0, dtype="float64")


def _conv_net(params, context_size=0):
    options = {"hidden_channels": 3, "context_size": context_size, "seed": 0, "dtype": "float64"}
    return networks.ConvNet((SIZE, 1), 1, 1, params, seen=[1], asked=[0, 2], **options)


COMPOSED = elementwise.Composed((elementwise.Affine(), elementwise.Spline(5, 1.0, tails="free")))


def _affine(network):
    return networks.ShiftAndLogScale(network)


def _made(context_size=0, **options):
    return _affine(
        networks.MADE(SIZE, hidden_units=(6,), context_size=context_size, seed=0, dtype="float64", **options)
    )


def _coupling(context_size=0, num_masked=1):
    return b.RealNVP(num_masked=num_masked, shift_and_log_scale_fn=_affine(_mlp(2, context_size)))


def _spline(context_size=0, **options):
    return b.SplineCoupling(1, _mlp(3 * 5 - 1, context_size), **options)


def _autoregressive(elementwise, context_size=0):
    options = {"hidden_units": (6,), "context_size": context_size, "seed": 0, "dtype": "float64"}
    return b.Autoregressive(networks.MADE(SIZE, elementwise.params, **options), elementwise)


def _layers(context_size=0):
    planar = b.Planar(SIZE, rng=rng(0), dtype="float64")
    return [b.Permute([2, 0, 1]), _spline(context_size), planar, b.Affine(SIZE, rng=rng(1), dtype="float64")]


# public name, and how to tell its cases apart -> what builds one, in float64, of SIZE dimensions
CASES = {
    "ActNorm": lambda: b.ActNorm(SIZE, dtype="float64"),
    "Affine": lambda: b.Affine(SIZE, rng=rng(0), dtype="float64"),
    "Autoregressive affine": lambda: _autoregressive(elementwise.Affine()),
    "Autoregressive shift": lambda: _autoregressive(elementwise.Shift()),
    "Autoregressive spline": lambda: _autoregressive(elementwise.Spline(5)),
    "Autoregressive spline tails": lambda: _autoregressive(elementwise.Spline(5, 1.0, tails="free")),
    "Autoregressive spline context": lambda: _autoregressive(elementwise.Spline(5), CONTEXT),
    "Autoregressive affine of spline": lambda: _autoregressive(COMPOSED),
    "Autoregressive affine of spline context": lambda: _autoregressive(COMPOSED, CONTEXT),
    "Autoregressive mixture": lambda: _autoregressive(elementwise.MixtureOfLogistics(3)),
    "BatchNorm": lambda: b.BatchNorm(SIZE, dtype="float64"),
    "ChannelMixing": lambda: b.ChannelMixing(1, SIZE, rng=rng(0), dtype="float64"),
    # the data of these tests is on the whole line: periods so long that it is in one of them
    "Circle": lambda: b.Circle([-20.0, None, -30.0], [25.0, None, 40.0], interval=20.0, dtype="float64"),
    "Coupling": lambda: b.Coupling(1, _mlp(2), elementwise.Affine(None)),
    "Coupling reverse": lambda: b.Coupling(-1, _mlp(14), elementwise.Spline(5)),
    "Coupling context": lambda: b.Coupling(1, _mlp(2, CONTEXT), elementwise.Affine()),
    "Coupling image context": lambda: b.Coupling(1, _conv_net(2, CONTEXT), elementwise.Affine()),
    "LeakyReLU": lambda: b.LeakyReLU(0.5, dtype="float64"),
    "LeakyReLU smooth": lambda: b.LeakyReLU(0.5, smoothness=1.0, dtype="float64"),
    "MaskedAutoregressiveFlow": lambda: b.MaskedAutoregressiveFlow(_made()),
    "MaskedAutoregressiveFlow context": lambda: b.MaskedAutoregressiveFlow(_made(CONTEXT)),
    "MaskedAutoregressiveFlow shift": lambda: b.MaskedAutoregressiveFlow(_made(params=1, order="random")),
    "NICE": lambda: b.NICE(1, _affine(_mlp(1))),
    "NICE context": lambda: b.NICE(1, _affine(_mlp(1, CONTEXT))),
    "Permute": lambda: b.Permute([2, 0, 1]),
    "Planar": lambda: b.Planar(SIZE, rng=rng(0), dtype="float64"),
    "Power": lambda: b.Power(SIZE, dtype="float64"),
    "RealNVP": _coupling,
    "RealNVP reverse": lambda: _coupling(num_masked=-1),
    "RealNVP context": lambda: _coupling(CONTEXT),
    "RecomputingChain": lambda: b.RecomputingChain(_layers()),
    "RecomputingChain context": lambda: b.RecomputingChain(_layers(CONTEXT)),
    "ReversibleChain": lambda: b.ReversibleChain(_layers()),
    "ReversibleChain context": lambda: b.ReversibleChain(_layers(CONTEXT)),
    "Rotate": lambda: b.Rotate(SIZE, [0, 2], interval=50.0, dtype="float64"),
    "Scale": lambda: b.Scale(SIZE, dtype="float64"),
    "SplineCoupling": _spline,
    "SplineCoupling unbounded": lambda: _spline(logit_bound=None),
    "SplineCoupling context": lambda: _spline(CONTEXT),
    "Standardize": lambda: b.Standardize(SIZE, dtype="float64"),
    "Standardize keeping": lambda: b.Standardize(SIZE, whiten=True, keep=[1], dtype="float64"),
    "Standardize whitening": lambda: b.Standardize(SIZE, whiten=True, dtype="float64"),
    # the data of these tests is on the whole line: ends so far out that most of it is inside
    "Support": lambda: b.Support([-20.0, -30.0, None], [25.0, None, 40.0], dtype="float64"),
    "Support open": lambda: b.Support([None, -50.0, None], [None, 50.0, None], dtype="float64"),
}


@functools.cache
def layer(case: str) -> tfp.bijectors.Bijector:
    """The layer of that case; tests that change it put its weights back."""
    built = CASES[case]()
    scramble_variables(built.variables)
    return built


def keywords(case: str, context: tf.Tensor) -> dict:
    """The keyword arguments of a call with that context."""
    if not case.endswith("context"):
        return {}
    given = {"conditional_input": context}
    return {"spline_coupling": given} if "Chain" in case else given


def without_a_case() -> set[str]:
    """Public layers that nobody tests."""
    return set(b.__all__) - {case.split()[0] for case in CASES}
