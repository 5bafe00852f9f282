"""Point clouds of a text: what is refused, what is shipped, and what a real Blender makes."""

import importlib.util
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font

from tfp_flows.datasets import blender
from tfp_flows.datasets.blender import blender_folder, load_points, make_points
from tfp_flows.errors import InputError

SHIPPED = blender_folder() / "siggraph.npz"
SANS = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
# A "last resort" font (cmap format 13) has nothing but pictures of "missing": for us it has no characters at all.
FONTS = sorted(path for path in SANS.parent.glob("*.ttf") if not path.name.startswith("LastResort"))
script = blender._script()


def areas(triangles):
    (ux, uy), (vx, vy) = (triangles[:, 1] - triangles[:, 0]).T, (triangles[:, 2] - triangles[:, 0]).T
    return np.abs(ux * vy - uy * vx) / 2


def count_triangles(points, triangles):
    """Return how many triangles each point is strictly inside of."""
    edges = np.roll(triangles, -1, axis=1) - triangles
    offsets = points[:, None, None].astype(np.float64) - triangles
    sides = np.sign(edges[..., 0] * offsets[..., 1] - edges[..., 1] * offsets[..., 0])
    return (np.abs(sides.sum(axis=2)) == 3).sum(axis=1)


def barycentric(cloud):
    a, b, c = np.moveaxis(cloud.triangles[cloud.triangle_index], 1, 0)
    v, w = np.linalg.solve(np.stack([b - a, c - a], axis=2), (cloud.points - a)[..., None])[..., 0].T
    return np.stack([1 - v - w, v, w], axis=1)


# --- The shipped cloud.


def test_shipped_mesh_has_the_known_facts():
    cloud = load_points(SHIPPED)
    area = areas(cloud.triangles)
    assert cloud.triangles.shape == (98, 3, 2)
    assert area.sum() == pytest.approx(1.122063, abs=5e-7)
    assert np.log(98 * area).mean() == pytest.approx(-0.094699, abs=5e-7)
    assert cloud.recipe["text"] == "SIGGRAPH"
    assert cloud.recipe["blender"].startswith("4.2.23")


def test_shipped_points_have_the_known_bounds():
    points = load_points(SHIPPED).points
    assert points.shape == (9800, 2)
    np.testing.assert_allclose(points.min(axis=0), [0.0400, -0.0088], atol=0.01)
    np.testing.assert_allclose(points.max(axis=0), [4.6218, 0.6963], atol=0.01)


def test_shipped_triangles_do_not_overlap():
    cloud = load_points(SHIPPED)
    count = count_triangles(cloud.points, cloud.triangles)
    assert count.max() == 1  # the density 1 / (98 area) and its entropy are exact
    assert count.mean() > 0.999  # the others are on an edge, to the rounding of float32


