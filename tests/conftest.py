"""What every test gets: small flows with weights far from their start, built once a process."""

import functools
import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # as many test processes as cores: a thread each
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # few steps, compiled long

import numpy as np
import pytest

import tfp_flows as tff

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs in the background ignore it

SMALL = {
    "maf": {"num_layers": 2, "hidden_units": (8, 8), "batch_norm": True},
    "iaf": {"num_layers": 2, "hidden_units": (8, 8)},
    "real_nvp": {"num_layers": 2, "hidden_units": (8,), "batch_norm": True},
    "nice": {"num_layers": 2, "hidden_units": (8,)},
    "planar": {"num_layers": 2},
    "mlp": {"num_layers": 2},
    "nsf_coupling": {"num_layers": 2, "hidden_units": (8,), "num_bins": 5},
    "nsf": {"num_layers": 2, "hidden_units": (8, 8), "num_bins": 5},
    "naf": {"num_layers": 2, "hidden_units": (8, 8), "num_components": 3},
    "glow": {"num_layers": 3, "hidden_channels": 3, "num_bins": 5},
}
_ALL = {
    "mixing": "linear",
    "whiten": True,
    "power": True,
    "residual": True,
    "octaves": 2,
    "act_norm": True,
    "hidden_units": (8, 8),
}
VARIANTS = {  # chains with options that change their layers: the word before the blank is the chain's
    "maf varied": SMALL["maf"] | _ALL,
    "nsf_coupling varied": SMALL["nsf_coupling"] | _ALL,
    # the rows of the table are on the line, and so are their latents: a period that they are in
    "nsf circular": SMALL["nsf"] | {"circular": {0: (-60.0, 60.0)}, "interval": 6.0, "octaves": 1},
}
COUPLING = ("real_nvp", "nice", "nsf_coupling", "glow")
SIZES = {"naf": (1, 3), "nice": (2, 3), "glow": (1, 3, 4)} | dict.fromkeys(
    ("maf", "nsf", "nsf_coupling"), (1, 2, 8)
)  # 8: more than a block
CASES = [(name, d) for name in SMALL for d in SIZES.get(name, (1, 2))]
CASES += [(name, 3) for name in VARIANTS]
# Every law runs for every case; of chains that are much alike, and of sizes, most are left to longer runs.
QUICK = [("maf", 2), ("planar", 2), ("nsf_coupling", 2)]
SLOW = [("nsf", 2), ("maf", 8), ("iaf", 2), ("real_nvp", 2), ("nice", 3), ("naf", 3), ("glow", 4)]
SLOW += [("maf varied", 3), ("nsf circular", 3)]
EXHAUSTIVE = (pytest.mark.slow, pytest.mark.exhaustive)


def mostly_slow(cases: list, fast: int = 2, slow: int = 2, *, several: bool = False, kerases: int = 0) -> list:
    """The first few cases for every run, some for the full one, the rest for the exhaustive one.

    They are of one argument each, or of several. The first `kerases` of them are run under both.
    """
    marks = [(), (pytest.mark.slow,), EXHAUSTIVE]
    return [
        pytest.param(
            *(case if several else [case]),
            marks=marks[(i >= fast) + (i >= fast + slow)] + (pytest.mark.kerases,) * (i < kerases),
        )
        for i, case in enumerate(cases)
    ]


TABLE = mostly_slow([*QUICK, *SLOW, *(c for c in CASES if c not in QUICK + SLOW)], len(QUICK), len(SLOW), several=True)
CHAINS = ["maf", "nsf_coupling", "planar", *sorted({*SMALL} - {"maf", "nsf_coupling", "planar"})]
PLANES = mostly_slow(CHAINS, 2, 3)


def make_small(name: str, event_size: int, **options) -> "tff.Flow":
    small = (SMALL | VARIANTS)[name]
    if event_size == 1 and "batch_norm" in small:  # it would undo what an affine layer of constants does before it
        small = small | {"batch_norm": False}
    return tff.make(name.split()[0], event_size=event_size, seed=0, **(small | options))


def scramble(flow: "tff.Flow", scale: float = 0.3, seed: int = 0) -> "tff.Flow":
    """Moves every variable away from its start, as training would; the statistics stay positive."""
    scramble_variables(flow.variables, scale, seed)
    for layer in (
        layer for layer in getattr(flow, "layers", ()) if getattr(layer, "keep", ())
    ):  # circular columns stay as they are
        kept = np.isin(np.arange(flow.event_size), layer.keep)
        layer.loc.assign(np.where(kept, 0.0, layer.loc))
        layer.scale.assign(np.where(kept, 1.0, layer.scale))
        if hasattr(layer, "power"):
            layer.power.assign(np.where(kept, 1.0, layer.power))
        elif layer.whitening is not None:
            layer.whitening.assign(np.where(kept[:, None] | kept, np.eye(flow.event_size), layer.whitening))
    return flow


def scramble_variables(variables, scale: float = 0.3, seed: int = 0) -> None:
    """The same for the variables of anything."""
    rng = np.random.default_rng(seed)
    for variable in (v for v in variables if "rotation" not in v.name):
        value, noise = variable.numpy(), rng.normal(0.0, scale, variable.shape)
        variable.assign(value * np.exp(noise) if not variable.trainable else value + noise)


@functools.cache
def scrambled(name: str, event_size: int) -> "tff.Flow":
    """A float64 flow with arbitrary weights, shared by the tests that do not change it."""
    return scramble(make_small(name, event_size, dtype="float64"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first: a long one at the end would leave the other processes idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def no_figures():
    """For tests of the command that do not look at them: a run of a few steps takes four times as long with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfp_flows.runs._figures", lambda *_: {})
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    import tensorflow as tf

    tf.random.set_seed(0)
