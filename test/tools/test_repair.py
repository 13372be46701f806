"""`tosaic repair`: what helps a model, and the recipe with it."""

import json

import pytest

from support.command_line import TINY, save_images
from tosaic.quantizer import QuantRecipe


@pytest.fixture
def repair(tosaic):
    return lambda *arguments: tosaic("repair", TINY, *arguments)


def test_recipe_is_written(repair, tmp_path):
    recipe = tmp_path / "repaired.toml"
    calibration, held_out = save_images(tmp_path / "c.npz", 6), save_images(tmp_path / "h.npz", 4)
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
    code, out, _ = repair("--calibration", save_images(tmp_path / "c.npz", 8), "--json")
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
    code, _, err = repair("--calibration", save_images(tmp_path / "c.npz", 3), *arguments)
    assert code == 1 and told in " ".join(err.split())