def test_shipped_points_come_from_the_shipped_recipe():
    cloud = load_points(SHIPPED)
    recipe = script.Recipe(**{k: v for k, v in cloud.recipe.items() if k != "blender"})
    points, index = script.draw_points(cloud.triangles.tolist(), recipe)
    np.testing.assert_array_equal(cloud.points, np.float32(points))
    np.testing.assert_array_equal(cloud.triangle_index, index)
    np.testing.assert_array_equal(cloud.triangle_index, np.arange(9800) // 100)


@pytest.mark.parametrize("place", ["blender_data", "tfp_flows/blender_data"])
def test_folder_is_found_in_a_source_tree_and_in_a_wheel(place, tmp_path):
    module = tmp_path / "tfp_flows" / "datasets" / "blender.py"
    module.parent.mkdir(parents=True)
    shutil.copy(blender.__file__, module)
    spec = importlib.util.spec_from_file_location("copy_of_blender", module)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    with pytest.raises(FileNotFoundError, match="install it again"):
        copy.blender_folder()
    (tmp_path / place).mkdir()
    assert copy.blender_folder() == tmp_path / place


# --- Bad input is refused before Blender starts, and changes no file.


@pytest.fixture
def no_process(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)


BAD_ARGUMENTS = [
    ({"text": ""}, ["text ''", "blank"]),
    ({"text": " \n\t "}, ["text ' \\n\\t '", "blank"]),
    ({"text": None}, ["text None", "string"]),
    ({"text": b"AB"}, ["text b'AB'", "string"]),
    ({"text": "A\0B"}, ["text 'A\\x00B'", "NUL"]),
    ({"text": "A\tB"}, ["U+0009", "built-in font"]),
    ({"text": "A\rB"}, ["U+000D", "built-in font"]),
    ({"text": "1 Ω"}, ["text '1 Ω'", "'Ω' (U+03A9)", "built-in font"]),
    ({"text": "5 €"}, ["'€' (U+20AC)", "built-in font"]),
    ({"text": "A\ud800"}, ["'\\ud800' (U+D800)", "built-in font"]),
    ({"text": "漢", "font": SANS}, ["'漢' (U+6F22)", "DejaVuSans.ttf"]),
    ({"font": "missing.ttf"}, ["font 'missing.ttf'", "does not exist"]),
    ({"font": Path(__file__).parent}, ["font", str(Path(__file__).parent), "not a file"]),
    ({"font": __file__}, ["font", __file__, "TrueType"]),
    *[
        ({"size": v}, ["size", repr(v), "0.0001 to 10000"])
        for v in (0, -1.0, 1e-5, 10001, math.nan, math.inf, "1", True)
    ],
    *[({"resolution": v}, ["resolution", repr(v), "1 to 1024"]) for v in (0, -1, 1025, 12.0, math.nan, None, True)],
    *[({"decimate": v}, ["decimate", repr(v), "0.0001 to 1"]) for v in (0, 0.0, -0.1, 1.001, math.nan, -math.inf, "x")],
    *[({"points_per_triangle": v}, ["points_per_triangle", repr(v)]) for v in (0, -3, 1.5, None, 10**9)],
    *[({"points_by_area": v}, ["points_by_area", repr(v)]) for v in (0, -3, 1.5, "9", 10**9)],
    *[({"seed": v}, ["seed", repr(v)]) for v in (-1, 0.5, None, 2**63)],
]


@pytest.mark.parametrize(("bad", "parts"), BAD_ARGUMENTS, ids=lambda value: repr(value)[:50])
def test_bad_argument(bad, parts, tmp_path, no_process):
    with pytest.raises(InputError) as caught:
        make_points(**{"text": "TFP", "out": tmp_path / "cloud.npz", **bad})
    message = str(caught.value)
    assert [part for part in parts if part not in message] == []
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("bad", "parts"), BAD_ARGUMENTS[:6] + BAD_ARGUMENTS[-3:], ids=lambda value: repr(value)[:50])
def test_bad_argument_leaves_an_existing_file(bad, parts, tmp_path, no_process):
    out = tmp_path / "cloud.npz"
    out.write_bytes(b"mine")
    with pytest.raises(InputError):
        make_points(**{"text": "TFP", "out": out, "force": True, **bad})
    assert out.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("cloud.json", "does not end in .npz"),
        ("cloud", "does not end in .npz"),
        ("missing/cloud.npz", "no folder"),
        ("folder.npz", "is a folder"),
        ("mine.npz", "exists"),
        ("mine.npz/cloud.npz", "no folder"),
    ],
)
def test_bad_out_is_refused_first(name, part, tmp_path, no_process):
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "mine.npz").write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=part) as caught:
        make_points("", tmp_path / name)  # the text is bad too
    assert repr(str(tmp_path / name)) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "mine.npz").read_bytes() == b"mine"


