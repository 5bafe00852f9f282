"""What a chain chooses for the options that are left to it, None: circular columns decide."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["WORDS", "chosen"]

ON_LINES = {"mixing": "linear", "affine": True, "tails": "free", "interval": 3.0}
BESIDE_CIRCLES = {"mixing": "reverse", "affine": False, "tails": "equal", "interval": 6.0}
WORDS = {  # what None is, as the chains' docstrings say it
    "mixing": 'None is "linear", or "reverse" with circular columns.',
    "tails": 'None is "free", or "equal" with circular columns.',
    "interval": "None is 3.0, or 6.0 with circular columns, beside which nothing else moves mass across an end.",
    "affine": "None is True, or False with circular columns.",
}


def chosen(options: Mapping[str, Any], left: Sequence[str]) -> dict[str, Any]:
    """What the options among `left` are that are None."""
    circular = options.get("circular")
    is_circular = circular is not None and not (isinstance(circular, Mapping) and not circular)
    choices = BESIDE_CIRCLES if is_circular else ON_LINES
    return {option: choices[option] for option in left if options[option] is None}
