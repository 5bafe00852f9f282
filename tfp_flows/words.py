"""Words of sentences to users: values in short, and how many there are of something."""

from typing import Any

__all__ = ["in_short", "loss_in_words", "plural", "reason_of"]

MOST_LETTERS = 100  # of a value in a sentence


def in_short(value: Any) -> str:
    """`repr(value)`, or what fits into a sentence of it: its first line, and so many letters of that."""
    try:
        lines = repr(value).strip().splitlines() or [""]
    except Exception:  # an object of the user's may have no words for itself
        lines = [f"a {type(value).__name__}"]
    first = lines[0].rstrip(" ,")
    if len(first) > MOST_LETTERS:
        return f"{first[: MOST_LETTERS - 12]} … {first[-9:]}" if len(lines) == 1 else f"{first[: MOST_LETTERS - 2]} …"
    return first if len(lines) == 1 else f"{first} …"


def reason_of(error: BaseException) -> str:
    """What fits into a sentence of what an error says, or its kind if it says nothing."""
    lines = str(error).strip().rstrip(".").splitlines()
    return lines[0][: MOST_LETTERS + 50] if lines else type(error).__name__


def loss_in_words(name: str) -> str:
    """What sentences call a loss that logs call `name`: NLL, KL, negative ELBO."""
    *before, last = name.split("_")
    return " ".join([*before, last.upper()])


def plural(count: int, noun: str) -> str:
    """`1 row`, `2 rows`; the noun's last word is the one that is counted."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