def test_out_in_a_read_only_folder(tmp_path, no_process, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write anywhere
    with pytest.raises(InputError, match="read-only"):
        make_points("TFP", tmp_path / "cloud.npz")


def test_write_is_whole_or_not_at_all(tmp_path, monkeypatch):
    out = tmp_path / "cloud.npz"
    out.write_bytes(b"mine")

    def fail(*args):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            script.write_whole(out, b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]
    script.write_whole(out, b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


# --- The script's own command line.


@pytest.fixture
def no_bpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "bpy", None)  # an import of it raises


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--text=", "--out=new.json"], "text ''"),
        (["--text=TFP", "--out=new.npz"], "does not end in .json"),
        (["--text=TFP", "--out=old.json"], "out 'old.json' exists"),
        (["--text=TFP", "--out=new.json", "--decimate=nan"], "decimate nan"),
        (["--text=TFP", "--out=new.json", "--points-by-area=0"], "points_by_area 0"),
        (["--text=TFP", "--out=new.json", "--font=old.json"], "font 'old.json'"),
    ],
)
def test_script_refuses_with_one_sentence(arguments, part, tmp_path, monkeypatch, capsys, no_bpy):
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_bytes(b"mine")
    assert script.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("make_points.py: error: ")
    assert part in captured.err
    assert captured.err.count("\n") == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_script_runs_on_the_standard_library_alone(tmp_path):
    command = [
        sys.executable,
        "-I",
        "-S",
        str(blender_folder() / "make_points.py"),
        "--text=",
        "--out=new.json",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "text ''" in done.stderr


# --- The characters of a font.


@pytest.mark.parametrize("font", FONTS, ids=lambda path: path.stem)
def test_font_characters_agree_with_freetype(font):
    assert script.font_characters(font) == set(FT2Font(str(font)).get_charmap())


def font_of(subtable, *, kind=b"\0\1\0\0", platform=3, encoding=1, start=0):
    """Return the bytes of a font, from byte `start` of its file on, that has nothing but a `cmap` table."""
    head = struct.pack(">4sH6x", kind, 1) + struct.pack(">4s4xLL", b"cmap", start + 28, 12 + len(subtable))
    return head + struct.pack(">HHHHL", 0, 1, platform, encoding, 12) + subtable


def format_4(first, last, delta, glyphs=(), end=0):
    """Return a subtable with one segment, and the last one that every font has; `end` is the latter's offset."""
    offset = 4 if glyphs else 0
    columns = struct.pack(">HHHHHHHHH", last, 0xFFFF, 0, first, 0xFFFF, delta % 0x10000, 1, offset, end)
    return struct.pack(">HHHHHHH", 4, 0, 0, 4, 0, 0, 0) + columns + struct.pack(f">{len(glyphs)}H", *glyphs)


def format_12(*groups):
    packed = b"".join(struct.pack(">LLL", *group) for group in groups)
    return struct.pack(">HHLLL", 12, 0, 16 + len(packed), 0, len(groups)) + packed


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (font_of(format_4(65, 67, 0)), {65, 66, 67}),
        (font_of(format_4(65, 67, -66)), {65, 67}),  # 66 has glyph 0, which stands for "missing"
        (font_of(format_4(65, 67, 0, glyphs=(7, 0, 9))), {65, 67}),
        (font_of(format_4(65, 67, 5, glyphs=(7, 0, 9))), {65, 67}),  # glyph 0 is not shifted
        (font_of(format_4(65, 65, 0, end=0xFFFF)), {65}),  # some fonts have this, and it points out of the file
        (font_of(format_4(65, 65, 0), kind=b"OTTO"), {65}),
        (font_of(format_4(65, 65, 0), platform=0, encoding=3), {65}),
        (font_of(format_12((65, 66, 1), (0x1F600, 0x1F600, 9)), encoding=10), {65, 66, 0x1F600}),
        (font_of(format_12((65, 67, 0)), encoding=10), {66, 67}),
        (struct.pack(">4sLLL", b"ttcf", 0, 1, 16) + font_of(format_4(65, 65, 0), start=16), {65}),
    ],
)
def test_font_characters_of_a_table(data, expected, tmp_path):
    font = tmp_path / "font.ttf"
    font.write_bytes(data)
    assert script.font_characters(font) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"wOF2" + bytes(100),
        b"%!PS-AdobeFont-1.0: Name",
        font_of(format_4(65, 67, 0))[:-10],
        font_of(format_4(65, 67, 0, glyphs=(7, 8, 9)))[:-2],
        font_of(format_4(65, 67, 0)).replace(b"cmap", b"name"),
        font_of(format_4(65, 67, 0), encoding=0),  # a symbol font has no Unicode
        font_of(format_4(65, 67, 0), platform=1, encoding=0),
        font_of(struct.pack(">HHH", 6, 0, 0)),
    ],
)
def test_not_a_font(data, tmp_path, no_process):
    font = tmp_path / "font.ttf"
    font.write_bytes(data)
    with pytest.raises(InputError, match="TrueType") as caught:
        make_points("A", tmp_path / "cloud.npz", font=font)
    assert repr(str(font)) in str(caught.value)


