"""JSON objects in files, written whole or not at all, and read with one sentence for whatever is wrong."""

import json
from pathlib import Path
from typing import Any

from tfp_flows.atomic import atomic_path
from tfp_flows.errors import InputError

__all__ = ["as_json", "parsed_json", "read_json", "write_json"]


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all."""
    with atomic_path(path, force=True) as scratch:
        scratch.write_text(as_json(facts) + "\n", encoding="utf-8")


def as_json(facts: Any) -> str:
    """The text that `write_json` writes; TypeError or ValueError for what JSON does not have."""
    return json.dumps(facts, indent=2, default=_plain)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, and the dictionaries of modules, which TensorFlow wraps."""
    return value.item() if hasattr(value, "item") else dict(value)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from disk; `InputError` if there is none."""
    try:
        return parsed_json(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise InputError(f"{path.parent} holds no run: {path.name} is missing.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def parsed_json(text: bytes, origin: str) -> dict[str, Any]:
    """The JSON object in a text; `InputError`, which calls it `origin`, if there is none."""
    try:
        found = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin} cannot be read: {str(error)[:100]}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{origin} must hold a JSON object; got {type(found).__name__}.")
    return found
