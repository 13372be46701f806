"""Recipes on the command line: `tosaic explain`, and `--quantize` with a name or a file."""

import json

import pytest

from support.command_line import TINY, save_images

MIXED = """
activations = "int16"

[[override]]
module = "features.3"
weights = "int4"

[[override]]
op = "adaptive_avg_pool2d"
leave_float = true
"""


def test_table(tosaic):
    code, out, _ = tosaic("explain", TINY)
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert "weighted" in rows["conv2d"] and "tiny_cnn.py:" in rows["conv2d"]
    assert "fused into 'conv2d'" in rows["relu"]
    assert "7 ops, 0 not quantised" in out  # the batch norm is in the weights


def test_json(tosaic, tmp_path):
    recipe = tmp_path / "mixed.toml"
    recipe.write_text(MIXED)
    code, out, _ = tosaic("explain", TINY, "--quantize", recipe, "--json")
    assert code == 0
    ops = {op["name"]: op for op in json.loads(out)}
    assert ops["conv2d"]["writes"] == "int16" and ops["conv2d"]["weights"] == "int8"
    assert ops["conv2d_1"]["weights"] == "int4" and ops["conv2d_1"]["module"] == "features.3"
    pool = ops["adaptive_avg_pool2d"]
    assert (pool["how"], pool["note"]) == ("float", "the recipe leaves it in float")


def test_a_quantised_program(tosaic, tmp_path):
    import torch

    from tosaic.quantizer import quantize

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()
    x = torch.randn(1, 3, 8, 8)
    path = tmp_path / "net.pt2"
    torch.export.save(quantize(model, (x,), [x]), path)
    code, out, _ = tosaic("explain", path, "--json")
    ops = {op["name"]: op for op in json.loads(out)}
    assert code == 0
    assert ops["conv2d"]["reads"] == ["int8"] and ops["conv2d"]["weights"] == "int8"


def test_recipe_file(tosaic, tmp_path):
    recipe, data = tmp_path / "recipe.toml", save_images(tmp_path / "data.npz", 4)
    recipe.write_text('activations = "int16"\n')
    options = ("--calibration", data, "-o", tmp_path / "out", "--io-dtype", "uint8")
    code, _, err = tosaic("compile", TINY, "--quantize", recipe, *options)
    assert code == 0, err
    manifest = json.loads((tmp_path / "out" / "tiny_cnn.json").read_text())
    assert manifest["inputs"][0]["dtype"] == "uint8"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--quantize", "int9"), "no quantisation recipe named 'int9'. Did you mean int8?"),
        (("--quantize", "none.toml"), "Cannot read 'none.toml'"),
    ],
)
@pytest.mark.parametrize("command", ["explain", "compile"])
def test_no_such_recipe(tosaic, tmp_path, command, arguments, told):
    more = ("-o", tmp_path / "out") if command == "compile" else ()
    code, _, err = tosaic(command, TINY, *arguments, *more)
    assert code == 1 and told in err


def test_an_override_that_selects_nothing(tosaic, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[override]]\nmodule = "feature.*"\nweights = "int4"\n')
    code, _, err = tosaic("explain", TINY, "--quantize", recipe)
    assert code == 1 and "Did you mean features" in err