# --- Points.

TRIANGLES = [((0.0, 0.0), (4.0, 0.0), (0.0, 2.0)), ((5.0, 0.0), (6.0, 0.0), (5.0, 2.0))]  # areas 4 and 1


def cloud_of(**options):
    points, index = script.draw_points(TRIANGLES, script.Recipe("any", **options))
    return blender.PointCloud(np.array(TRIANGLES), np.float32(points), np.array(index, np.int32), {})


def test_points_are_uniform_in_each_triangle():
    weights = barycentric(cloud_of(points_per_triangle=20_000))
    assert weights.min() > -1e-6
    # Dirichlet(1, 1, 1): mean 1/3, variance 1/18, covariance -1/36; its medial triangles have a quarter each
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=0.005)
    np.testing.assert_allclose(np.cov(weights.T), np.full((3, 3), -1 / 36) + np.eye(3) / 12, atol=0.002)
    assert (weights.max(axis=1) < 0.5).mean() == pytest.approx(0.25, abs=0.01)


def test_points_by_area_follow_the_areas():
    index = cloud_of(points_by_area=20_000).triangle_index
    assert len(index) == 20_000
    assert (np.diff(index) >= 0).all()
    assert (index == 0).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("mode", ["points_per_triangle", "points_by_area"])
def test_seed_decides_the_points(mode):
    first, again, other = (cloud_of(**{mode: 50, "seed": seed}).points for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.isin(first, other).any()


def test_too_many_points_in_all():
    with pytest.raises(script.BadInput, match="points_per_triangle 6000000 is too many for 2 triangles"):
        script.draw_points(TRIANGLES, script.Recipe("any", points_per_triangle=6_000_000))


# --- Finding and running Blender, with programs that only look like it.


@pytest.fixture
def program(tmp_path_factory):
    """Return a function that makes an executable: its answer to --version, the rest of its shell script."""
    folder = tmp_path_factory.mktemp("bin")

    def make(version, body="", name="blender"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{version}"; exit; fi\n{body}\n')
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def no_bpy_package(monkeypatch):
    monkeypatch.delenv("TFP_FLOWS_BLENDER", raising=False)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "bpy" else find(name, *rest))


def test_no_blender_at_all(tmp_path, monkeypatch, no_bpy_package):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=re.escape("pip install 'bpy>=4.2,<4.3'")):
        make_points("TFP", tmp_path / "cloud.npz")


def test_blender_on_path_is_found(program, monkeypatch, no_bpy_package):
    found = program("Blender 9.9")
    monkeypatch.setenv("PATH", f"{found.parent}:/usr/bin:/bin")
    command = blender._command(None)
    assert command[0] == str(found)
    assert command.index("--python-exit-code") < command.index("--python")
    assert command[-1] == "--"


def test_the_environment_names_a_blender(program, monkeypatch):
    named = program("Blender 9.9")
    monkeypatch.setenv("TFP_FLOWS_BLENDER", str(named))
    assert blender._command(None)[0] == str(named)
    other = program("Blender 8.8", name="other")
    assert str(blender._command(other)[0]) == str(other)


def test_bpy_of_this_python_comes_before_the_path(program, monkeypatch):
    monkeypatch.delenv("TFP_FLOWS_BLENDER", raising=False)
    monkeypatch.setenv("PATH", str(program("Blender 9.9").parent))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: "found")
    assert blender._command(None)[0] == sys.executable


def test_a_python_is_told_from_a_blender_by_asking(program):
    assert blender._command(program("Python 3.11.9", name="blender"))[1:] == [str(blender_folder() / "make_points.py")]
    assert "--background" in blender._command(program("Blender 4.2.23 LTS", name="python"))


