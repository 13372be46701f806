"""A backend of another package (examples/rowmac), found by its entry points and nothing else."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "rowmac"
BIN = Path(sys.executable).parent
MODEL = """
import torch
from torch import nn


def dense():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()


def conv():
    return nn.Conv2d(3, 4, 3).eval()
"""


def installed(folder, entry_points):
    """Write what pip leaves in site-packages: a dist-info folder with entry points."""
    info = folder / "tosaic_rowmac-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tosaic-rowmac\nVersion: 0.1.0\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def tool(tmp_path, site):
    """Run a command line with `site` and the example's folder on the path."""
    path = os.pathsep.join([str(site), str(PACKAGE)])

    def call(name, *arguments):
        return subprocess.run(
            [BIN / name, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
            cwd=tmp_path,
            check=False,
        )

    return call


@pytest.fixture
def rowmac(site, tool):
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    installed(site, project["entry-points"])
    return tool


def test_it_compiles_checks_and_explains(rowmac, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", rng.standard_normal((8, 8)).astype(np.float32))
    targets = rowmac("tosaic", "targets")
    assert "rowmac-16" in targets.stdout and "4 MACs per cycle" in targets.stdout

    common = ("--target", "rowmac-4", "--quantize", "int8", "-o", "out")
    compile_ = ("tosaic", "compile", "model.py:dense", *common, "--calibration", "data.npz")
    done = rowmac(*compile_)
    assert done.returncode == 0, done.stderr
    assert "48 in" in done.stdout  # (8 * 16 + 16 * 4) / 4
    steps = json.loads((tmp_path / "out" / "dense.steps.json").read_text())
    assert [step["step"] for step in steps] == list(range(len(steps)))
    assert [step["macs"] for step in steps if step["op"] == "conv2d"] == [128, 64]
    assert "model.py" in steps[0]["from"] or "linear" in steps[0]["from"]
    assert rowmac("tosaic", "run", "out", "--inputs", "data.npz").returncode == 0

    done = rowmac(*compile_, "--option", "max_steps=1")
    assert done.returncode == 1 and "max_steps allows 1" in done.stderr
    done = rowmac(*compile_, "--option", "max_steps=0")
    assert done.returncode == 1 and "must be 1 or more" in done.stderr
    done = rowmac(*compile_, "--option", "max_arena=9")
    assert done.returncode == 1 and "max_arena limits Cortex-M programs" in done.stderr

    np.savez(tmp_path / "images.npz", rng.standard_normal((8, 3, 8, 8)).astype(np.float32))
    done = rowmac("tosaic", "compile", "model.py:conv", *common, "--calibration", "images.npz")
    assert done.returncode == 1
    assert "kernels are 1x1 on rowmac" in done.stderr and "conv2d" in done.stderr


def test_its_passes_are_in_tosaic_opt(rowmac, tmp_path):
    (tmp_path / "net.mlir").write_text(
        "func.func @main(%x: tensor<4xi8>) -> tensor<4xi8> {\n"
        "  %0 = tosa.clamp %x {min_val = 0 : i8, max_val = 9 : i8} : "
        "(tensor<4xi8>) -> tensor<4xi8>\n"
        "  return %0 : tensor<4xi8>\n}\n"
    )
    done = rowmac("tosaic-opt", "net.mlir", "--rowmac-number-steps=first=3")
    assert done.returncode == 0, done.stderr
    assert "rowmac.step = 3" in done.stdout
    assert "rowmac-check" in rowmac("tosaic-opt", "--list-passes").stdout


def test_without_the_entry_point_there_is_no_backend(tool):
    done = tool("tosaic", "targets")
    assert done.returncode == 0 and "rowmac" not in done.stdout


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("tosaic_rowmac:MISSING", ["package tosaic-rowmac does not load", "AttributeError"]),
        ("no_such_package:BACKEND", ["package tosaic-rowmac does not load", "no_such_package"]),
        ("tosaic_rowmac:json", ["package tosaic-rowmac has no name, targets"]),
        ("tosaic.backends.tosa:BACKEND", ["registers a backend named 'tosa', which is taken"]),
    ],
)
def test_a_broken_package_is_named(site, tool, value, said):
    installed(site, {"tosaic.backends": {"rowmac": value}})
    done = tool("tosaic", "targets")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for text in said:
        assert text in " ".join(done.stderr.split())


def test_broken_passes_are_named(site, tool):
    installed(site, {"tosaic.passes": {"rowmac": "no_such_package"}})
    done = tool("tosaic-opt", "--list-passes")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "The passes 'rowmac' (no_such_package) do not load" in " ".join(done.stderr.split())
