"""A text becomes a mesh, and the mesh a cloud of points, in Blender.

    text --font--> outlines --fill--> mesh --decimate--> n triangles --draw--> points

Points are uniform inside each triangle: the same number in every one (`points_per_triangle`, as in the
SIGGRAPH cloud), or a given number in all, with chances in proportion to area (`points_by_area`). They come in
face order. Inside triangle i the density is 1 / (n * area[i]), or 1 / (area[1] + ... + area[n]), as long as
the triangles do not overlap. Two ways to run it, with the same result; the first needs a Python with `bpy`:

    python make_points.py --text SIGGRAPH --out cloud.json
    blender --background --factory-startup --python-exit-code 1 \\
        --python make_points.py -- --text SIGGRAPH --out cloud.json

It needs only the standard library (3.10 or later) and Blender (3.4 or later). The input is checked before
Blender is touched: a bad one is one sentence on stderr and exit status 2, and no file changes. The result is
a JSON file, written whole or not at all: `recipe`, `blender` (its version), `triangles` [n, 3, 2], `points`
[m, 2], `triangle_index` [m].

Found out and refused: a character that the font has no glyph for (Blender would draw a box, nothing, or the
glyph of another font, depending on its version), one whose glyph is empty though it is no white space, and a
decimation that loses whole letters.
Not found out: marks that should stack, letters that should join or run from right to left (Blender sets
characters one by one, left to right), and letters that overlap.
"""

import argparse
import json
import numbers
import os
import random
import struct
import sys
from bisect import bisect
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "BadInput",
    "Recipe",
    "check_out",
    "check_recipe",
    "draw_points",
    "font_characters",
    "main",
    "write_whole",
]

Point = tuple[float, float]
Triangle = tuple[Point, Point, Point]

MAX_POINTS = 10_000_000
LEAST_SHARE = 0.9  # of a text's area, that its decimated mesh must keep; SIGGRAPH's keeps 0.976

# What Blender's built-in font has: found by drawing character after character in Blender 3.4, which, unlike
# 4.2, borrows nothing from other fonts.
BUILT_IN_CHARACTERS = {*range(0x20, 0x7F), *range(0xA0, 0x100)} | {
    ord(character) for character in "ıŁłŒœŠšŸŽžƒˆˇˉ˘˙˚˛˜˝μ–—‘’‚“”„†‡•…‰‹›⁄™−∕∙ﬁﬂ"
}


class BadInput(ValueError):
    """An argument that cannot work; its message is one sentence."""


class Recipe(NamedTuple):
    """All that decides a cloud; `points_by_area`, if given, takes the place of `points_per_triangle`."""

    text: str
    font: str | None = None
    size: float = 1.0
    resolution: int = 12
    decimate: float = 0.2
    points_per_triangle: int | None = 100
    points_by_area: int | None = None
    seed: int = 0


# --- Checks, before Blender is touched.


