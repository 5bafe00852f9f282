"""Columns that are not the whole line, as a run takes them: by names, or proposed, and what that is to a chain."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfp_flows.checks import check_flags, in_short
from tfp_flows.errors import InputError

if TYPE_CHECKING:
    from tfp_flows.datasets import Table

__all__ = ["chain_options", "column_settings", "positions"]


def column_settings(support: Any, dequantize: Any, auto: Any) -> dict[str, Any]:
    """`support`, `dequantize` and `auto` as JSON has them, those that are given; their columns are looked up later."""
    check_flags(auto=auto)
    if not isinstance(support, (Mapping, type(None))):
        raise InputError(f"support must be a dict, as in {{'price': (0, None)}}; got {in_short(support)}.")
    if dequantize is not None and not (
        isinstance(dequantize, (list, tuple)) and all(isinstance(column, (str, int)) for column in dequantize)
    ):
        raise InputError(f"dequantize must be a list of names and numbers; got {in_short(dequantize)}.")
    ends = support and {str(key): list(pair) if isinstance(pair, tuple) else pair for key, pair in support.items()}
    settings = {"support": ends, "dequantize": dequantize and list(dequantize), "auto": bool(auto)}
    return {name: value for name, value in settings.items() if value}


def chain_options(settings: dict[str, Any], table: "Table", is_law: bool) -> dict[str, Any]:
    """What those settings say to a chain, whose columns are those of the table, by their numbers from 0."""
    from tfp_flows import datasets
    from tfp_flows.flows.ends import check_ends

    named = settings.get("support") or {}
    known = table.columns or ()
    keys = [int(key) if key.isdecimal() and key not in known else key for key in named]
    places = positions("support", keys, table)
    whole = sorted(set(positions("dequantize", settings.get("dequantize") or [], table)))
    for place, name in zip(places, named, strict=True):
        if places.count(place) > 1:
            raise InputError(f"support must have one pair for each column; got {in_short(name)}, which has two.")
        check_ends(name, named[name], place in whole)
    support = dict(zip(places, named.values(), strict=True))
    if settings.get("auto"):
        if is_law:
            raise InputError(f"auto must have the rows of a file to look at; {table.name} is a law of the whole plane.")
        proposal, spared = datasets.propose(table), {*support, *whole}
        for place, sentence in proposal.reasons.items():
            if place not in spared:
                print(f"{table.name}: {sentence}", file=sys.stderr)
        support |= {i: ends for i, ends in proposal.get("support", {}).items() if i not in spared}
        whole += [i for i in proposal.get("dequantize", []) if i not in spared]
    return ({"support": support} if support else {}) | ({"dequantize": sorted(whole)} if whole else {})


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
