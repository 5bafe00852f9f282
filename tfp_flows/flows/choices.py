"""What a chain chooses for the options that are left to it, None: circular columns and linear mixing decide."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["WORDS", "chosen"]

WORDS = {  # what None is, as the chains' docstrings say it
    "mixing": 'None is "linear", or "reverse" with circular columns.',
    "tails": 'None is "free", or "equal" with circular columns.',
    "interval": "None is 3.0, or 6.0 with circular columns, beside which nothing else moves mass across an end.",
    "affine": "None is True, but for circular columns, and for two columns without context that a matrix mixes.",
}


def chosen(options: Mapping[str, Any], left: Sequence[str]) -> dict[str, Any]:
    """What the options among `left` are that are None."""
    circular = options.get("circular")
    is_circular = circular is not None and not (isinstance(circular, Mapping) and not circular)
    found: dict[str, Any] = {}
    if options.get("mixing") is None:
        found["mixing"] = "reverse" if is_circular else "linear"
    is_mixed = (options | found)["mixing"] == "linear" and options["event_size"] == 2
    found["affine"] = not is_circular and not (is_mixed and not options["context_size"])
    found["tails"] = "equal" if is_circular else "free"
    found["interval"] = 6.0 if is_circular else 3.0
    return {option: value for option, value in found.items() if option in left and options[option] is None}