def check_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe in plain types; raise `BadInput` for what Blender would clamp, cut or not draw.

    >>> check_recipe(Recipe("SIGGRAPH", decimate=0))
    Traceback (most recent call last):
    ...
    make_points.BadInput: decimate 0 does not work: give a number from 0.0001 to 1
    """
    _check_text(recipe.text)
    _check_glyphs(recipe.text, recipe.font)
    mode = "points_per_triangle" if recipe.points_by_area is None else "points_by_area"
    count = _whole(mode, getattr(recipe, mode), 1, MAX_POINTS)
    return Recipe(
        text=recipe.text,
        font=None if recipe.font is None else str(recipe.font),
        size=_real("size", recipe.size, 0.0001, 10_000),  # Blender's own limits
        resolution=_whole("resolution", recipe.resolution, 1, 1024),  # these too
        decimate=_real("decimate", recipe.decimate, 0.0001, 1),
        points_per_triangle=count if mode == "points_per_triangle" else None,
        points_by_area=count if mode == "points_by_area" else None,
        seed=_whole("seed", recipe.seed, 0, 2**63 - 1),
    )


def check_out(out: str | os.PathLike[str], suffix: str, *, force: bool = False) -> Path:
    """Return `out` as a path that can be written, or raise `BadInput`; an existing file needs `force`."""
    path = Path(out)
    if path.is_dir():
        raise BadInput(f"out {str(path)!r} is a folder: name a file in it")
    if path.suffix != suffix:
        raise BadInput(f"out {str(path)!r} does not end in {suffix}: give it that ending")
    if not path.parent.is_dir():
        raise BadInput(f"out {str(path)!r} is in no folder that exists: make {str(path.parent)!r} first")
    if not os.access(path.parent, os.W_OK):
        raise BadInput(f"out {str(path)!r} is in a read-only folder: name a file in another one")
    if path.exists() and not force:
        raise BadInput(f"out {str(path)!r} exists: name another file, or overwrite this one with force")
    return path


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise BadInput(f"text {text!r} is not a string: give the characters to draw")
    if not text.strip():
        raise BadInput(f"text {text!r} is blank: give at least one character that can be seen")
    if "\0" in text:
        raise BadInput(f"text {text!r} has a NUL character, where Blender would cut it: leave it out")


def _check_glyphs(text: str, font: str | None) -> None:
    known = BUILT_IN_CHARACTERS if font is None else font_characters(font)
    where = "Blender's built-in font" if font is None else f"font {str(font)!r}"
    for character in text.replace("\n", ""):  # Blender breaks the line there, and draws all the others
        if ord(character) not in known:
            named = _named(character)
            raise BadInput(f"text {text!r} has {named}, missing in {where}: give a font that has it")


def _named(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"


def _real(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:  # NaN too
        raise BadInput(f"{name} {value!r} does not work: give a number from {low} to {high}")
    return float(value)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not low <= value <= high:
        raise BadInput(f"{name} {value!r} does not work: give a whole number from {low} to {high}")
    return int(value)


# --- The characters of a font.


def font_characters(font: str | os.PathLike[str]) -> set[int]:
    """Return the code points that a TrueType or OpenType font (.ttf, .otf, .ttc) has a glyph for.

    They are those of the Unicode subtable of its `cmap` table, in format 12 or else 4; of the first font in a
    collection, as in Blender. `BadInput` if the file is missing, unreadable, a folder, or no such font.
    """
    path = Path(font)
    wanted = "give the path of a .ttf, .otf or .ttc file"
    if not path.exists():
        raise BadInput(f"font {str(path)!r} does not exist: {wanted}")
    if not path.is_file():
        raise BadInput(f"font {str(path)!r} is not a file: {wanted}")
    if not os.access(path, os.R_OK):
        raise BadInput(f"font {str(path)!r} may not be read: {wanted} that may")
    try:
        return _read_cmap(path.read_bytes())
    except (struct.error, LookupError):
        raise BadInput(f"font {str(path)!r} is no TrueType or OpenType font of Unicode: {wanted}") from None


def _read_cmap(data: bytes) -> set[int]:
    start = struct.unpack_from(">L", data, 12)[0] if data[:4] == b"ttcf" else 0
    kind, table_count = struct.unpack_from(">4sH", data, start)
    if kind not in (b"\0\1\0\0", b"OTTO", b"true"):
        raise LookupError(kind)
    tables = dict(struct.unpack_from(">4s4xL", data, start + 12 + 16 * i) for i in range(table_count))
    cmap = tables[b"cmap"]
    subtables = {}
    for i in range(struct.unpack_from(">H", data, cmap + 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHL", data, cmap + 4 + 8 * i)
        if platform == 0 or (platform == 3 and encoding in (1, 10)):  # Unicode, by Apple and by Microsoft
            subtables[struct.unpack_from(">H", data, cmap + offset)[0]] = cmap + offset
    return _read_format_12(data, subtables[12]) if 12 in subtables else _read_format_4(data, subtables[4])


def _read_format_12(data: bytes, at: int) -> set[int]:
    found = set()
    for i in range(struct.unpack_from(">L", data, at + 12)[0]):
        first, last, glyph = struct.unpack_from(">3L", data, at + 16 + 12 * i)
        skipped = 1 if glyph == 0 else 0  # glyph 0 is the font's picture of "missing"
        found.update(range(first + skipped, min(last, sys.maxunicode) + 1))
    return found


def _read_format_4(data: bytes, at: int) -> set[int]:
    count = struct.unpack_from(">H", data, at + 6)[0] // 2
    columns = (at + 14, at + 16 + 2 * count, at + 16 + 4 * count, at + 16 + 6 * count)
    lasts, firsts, deltas, offsets = (struct.unpack_from(f">{count}H", data, column) for column in columns)
    found = set()
    for i in range(count):
        for code in range(firsts[i], min(lasts[i], 0xFFFE) + 1):  # 0xFFFF only marks the end of the table
            glyph = code
            if offsets[i]:  # counted in bytes from where this offset itself is stored
                place = columns[3] + 2 * i + offsets[i] + 2 * (code - firsts[i])
                glyph = struct.unpack_from(">H", data, place)[0]
            if (glyph or not offsets[i]) and (glyph + deltas[i]) % 0x10000:
                found.add(code)
    return found


# --- The mesh, by Blender's data API: its operators want a screen.


def build_mesh(recipe: Recipe) -> list[Triangle]:
    """Return the triangles of the text, decimated, in Blender's face order.

    Raises `BadInput` for a font that Blender refuses, an empty glyph, and a mesh that lost more than a tenth of its
    area. The last is what becomes of straight letters: they have few triangles, and Blender drops some whole.
    """
    font = _load_font(recipe.font)
    for character in sorted(set("".join(recipe.text.split()))):
        if not _triangles(_text_mesh(recipe, character, font), 1.0):
            raise BadInput(f"text {recipe.text!r} has {_named(character)}, an empty glyph: leave it out")
    mesh = _text_mesh(recipe, recipe.text, font)
    triangles = _triangles(mesh, recipe.decimate)
    kept = _share(triangles, mesh)
    if kept < LEAST_SHARE:
        ratios = (k / 10 for k in range(1, 11) if k / 10 > recipe.decimate)
        enough = next(ratio for ratio in ratios if _share(_triangles(mesh, ratio), mesh) >= LEAST_SHARE)
        lost = f"loses {1 - kept:.0%} of the area of text {recipe.text!r}"
        raise BadInput(f"decimate {recipe.decimate} {lost}: give {enough} or more, up to 1")
    return triangles


def _triangles(mesh: Any, decimate: float) -> list[Triangle]:
    """Return the triangles that have an area: Blender closes some letters with a pair of flat ones."""
    decimated = _evaluated(mesh, decimate=decimate)
    decimated.calc_loop_triangles()
    corners = [(vertex.co.x, vertex.co.y) for vertex in decimated.vertices]
    faces = [tuple(corners[k] for k in face.vertices) for face in decimated.loop_triangles]
    return [face for face in faces if area(face) > 0]


def _share(triangles: list[Triangle], mesh: Any) -> float:
    return sum(map(area, triangles)) / sum(map(area, _triangles(mesh, 1.0)))


def area(triangle: Triangle) -> float:
    """Return |(b - a) x (c - a)| / 2.

    >>> area(((0.0, 0.0), (3.0, 0.0), (0.0, 2.0)))
    3.0
    """
    (ax, ay), (bx, by), (cx, cy) = triangle
    return abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2


def _load_font(font: str | None) -> Any:
    import bpy

    if font is None:
        return None
    try:
        return bpy.data.fonts.load(str(Path(font).resolve()))
    except RuntimeError as error:
        raise BadInput(f"font {font!r} is refused by Blender: {' '.join(str(error).split())}") from None


def _text_mesh(recipe: Recipe, text: str, font: Any) -> Any:
    import bpy

    curve = bpy.data.curves.new("text", type="FONT")
    curve.body, curve.size, curve.resolution_u = text, recipe.size, recipe.resolution
    if font is not None:
        curve.font = font
    return _evaluated(curve)


def _evaluated(shape: Any, decimate: float | None = None) -> Any:
    """Return a new mesh of a curve or a mesh."""
    import bpy

    thing = bpy.data.objects.new("thing", shape)
    bpy.context.scene.collection.objects.link(thing)
    if decimate is not None:
        thing.modifiers.new("decimate", type="DECIMATE").ratio = decimate  # in its default mode, COLLAPSE
    mesh = bpy.data.meshes.new_from_object(thing.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    bpy.data.objects.remove(thing)
    return mesh


# --- The points, by Python's own generator: a mesh and a seed give the same points on every machine.


def draw_points(triangles: list[Triangle], recipe: Recipe) -> tuple[list[Point], list[int]]:
    """Draw points in face order; return them and the index of each one's triangle, both [m].

    >>> triangle = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    >>> points, index = draw_points([triangle, triangle], Recipe("any", points_per_triangle=3))
    >>> index
    [0, 0, 0, 1, 1, 1]
    >>> all(x >= 0 and y >= 0 and x + y <= 1 for x, y in points)
    True
    """
    rng = random.Random(recipe.seed)
    if recipe.points_by_area is None:
        index = _index_per_triangle(len(triangles), recipe.points_per_triangle)
    else:
        sums = list(accumulate(map(area, triangles)))
        index = sorted(bisect(sums, rng.random() * sums[-1]) for _ in range(recipe.points_by_area))
    return [_draw_point(rng, triangles[i]) for i in index], index


def _index_per_triangle(count: int, each: int) -> list[int]:
    if count * each > MAX_POINTS:
        most = MAX_POINTS // count
        raise BadInput(f"points_per_triangle {each} is too many for {count} triangles: give {most} or fewer")
    return [i for i in range(count) for _ in range(each)]


def _draw_point(rng: random.Random, triangle: Triangle) -> Point:
    # Two cuts of [0, 1] leave three pieces that are uniform as the weights of the corners.
    (ax, ay), (bx, by), (cx, cy) = triangle
    low, high = sorted((rng.random(), rng.random()))
    a, b, c = low, high - low, 1 - high
    return a * ax + b * bx + c * cx, a * ay + b * by + c * cy


# --- The command.


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside its place first, then into it in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    """Run the command; return its exit status: 2, after one sentence on stderr, for a bad input."""
    options = vars(_parser().parse_args(argv))
    out, force = options.pop("out"), options.pop("force")
    try:
        path = check_out(out, ".json", force=force)
        result = make_cloud(check_recipe(Recipe(**options)))
    except BadInput as error:
        print(f"make_points.py: error: {error}", file=sys.stderr)
        return 2
    write_whole(path, json.dumps(result, allow_nan=False).encode())
    return 0


def make_cloud(recipe: Recipe) -> dict[str, Any]:
    """Return what the JSON file holds; the font by its name, since a recipe is read on other machines."""
    import bpy

    triangles = build_mesh(recipe)
    points, index = draw_points(triangles, recipe)
    font = None if recipe.font is None else Path(recipe.font).name
    return {
        "recipe": recipe._replace(font=font)._asdict(),
        "blender": bpy.app.version_string,
        "triangles": triangles,
        "points": points,
        "triangle_index": index,
    }


def _parser() -> argparse.ArgumentParser:
    usual = Recipe._field_defaults
    parser = argparse.ArgumentParser(
        prog="make_points.py",
        description="Draw a text in Blender, and points in its triangles.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--text", required=True, help="what to draw; --text=-x if it begins with a dash")
    add("--out", required=True, help="the .json file to write")
    add("--force", action="store_true", help="overwrite that file if it exists")
    add("--font", help="a .ttf, .otf or .ttc file; Blender's built-in font if not given")
    add("--size", type=float, default=usual["size"], help="of the letters, in Blender units")
    add("--resolution", type=int, default=usual["resolution"], help="steps along each curve")
    add("--decimate", type=float, default=usual["decimate"], help="share of the triangles to keep")
    add("--seed", type=int, default=usual["seed"], help="of the points")
    add = parser.add_mutually_exclusive_group().add_argument
    each = usual["points_per_triangle"]
    add("--points-per-triangle", type=int, default=each, help="in every one, large or small")
    add("--points-by-area", type=int, help="instead: so many points, uniform over the whole text")
    return parser


if __name__ == "__main__":
    after_blender = sys.argv.index("--") + 1 if "--" in sys.argv else 1  # Blender's own arguments come first
    sys.exit(main(sys.argv[after_blender:]))