@pytest.mark.parametrize("bad", ["no-such-program", "/no/such/program", Path(__file__).parent])
def test_blender_is_no_program(bad, tmp_path):
    with pytest.raises(InputError, match="is no program") as caught:
        make_points("TFP", tmp_path / "cloud.npz", blender=bad)
    assert repr(str(bad)) in str(caught.value)


def test_blender_is_another_program(program, tmp_path):
    with pytest.raises(InputError, match="is not one"):
        make_points("TFP", tmp_path / "cloud.npz", blender=program("GIMP 3.0"))


def test_blender_does_not_start(program, tmp_path):
    broken = program("")
    broken.write_text("#!/no/such/shell\n")
    with pytest.raises(InputError, match="does not start"):
        make_points("TFP", tmp_path / "cloud.npz", blender=broken)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "echo first >&2; echo 'ImportError: libX' >&2; echo >&2; exit 1",
            "failed with exit status 1: ImportError: libX",
        ),
        (
            "echo 'KeyError: 1' >&2; echo 'Error: script failed, file: x' >&2; exit 1",
            "exit status 1: KeyError: 1",
        ),
        ("echo 'make_points.py: error: text bad' >&2; echo noise >&2; exit 2", "text bad"),
        ("echo only stdout", "failed with exit status 0: no reason given"),
        ("kill -9 $$", "failed with exit status -9"),
    ],
)
def test_failure_of_blender(body, message, program, tmp_path):
    with pytest.raises(InputError) as caught:
        make_points("TFP", tmp_path / "cloud.npz", blender=program("Blender 9.9", body))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_blender_gets_the_recipe_and_a_clean_environment(program, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "ours")
    log = tmp_path / "log"
    fake = program(
        "Blender 9.9", f'for a in "$@"; do echo "$a"; done > {log}; echo "path=$PYTHONPATH" >> {log}; exit 1'
    )
    with pytest.raises(InputError):
        make_points("A B\n-é", tmp_path / "cloud.npz", size=np.float32(0.5), points_by_area=7, seed=9, blender=fake)
    text = log.read_text(encoding="utf-8")
    assert "--text=A B\n-é\n--size=0.5\n--resolution=12\n--decimate=0.2\n--points-by-area=7\n--seed=9\n" in text
    assert text.endswith("path=\n")


# --- Files.


def save(path, **changes):
    cloud = {**load_points(SHIPPED)._asdict(), **changes}
    cloud["recipe"] = json.dumps(cloud["recipe"]) if isinstance(cloud["recipe"], dict) else cloud["recipe"]
    np.savez(path, **{name: value for name, value in cloud.items() if value is not None})


def shipped(name):
    return getattr(load_points(SHIPPED), name).copy()


