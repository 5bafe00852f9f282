"""Chains by name: what the command line and `load` build from."""

import inspect
from collections.abc import Mapping
from os import PathLike
from typing import Any

from tfp_flows.checks import check_path
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.flows.glow import glow
from tfp_flows.flows.iaf import iaf
from tfp_flows.flows.maf import maf
from tfp_flows.flows.mlp import mlp
from tfp_flows.flows.naf import naf
from tfp_flows.flows.nice import nice
from tfp_flows.flows.nsf import nsf
from tfp_flows.flows.nsf_coupling import nsf_coupling
from tfp_flows.flows.planar import planar
from tfp_flows.flows.real_nvp import real_nvp
from tfp_flows.state import make_from, put_into, read_state, restored
from tfp_flows.words import in_short

__all__ = ["defaults", "load", "make", "names"]

CHAINS = {f.__name__: f for f in (maf, iaf, real_nvp, nice, planar, mlp, nsf_coupling, nsf, naf, glow)}

# What chains of version 0.1 could not choose: all of them, those with networks, and splines
THEN = {"whiten": False, "power": False}
THEN_OF_NETWORKS = {"damped_beyond": None}
WITHOUT_NETWORKS = ("planar", "mlp")
THEN_OF_SPLINES = {"logit_bound": None, "tails": "identity", "mixing": "none", "affine": False}
OF_SOME = ("circular",)  # kinds of columns that not every chain can have
OF_DATA = ("event_size", "context_size", "context_network", "support", "circular", "dequantize", "seed")


def names() -> list[str]:
    """Names of the prebuilt chains.

    >>> import tfp_flows as tff
    >>> tff.flows.names()
    ['maf', 'iaf', 'real_nvp', 'nice', 'planar', 'mlp', 'nsf_coupling', 'nsf', 'naf', 'glow']
    """
    return list(CHAINS)


def make(name: str, **options: Any) -> Flow:
    """The prebuilt chain of that name: `make("maf", event_size=2)` is `maf(event_size=2)`.

    Raises:
      InputError: for an unknown name or option, with those that there are.

    >>> import tfp_flows as tff
    >>> tff.make("nice", event_size=4, num_layers=2).event_size
    4
    """
    known = list(_parameters(name))
    unknown = [option for option in options if option not in known]
    if unknown or "event_size" not in options:
        if unknown and unknown[0] in OF_SOME:
            able = [other for other in CHAINS if unknown[0] in inspect.signature(CHAINS[other]).parameters]
            raise InputError(f"flow must be {' or '.join(able)} to have {unknown[0]} columns; got {name!r}.")
        problem = f"got {in_short(unknown[0])}" if unknown else "event_size is missing"
        raise InputError(f"{name} takes the options {', '.join(known)}; {problem}.")
    return CHAINS[name](**options)


def defaults(name: str) -> dict[str, Any]:
    """The options that a chain has by itself, but for those of the data; `InputError` for an unknown name."""
    return {option: p.default for option, p in _parameters(name).items() if option not in OF_DATA}


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    if name not in CHAINS:
        raise InputError(f"flow must be one of {', '.join(CHAINS)}; got {in_short(name)}.")
    return inspect.signature(CHAINS[name]).parameters


def load(folder: str | PathLike, *, into: Flow | None = None) -> Flow:
    """The flow that `flow.save(folder)` wrote, equal to the last bit. Nothing that is read can run code.

    Args:
      folder: where it is; those of version 0.1 are read too.
      into: a flow to read into, of the same layers. It is needed where a layer could not be written down, as one with
        a function, or a network, of your own. What such a part of the other flow makes of fixed numbers is compared.

    Raises:
      InputError: if the folder holds no flow, one that was damaged or edited, or another than `into`.

    Example:

    >>> import tempfile, tfp_flows as tff
    >>> flow = tff.maf(event_size=2, num_layers=2, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     flow.save(folder)
    ...     again = tff.load(folder)
    >>> bool((again.sample(3, seed=0) == flow.sample(3, seed=0)).numpy().all())
    True
    """
    check_path(folder=folder)
    state = read_state(folder)
    if into is not None:
        put_into(into, state)
        return into
    if state.config_0_1 is not None:
        return restored(state, lambda: make(**_of_version_0_1(state.config_0_1)))
    return restored(state, lambda: make_from(state.recipe))


def _of_version_0_1(config: dict[str, Any]) -> dict[str, Any]:
    """A recipe with the options that it could not have yet, as they were then."""
    name = config.get("name")
    of_networks = {} if name in WITHOUT_NETWORKS else THEN_OF_NETWORKS
    config = THEN | of_networks | (THEN_OF_SPLINES if name == "nsf_coupling" else {}) | config
    orders = config.pop("permutation", None)  # between the layers
    return config if orders is None else config | {"mixing": [None, *orders]}
