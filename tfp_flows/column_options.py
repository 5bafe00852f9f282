"""Columns that are not the whole line, as a run takes them: by names, or proposed, and what that is to a chain."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tfp_flows.checks import check_flags
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

if TYPE_CHECKING:
    from tfp_flows.datasets import Table

__all__ = ["chain_options", "column_settings", "positions"]


def column_settings(support: Any, circular: Any, dequantize: Any, auto: Any) -> dict[str, Any]:
    """`support`, `circular`, `dequantize` and `auto` as JSON has them, those that are given.

    Their columns are looked up later.
    """
    check_flags(auto=auto)
    if not isinstance(support, (Mapping, type(None))):
        raise InputError(f"support must be a dict, as in {{'price': (0, None)}}; got {in_short(support)}.")
    if not isinstance(circular, (Mapping, type(None))):
        raise InputError(f"circular must be a dict, as in {{'hour': 24}}; got {in_short(circular)}.")
    if dequantize is not None and not (
        isinstance(dequantize, (list, tuple)) and all(isinstance(column, (str, int)) for column in dequantize)
    ):
        raise InputError(f"dequantize must be a list of names and numbers; got {in_short(dequantize)}.")
    settings = {"support": _written(support), "circular": _written(circular)}
    settings |= {"dequantize": dequantize and list(dequantize), "auto": bool(auto)}
    return {name: value for name, value in settings.items() if value}


def _written(named: Mapping[Any, Any] | None) -> dict[str, Any] | None:
    return named and {str(key): list(value) if isinstance(value, tuple) else value for key, value in named.items()}


def chain_options(settings: dict[str, Any], table: "Table", is_law: bool) -> dict[str, Any]:
    """What those settings say to a chain, whose columns are those of the table, by their numbers from 0."""
    from tfp_flows import datasets
    from tfp_flows.flows.circles import check_period
    from tfp_flows.flows.ends import check_ends

    whole = sorted(set(positions("dequantize", settings.get("dequantize") or [], table)))
    support = _by_place("support", settings, table, whole, check_ends)
    circular = _by_place("circular", settings, table, whole, check_period)
    both = [name for name in settings.get("support") or {} if circular.keys() & set(_places("support", [name], table))]
    if both:
        raise InputError(f"support must be of other columns than circular; got {in_short(both[0])} in both.")
    if settings.get("auto"):
        if is_law:
            raise InputError(f"auto must have the rows of a file to look at; {table.name} is a law of the whole plane.")
        proposal, spared = datasets.propose(table), {*support, *circular, *whole}
        for place, sentence in proposal.reasons.items():
            if place not in spared:
                print(f"{table.name}: {sentence}", file=sys.stderr)
        support |= {i: ends for i, ends in proposal.get("support", {}).items() if i not in spared}
        whole += [i for i in proposal.get("dequantize", []) if i not in spared]
    options = {"support": support, "circular": circular, "dequantize": sorted(whole)}
    return {name: value for name, value in options.items() if value}


def _by_place(
    argument: str,
    settings: dict[str, Any],
    table: "Table",
    whole: list[int],
    check: Callable[[str, Any, bool], Any],
) -> dict[int, Any]:
    """What a setting says of columns, which it names, by their numbers from 0."""
    named = settings.get(argument) or {}
    places = _places(argument, list(named), table)
    for place, name in zip(places, named, strict=True):
        if places.count(place) > 1:
            raise InputError(f"{argument} must have one entry for each column; got {name!r}, which has two.")
        check(name, named[name], place in whole)
    return dict(zip(places, named.values(), strict=True))


def _places(argument: str, keys: list[str], table: "Table") -> list[int]:
    """Where the columns stand that a setting has as keys, among which numbers are texts, as in JSON."""
    known = table.columns or ()
    return positions(argument, [int(k) if k.isdecimal() and k not in known else k for k in keys], table)


def positions(argument: str, columns: list[str | int], table: "Table") -> list[int]:
    """Where the columns that an argument names stand in a table: names, or numbers from 1."""
    found = []
    for column in columns:
        known = list(table.columns or ())
        place = known.index(column) if column in known else column - 1 if isinstance(column, int) else -1
        if not 0 <= place < table.rows.shape[1]:
            has = f"{', '.join(known)}" if known else f"{table.rows.shape[1]} without names"
            raise InputError(f"{argument} has {in_short(column)}; the columns of {table.name} are: {has}.")
        found.append(place)
    return found
