"""`tosaic repair`: what helps a model, and the recipe with it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tosaic.quantizer import QuantRecipe
from tosaic.tools import tosaic as cli

TINY = f"{Path(__file__).parents[2] / 'examples' / 'tiny_cnn.py'}:tiny_cnn"


@pytest.fixture
def repair(monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tosaic", "repair", TINY, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code, *capsys.readouterr()

    return call


def data(path, count):
    images = np.random.default_rng(count).normal(size=(count, 3, 16, 16)).astype(np.float32)
    np.savez(path, image=images)
    return path


def test_recipe_is_written(repair, tmp_path):
    recipe = tmp_path / "repaired.toml"
    calibration, held_out = data(tmp_path / "c.npz", 6), data(tmp_path / "h.npz", 4)
    options = ("--quantize", "a8w4", "--calibration", calibration, "--data", held_out)
    code, out, err = repair(*options, "-o", recipe)
    assert code == 0, err
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    names = ("bias_correction", "equalisation", "migration", "rounding=fitted", "rounding=learned")
    assert set(names) < set(rows)
    loaded = QuantRecipe.load(recipe)
    assert loaded.weights == "int4"
    assert loaded.bias_correction == (rows["bias_correction"][3] == "yes")
    assert loaded.equalisation == (rows["equalisation"][3] == "yes")
    assert "dB without," in out and f"Written to {recipe}" in out.replace("\n", "")


def test_json(repair, tmp_path):
    code, out, _ = repair("--calibration", data(tmp_path / "c.npz", 8), "--json")
    report = json.loads(out)
    assert code == 0 and len(report["steps"]) == 5
    kept = [s["after_db"] for s in report["steps"] if s["kept"]]
    assert report["after_db"] == (kept[-1] if kept else report["before_db"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--quantize", "int9"), "Did you mean int8?"),
        (("-o", "recipe.json"), "A recipe is a .toml file; 'recipe.json' is none."),
        ((), "there are 3 input(s) in all. Pass at least 4"),
    ],
)
def test_errors(repair, tmp_path, arguments, told):
    code, _, err = repair("--calibration", data(tmp_path / "c.npz", 3), *arguments)
    assert code == 1 and told in " ".join(err.split())