def changed(name, row, value):
    array = shipped(name)
    array[row] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"points": None}, "archive of triangles, points"),
        ({"recipe": None, "extra": np.zeros(3)}, "archive of triangles, points"),
        ({"recipe": "no JSON"}, "archive of triangles, points"),
        ({"recipe": "[1]"}, "recipe [1], expected a JSON object"),
        ({"points": np.array([[None, 1]] * 9800)}, "archive of triangles, points"),  # would be a pickle
        ({"triangles": np.zeros((98, 6))}, "triangles float64 [98, 6], expected float64 [n, 3, 2]"),
        ({"triangles": np.zeros((98, 3, 2), np.float32)}, "triangles float32"),
        ({"points": np.zeros((9800, 3), np.float32)}, "points float32 [9800, 3]"),
        ({"points": np.zeros((9800, 2), np.int32)}, "points int32"),
        ({"points": np.zeros((0, 2), np.float32), "triangle_index": np.zeros(0, np.int32)}, "m > 0"),
        ({"triangle_index": np.zeros(9799, np.int32)}, "triangle_index int32 [9799], expected int32 [9800]"),
        (changed("triangle_index", 7, 98), "row 7 of points"),
        (changed("triangle_index", 7, -1000), "row 7 of points"),
        (changed("triangle_index", 123, 5), "row 123 of points"),
        (changed("points", 9799, np.nan), "row 9799 of points"),
        (changed("points", 5, 1e-5 + shipped("triangles")[0].max(axis=0)), "row 5 of points"),
        (changed("triangles", 4, 0.0), "row 4 of triangles"),
        (changed("triangles", 4, np.nan), "row 4 of triangles"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_wrong_arrays(changes, part, tmp_path):
    path = tmp_path / "cloud.npz"
    save(path, **changes)
    with pytest.raises(InputError) as caught:
        load_points(path)
    assert part in str(caught.value)
    assert repr(str(path)) in str(caught.value)


def test_saved_arrays_load(tmp_path):
    save(tmp_path / "cloud.npz")  # what the cases above are changes of
    np.testing.assert_array_equal(load_points(tmp_path / "cloud.npz").points, shipped("points"))


def test_wrong_files(tmp_path):
    save(tmp_path / "plain.npz")
    plain, data = (tmp_path / "plain.npz").read_bytes(), SHIPPED.read_bytes()
    method = data.index(b"PK\1\2") + 10  # of compression, in the archive's directory
    broken = [b"", b"text", data[:1000], data[:-30], data[:method] + b"\x63" + data[method + 1 :]]
    broken += [data[:k] + 40 * b"\xff" + data[k + 40 :] for k in (110, 5000)]
    broken += [plain.replace(b"(98, 3, 2), }", b"(98, 3, 2, ((")]
    (tmp_path / "plain.npz").unlink()
    for k, content in enumerate(broken):
        (tmp_path / f"{k}.npz").write_bytes(content)
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "folder").mkdir()
    for path in [*tmp_path.iterdir(), tmp_path / "missing.npz"]:
        with pytest.raises(InputError) as caught:
            load_points(path)
        assert repr(str(path)) in str(caught.value)


# --- A real Blender: the one that TFP_FLOWS_BLENDER names, and any other that make_points would find.


def real_blenders():
    named, here, on_path = (
        os.environ.get("TFP_FLOWS_BLENDER"),
        importlib.util.find_spec("bpy"),
        shutil.which("blender"),
    )
    return list(dict.fromkeys(filter(None, [named, here and sys.executable, on_path])))


@pytest.fixture(params=real_blenders() or [None])
def real(request):
    if request.param is None:
        why = "no Blender: set TFP_FLOWS_BLENDER to a blender executable, or to a Python that has bpy"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    return request.param


@pytest.mark.slow
def test_real_blender_makes_the_shipped_cloud_again(real, tmp_path):
    out = tmp_path / "cloud.npz"
    assert make_points("SIGGRAPH", out, blender=real) == out
    made, old = load_points(out), load_points(SHIPPED)
    for name in ("triangles", "points", "triangle_index"):
        np.testing.assert_array_equal(getattr(made, name), getattr(old, name))
    assert {**made.recipe, "blender": ""} == {**old.recipe, "blender": ""}
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_real_blender_repeats_itself_by_seed(real, tmp_path):
    files = [tmp_path / name for name in ("a.npz", "b.npz", "c.npz")]
    for path, seed in zip(files, (1, 1, 2), strict=True):
        make_points("Seed", path, seed=seed, blender=real)
    first, again, other = map(load_points, files)
    assert files[0].read_bytes() == files[1].read_bytes()
    np.testing.assert_array_equal(first.triangles, other.triangles)
    assert not (first.points == other.points).all(axis=1).any()
    np.testing.assert_array_equal(first.points, again.points)


@pytest.mark.slow
def test_real_blender_draws_another_text_by_area(real, tmp_path):
    out = tmp_path / "cloud.npz"
    out.write_bytes(b"old")
    make_points("Ωμέγα!\n8", out, font=SANS, size=2, decimate=1, points_by_area=20_000, blender=real, force=True)
    cloud = load_points(out)
    assert cloud.points.shape == (20_000, 2)
    assert cloud.recipe["font"] == "DejaVuSans.ttf"
    assert cloud.points[:, 1].min() < -1 < 0.8 < cloud.points[:, 1].max()  # two lines of twice the usual size
    share = areas(cloud.triangles) / areas(cloud.triangles).sum()
    found = np.bincount(cloud.triangle_index, minlength=len(share)) / 20_000
    assert np.abs(np.cumsum(found) - np.cumsum(share)).max() < 0.015  # Kolmogorov-Smirnov at 2e-4


