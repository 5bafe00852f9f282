"""What every prebuilt chain has in common: standardised data, permutations, batch norm, and its own recipe."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors import BatchNorm, Permute, RecomputingChain, ReversibleChain, Standardize
from tfp_flows.checks import check_dtype, check_flags, check_hidden_units, check_sizes
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.networks.dense import random_generator
from tfp_flows.recipe import spend

__all__ = ["build_chain", "check_coupling"]

tfb = tfp.bijectors


def build_chain(
    name: str,
    options: dict[str, Any],
    make_layer: Callable[[int, int], tfb.Bijector | list[tfb.Bijector]],
    last: Sequence[tfb.Bijector] = (),
) -> Flow:
    """The flow `x <- Standardize <- layer0 <- Permute <- layer1 ...`, with batch norm after every second layer.

    Args:
      name: the chain's name for `tff.make`.
      options: the arguments that the chain was asked for; with the permutations written out they become its config.
      make_layer: `(i, seed) -> bijector` or a list of them, the data's end first.
      last: bijectors at the latent end.
    """
    event_size, num_layers, dtype = options["event_size"], options["num_layers"], options["dtype"]
    check_sizes(event_size=event_size, num_layers=num_layers, context_size=options["context_size"])
    check_dtype(dtype)
    check_flags(**{name: options[name] for name in ("batch_norm", "recompute", "reversible") if name in options})
    spend(event_size * num_layers)
    rng = random_generator(options["seed"])
    if "hidden_units" in options:
        check_hidden_units(options["hidden_units"])
    config = {"name": name, **options}
    permutations = [None] * num_layers
    if "permutation" in options:
        permutations = _permutations(options["permutation"], event_size, num_layers - 1, rng)
        config["permutation"] = permutations
    if "hidden_units" in options:
        config["hidden_units"] = list(options["hidden_units"])
    layers = [Standardize(event_size, dtype=dtype)]
    for i in range(num_layers):
        made = make_layer(i, int(rng.integers(2**31)))
        layers += made if isinstance(made, list) else [made]
        if options.get("batch_norm") and i % 2 == 0:
            layers.append(BatchNorm(event_size, dtype=dtype, name=f"batch_norm{i}"))
        if i < num_layers - 1 and permutations[i] is not None and event_size > 1:
            layers.append(Permute(permutations[i], name=f"permute{i}"))
    return Flow(
        [*layers, *last],
        event_size=event_size,
        context_size=options["context_size"],
        dtype=dtype,
        chain=_chain_of(options),
        config=config,
    )


def _chain_of(options: dict[str, Any]) -> Callable[[list[tfb.Bijector]], tfb.Bijector]:
    """What chains the layers: the option decides what their gradient keeps in memory."""
    if options.get("reversible") and options.get("batch_norm"):
        raise InputError(
            "reversible=True needs batch_norm=False, as a batch's own statistics cannot be undone; got batch_norm=True."
        )
    if options.get("reversible"):
        return ReversibleChain
    return RecomputingChain if options.get("recompute") else tfb.Chain


def check_coupling(name: str, event_size: int) -> None:
    """Raises `InputError` where there is no second half to transform."""
    check_sizes(event_size=event_size)
    if event_size == 1:
        raise InputError(
            f"{name} needs event_size of at least 2, as one half of a row conditions the other; got 1: "
            "use mlp or planar for one dimension."
        )


def _permutations(
    permutation: str | Sequence[Sequence[int]], event_size: int, count: int, rng: np.random.Generator
) -> list[list[int] | None]:
    """One permutation of 0..D-1 between each two layers, written out; None keeps the order."""
    if isinstance(permutation, str):
        makers = {
            "reverse": lambda: list(range(event_size))[::-1],
            "random": lambda: _shuffled(event_size, rng),
            "none": lambda: None,
        }
        if permutation not in makers:
            raise InputError(f"permutation must be reverse, random, none or a list of them; got {permutation!r}.")
        return [makers[permutation]() for _ in range(count)]
    if isinstance(permutation, np.ndarray):
        permutation = permutation.tolist()
    if not isinstance(permutation, (list, tuple)):
        raise InputError(f"permutation must be reverse, random, none or a list of them; got {permutation!r}.")
    if len(permutation) != count:
        raise InputError(f"permutation must list {count} of them, one between each two layers; got {len(permutation)}.")
    for p in permutation:
        if p is not None and (np.asarray(p).dtype.kind not in "iu" or sorted(np.ravel(p)) != list(range(event_size))):
            raise InputError(f"permutation must list permutations of 0..{event_size - 1}; got {p!r}.")
    return [None if p is None else np.ravel(p).tolist() for p in permutation]


def _shuffled(event_size: int, rng: np.random.Generator) -> list[int]:
    """A random permutation other than the identity, which would leave one half of a coupling flow as it is."""
    natural = list(range(event_size))
    while event_size > 1:
        shuffled = rng.permutation(event_size).tolist()
        if shuffled != natural:
            return shuffled
    return natural
