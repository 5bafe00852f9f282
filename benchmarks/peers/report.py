"""The section of `benchmarks/README.md` that is written from the results."""

import json
from collections.abc import Iterable
from pathlib import Path

import figures
import tables
from frameworks import HERE

__all__ = ["write"]

README = HERE.parent / "README.md"
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def read(path: Path) -> list[dict]:
    """The latest record of each thing that was measured; an error does not replace a result."""
    latest: dict[tuple, dict] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            key = tuple(record.get(name) for name in ("kind", "case", "work", "framework"))
            if "error" not in record or key not in latest:
                latest[key] = record
    return list(latest.values())


def section(records: list[dict], drawn: Iterable[Path]) -> str:
    """Text, tables and figures."""
    pictures = [f"![{path.stem.replace('_', ' ')}](peers/{path.name})" for path in drawn]
    parts = ["## Beside the peers", tables.introduction(records), *pictures, *tables.all_tables(records)]
    return "\n\n".join(part for part in parts if part)


def write(path: Path) -> None:
    """Draws the figures, and writes the section between its marks, at the end of the page if it has none yet."""
    records = read(path)
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    body = section(records, figures.draw(records))
    README.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")