@pytest.mark.slow
def test_real_blender_follows_size_resolution_and_decimate(real, tmp_path):
    options = {"plain": {}, "big": {"size": 3}, "fine": {"resolution": 30}, "whole": {"decimate": 1}}
    clouds = {}
    for name, option in options.items():
        clouds[name] = load_points(make_points("SIG", tmp_path / f"{name}.npz", blender=real, **option))
    count = {name: len(cloud.triangles) for name, cloud in clouds.items()}
    np.testing.assert_allclose(clouds["big"].points.max(axis=0), 3 * clouds["plain"].points.max(axis=0), rtol=0.01)
    assert count["fine"] > 1.5 * count["plain"]
    assert count["whole"] > 4 * count["plain"]


@pytest.mark.slow
def test_real_blender_refuses_an_empty_glyph(real, tmp_path):
    with pytest.raises(InputError, match=r"U\+200B") as caught:
        make_points("A\u200b", tmp_path / "cloud.npz", font=SANS, blender=real)
    assert "empty glyph" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_real_blender_refuses_a_damaged_font(real, tmp_path):
    font = tmp_path / "font.ttf"
    font.write_bytes(font_of(format_4(65, 67, 0)))  # characters, but no glyphs at all
    with pytest.raises(InputError, match="font") as caught:
        make_points("A", tmp_path / "cloud.npz", font=font, blender=real)
    assert "Traceback" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [font]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "percent"), [("TFP", 45), ("II", 100)])
def test_real_blender_refuses_to_lose_letters(text, percent, real, tmp_path):
    out = tmp_path / "cloud.npz"
    with pytest.raises(InputError, match=rf"decimate 0\.2 loses {percent}% of the area of text '{text}'") as caught:
        make_points(text, out, blender=real)
    assert not out.exists()
    enough = re.search(r"give (\S+) or more", str(caught.value))[1]
    make_points(text, out, decimate=float(enough), blender=real)


@pytest.mark.slow
def test_real_blender_reports_the_exit_status_of_the_script(real, tmp_path):
    out = tmp_path / "cloud.json"
    for arguments, status in [(["--text=", f"--out={out}"], 2), (["--text=TFP", "--decimate=1", f"--out={out}"], 0)]:
        command = [*blender._command(real), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert out.exists() == (status == 0)
    assert json.loads(out.read_text())["recipe"]["text"] == "TFP"


@pytest.mark.slow
def test_built_in_characters_are_those_that_blender_draws(real, tmp_path):
    seen = "".join(chr(code) for code in sorted(script.BUILT_IN_CHARACTERS) if not chr(code).isspace())
    out = make_points(seen, tmp_path / "cloud.npz", points_per_triangle=1, blender=real)  # none is empty
    assert load_points(out).recipe["text"] == seen


# --- Being stopped: whatever stands for Blender must not go on alone.

ENDLESS = """#!{python}
import os, subprocess, sys, time
if "--version" in sys.argv:
    print("Blender 4.2.0"); sys.exit()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open({note!r} + ".part", "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}")
os.rename({note!r} + ".part", {note!r})
time.sleep(600)
"""


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_blender_too(number, status, tmp_path):
    note, endless = tmp_path / "pids", tmp_path / "blender"
    endless.write_text(ENDLESS.format(python=sys.executable, note=str(note)))
    endless.chmod(0o755)
    words = ["points", "TFP", "--out", str(tmp_path / "tfp.npz"), "--blender", str(endless)]
    code = "from tfp_flows.cli import main; main()"
    command = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, text=True
    )
    while not note.exists():
        assert command.poll() is None, command.stderr.read()
        time.sleep(0.05)
    command.send_signal(number)
    _, err = command.communicate(timeout=60)
    assert (command.returncode, "Traceback" in err) == (status, False)
    assert not any(runs(pid) for pid in note.read_text().split())
    assert not (tmp_path / "tfp.npz").exists()
