"""What every prebuilt chain has in common: standardised data, permutations, batch norm, its own recipe, its words."""

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors import BatchNorm, Permute, RecomputingChain, ReversibleChain, Standardize, Support
from tfp_flows.checks import check_dtype, check_flags, check_hidden_units, check_sizes
from tfp_flows.elementwise.spline import MOST_BINS
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.flows.ends import Ends, ends_of, written
from tfp_flows.networks.dense import random_generator
from tfp_flows.recipe import spend
from tfp_flows.whole import check_columns

__all__ = ["Ends", "LayerMaker", "check_bins", "check_coupling", "check_no_context", "prebuilt"]

tfb = tfp.bijectors
P = ParamSpec("P")

# Of layer i: from its number, and the arguments of its network (seed and name too), its bijectors, the data's end first
LayerMaker = Callable[[int, dict[str, Any]], tfb.Bijector | list[tfb.Bijector]]

# The arguments that chains share, as every one of them explains them.
ARGUMENTS = {
    "event_size": "D, at least 1.",
    "hidden_units": "sizes of the hidden layers of each network.",
    "activation": 'of the networks: "silu", "tanh", "softplus", "gelu", "elu" or "relu".',
    "context_size": "size of the conditional input, 0 for none.",
    "batch_norm": "whether batch normalisation follows every second layer, as in the tutorial.",
    "permutation": 'between layers: "reverse", "random", "none", or a list of permutations of 0..D-1.',
    "num_bins": "bins of each spline, 2 to 500.",
    "interval": "B: the splines act on [-B, B] of standardised data, and leave what is outside as it is.",
    "logit_bound": "smooth bound on the absolute logits of the bins' sizes, which keeps rounding small; None for none, "
    "as in version 0.1.",
    "log_scale_bound": "smooth bound on the absolute log-scale of each layer.",
    "recompute": "whether the gradient computes about sqrt(num_layers) segments of layers again instead of keeping "
    "them: training then takes less memory, and more time a step.",
    "reversible": "whether the gradient recomputes each layer's input by its inverse instead of keeping it: training "
    "then takes memory that does not grow with the depth, and more time a step; not with batch_norm.",
    "support": "ends of columns that are not the whole line, by their numbers from 0: {0: (0.0, None)} where the first "
    "is positive; the ends are outside, None is open, and log p is -inf beyond. Of whole numbers they are the least "
    "and the largest.",
    "dequantize": "columns of whole numbers, by their numbers from 0: trained with fresh uniform noise of [0, 1) in "
    "every batch; log_prob is then a lower bound of the log-probability, and samples are whole.",
    "seed": "integer that fixes the initial weights and random permutations.",
    "dtype": '"float32" or "float64".',
}
NETWORK = ("hidden_units", "activation", "context_size", "dtype")  # what a chain hands on to its networks


def prebuilt(make_layers: Callable[P, LayerMaker | tuple[LayerMaker, list[tfb.Bijector]]]) -> Callable[P, Flow]:
    """The chain `x <- Standardize <- layer0 <- Permute <- layer1 ...`, with batch norm after every second layer.

    Columns that are not the whole line have a `Support` before that.

    It decorates a function that has the name and the arguments of the chain, and returns what makes a layer, alone or
    with a list of bijectors for the latent end. Its docstring explains the arguments that are its own, under `Args:`;
    the others get their words from here.
    """
    signature = inspect.signature(make_layers)

    @functools.wraps(make_layers)
    def chain(*args: P.args, **kwargs: P.kwargs) -> Flow:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{make_layers.__name__}() {error}") from None
        given.apply_defaults()
        layers = make_layers(**given.arguments)
        return _build(make_layers.__name__, given.arguments, *(layers if isinstance(layers, tuple) else (layers,)))

    chain.__signature__ = signature.replace(return_annotation=Flow)
    chain.__doc__ = _explained(make_layers.__doc__, list(signature.parameters))
    return chain


def _explained(doc: str | None, names: Sequence[str]) -> str | None:
    """A docstring whose `Args:` explains all the arguments, in their order."""
    if doc is None:  # python -OO
        return None
    head, _, rest = inspect.cleandoc(doc).partition("Args:\n")
    own, _, tail = rest.partition("\n\n")
    blocks = re.split(r"\n(?=  \w)", own)
    explained = {block.strip().partition(":")[0]: block for block in blocks}
    for name in names:
        words = textwrap.fill(f"{name}: {ARGUMENTS.get(name)}", 116, initial_indent="  ", subsequent_indent="    ")
        explained.setdefault(name, words)
    args = "\n".join(explained[name] for name in names)
    return f"{head}Args:\n{args}\n\n{tail}\n"


def _build(name: str, options: dict[str, Any], make_layer: LayerMaker, last: Sequence[tfb.Bijector] = ()) -> Flow:
    """The flow of a chain with those options; with the permutations written out they become its config."""
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
    network = {k: options[k] for k in NETWORK if k in options}
    whole = check_columns(options["dequantize"], event_size)
    ends = ends_of(options["support"], whole, event_size)
    config["support"] = written(options["support"])
    config["dequantize"] = list(whole)
    layers = [] if ends is None else [Support(*ends, dtype=dtype)]
    layers.append(Standardize(event_size, dtype=dtype))
    for i in range(num_layers):
        made = make_layer(i, {**network, "seed": int(rng.integers(2**31)), "name": f"{name}{i}"})
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
        **({"dequantize": whole} if whole else {}),
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


def check_bins(num_bins: int) -> None:
    """Raises `InputError` for a number of bins that no spline can have."""
    check_sizes(num_bins=num_bins)
    if not 2 <= num_bins <= MOST_BINS:
        raise InputError(f"num_bins must be from 2 to {MOST_BINS}; got {num_bins!r}.")


def check_no_context(name: str, context_size: int) -> None:
    """Raises `InputError` for a context that no network is there to take."""
    check_sizes(context_size=context_size)
    if context_size:
        raise InputError(f"{name} has no network to take a context: context_size must be 0; got {context_size!r}.")


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
