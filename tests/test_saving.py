"""A run folder: what it holds, and what is refused when it is read."""

import json

import numpy as np
import pytest
from conftest import make_small, scramble

import tfp_flows as tff


@pytest.fixture
def folder(tmp_path):
    scramble(make_small("maf", 2, permutation="random")).save(tmp_path / "run")
    return tmp_path / "run"


def test_holds_the_recipe_with_permutations_written_out(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["flow"]["name"] == "maf"
    assert config["flow"]["permutation"] == [[1, 0]]
    assert set(config["versions"]) == {"tfp_flows", "tensorflow", "tensorflow_probability"}
    assert {p.name for p in folder.iterdir()} == {"config.json", "weights.npz"}


def test_other_entries_of_the_config_survive_a_second_save(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"data": {"name": "mine"}}))
    tff.load(folder).save(folder)
    assert json.loads((folder / "config.json").read_text())["data"] == {"name": "mine"}


def spoil_weights(folder, **changes):
    with np.load(folder / "weights.npz") as file:
        weights = dict(file) | changes
    np.savez(folder / "weights.npz", **{k: v for k, v in weights.items() if v is not None})


def spoil_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config["flow"] |= changes
    (folder / "config.json").write_text(json.dumps(config))


class Loud:
    """A pickle that tells when it is opened."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no run: config.json is missing"),
        (lambda f: (f / "weights.npz").unlink(), "holds no flow: weights.npz is missing"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "must hold a JSON object; got list"),
        (lambda f: (f / "config.json").write_text("{}"), "must have an object 'flow' with a 'name'"),
        (lambda f: (f / "weights.npz").write_bytes(b"junk"), "weights.npz cannot be read"),
        (
            lambda f: (f / "weights.npz").write_bytes((f / "weights.npz").read_bytes()[:200]),
            "weights.npz cannot be read",
        ),
        (lambda f: spoil_config(f, name="glow"), "flow must be one of"),
        (lambda f: spoil_config(f, depth=3), "maf takes the options"),
        (lambda f: spoil_config(f, hidden_units=[9]), "does not belong to its config.json|must be"),
        (lambda f: spoil_weights(f, stranger=np.ones(2)), "stranger is only in the weights"),
        (lambda f: spoil_weights(f, **{"standardize/loc": None}), "standardize/loc is not in the weights"),
        (lambda f: spoil_weights(f, **{"standardize/loc": np.ones(3, "float32")}), r"must be .*\(2,\)"),
        (lambda f: spoil_weights(f, **{"standardize/loc": np.array([Loud()], object)}), "weights.npz cannot be read"),
    ],
)
def test_a_spoilt_folder_is_refused_with_one_sentence(folder, spoil, message):
    spoil(folder)
    with pytest.raises(tff.InputError, match=message):
        tff.load(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(tff.InputError, match="holds no run"):
        tff.load(tmp_path / "nowhere")
