"""The examples run as their first lines say, and show what they promise."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_digits(tmp_path: Path) -> None:
    # The script itself compares the executors on every image and fails when they differ.
    out = run(sys.executable, EXAMPLES / "digits.py", tmp_path)
    accuracies = [float(text) for text in re.findall(r"accuracy ([\d.]+)%", out)]
    assert len(accuracies) == 3 and min(accuracies) > 97, out
    assert max(accuracies) - min(accuracies) < 1, out
    assert out.count("450 images, jit == reference model") == 2
    cycles = [int(text.replace(",", "")) for text in re.findall(r"cycles +([\d,]+)", out)]
    assert len(cycles) == 2 and 0 < cycles[1] < cycles[0] < 40_000
    for target in ("ethos-u55-128", "ethos-u85-256"):
        files = sorted(path.suffix for path in (tmp_path / target).iterdir())
        assert files == [".json", ".mlir", ".npz", ".tosa"]


def test_tiny_cnn(tmp_path: Path) -> None:
    tool = Path(sys.executable).parent / "tosaic"
    model = f"{EXAMPLES / 'tiny_cnn.py'}:tiny_cnn"
    run(tool, "compile", model, "--target", "tosa-1.0-fp", "-o", tmp_path)
    assert (tmp_path / "tiny_cnn.tosa").exists()
