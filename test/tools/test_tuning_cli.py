"""`tosaic evaluate` and `tosaic tune` on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from support.command_line import TINY, Tool
from tosaic.quantizer import QuantRecipe


@pytest.fixture
def files(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    images = random.normal(size=(12, 3, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "calibration.npz", image=images)
    np.savez(tmp_path / "data.npz", image=images, labels=random.integers(0, 4, 12))
    np.savez(tmp_path / "named.npz", image=images, digit=random.integers(0, 4, 12))
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "data = [(np.full((3, 16, 16), n, np.float32), n % 4) for n in range(5)]\n"
        "five = 5\n"
        "def spread(scores, labels):\n    return scores.max() - scores.min()\n"
    )
    return tmp_path


def test_evaluate(tosaic: Tool, files: Path) -> None:
    calibration = ("--quantize", "int8", "--calibration", files / "calibration.npz")
    code, out, _ = tosaic(
        "evaluate", TINY, "--data", files / "data.npz", *calibration, "--confusion"
    )
    assert code == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert rows["form"][:2] == ["form", "top1"] and rows["12"] == ["12", "samples"]
    assert rows["float"][1] == rows["fake_quant"][1] == rows["integer"][1]
    assert float(rows["integer"][-3]) > 15
    assert "integer: given class" in out
    code, out, _ = tosaic(
        *("evaluate", TINY, "--data", f"{files / 'mine.py'}:data", *calibration),
        *("--metric", f"{files / 'mine.py'}:spread", "--metric", "top1", "--form", "integer"),
        "--json",
    )
    assert code == 0
    result = json.loads(out)
    assert result["count"] == 5 and list(result["forms"]) == ["integer"]
    assert set(result["forms"]["integer"]["metrics"]) == {"spread", "top1"}


def test_tune(tosaic: Tool, files: Path) -> None:
    arguments = (
        *("tune", TINY, "--calibration", files / "calibration.npz"),
        *("--data", files / "data.npz", "--weights", "w8,c16", "--activations", "a8"),
        *("--trials", 2, "--workers", 0, "--budget", "flash=100000", "-o", files / "out"),
    )
    code, out, err = tosaic(*arguments)
    assert code == 0
    assert "1 trials (0 found), at most" in err
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert {"recipe", "w8", "c16", "best"} <= rows.keys()
    assert "4 trials; flash at most 100,000" in out
    assert isinstance(QuantRecipe.load(files / "out" / "recipe.toml"), QuantRecipe)
    code, _, err = tosaic(*arguments)
    assert code == 0 and "4 trials (4 found)" in err
    code, out, _ = tosaic(*arguments, "--budget", "cycles=1")
    assert code == 0 and "NO trial kept to that" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("evaluate", TINY, "--data", "data.npz", "--quantize", "int8"), "finds ranges from"),
        (("evaluate", TINY, "--data", "data.npz", "--calibration", "x"), "used by quantisation"),
        (("evaluate", TINY, "--data", "data.csv"), "it must be an .npz file, a folder of images"),
        (("evaluate", TINY, "--data", "named.npz", "--labels", "labels"), "no array 'labels'"),
        (("evaluate", TINY, "--data", "mine.py:dat"), "'mine.py' has no 'dat'"),
        (("evaluate", TINY, "--data", "mine.py:spread"), "mine.py:spread raises: TypeError"),
        (("evaluate", TINY, "--data", "mine.py:five"), "is a int. It must be an iterable"),
        (("evaluate", TINY, "--data", ".", "--labels", "y"), "names an array of an .npz file"),
        (("evaluate", TINY, "--data", "data.npz", "--mean", "a"), "--mean a cannot be read"),
        (("evaluate", TINY, "--data", "data.npz", "--metric", "x:y"), "must be FILE.py:NAME"),
        (("evaluate", TINY, "--data", "calibration.npz", "--confusion"), "needs class numbers"),
        (
            ("tune", TINY, "--data", "x", "--calibration", "y", "-o", "z", "--budget", "cycles"),
            "--budget cycles cannot be read",
        ),
    ],
)
def test_mistakes(
    tosaic: Tool,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(files)
    code, _, err = tosaic(*arguments)
    assert code == 1 and told in err
