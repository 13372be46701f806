"""`tosaic numerics` on the command line."""

import json

import pytest

from support.command_line import TINY, save_images


@pytest.fixture
def data(tmp_path):
    return save_images(tmp_path / "data.npz", 16)


def test_table_and_page(tosaic, data, tmp_path):
    page = tmp_path / "report.html"
    how = ("--quantize", "int8", "--calibration", data, "--samples", 4)
    code, out, err = tosaic("numerics", TINY, *how, "--html", page)
    assert code == 0, err
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert "conv2d relu" in rows["relu"] and "features.0" in rows["relu"]
    assert "No layer breaks." in out and f"Written to {page}" in out
    assert "</html>" in page.read_text()


def test_two_programs(tosaic, data, tmp_path):
    for name, recipe in (("old", "int8"), ("new", "a8w4")):
        compiled = ("--quantize", recipe, "--calibration", data, "-o", tmp_path / name)
        assert tosaic("compile", TINY, *compiled)[0] == 0
    both = (tmp_path / "old", tmp_path / "new" / "tiny_cnn.tosa", "--inputs", data)
    code, out, err = tosaic("numerics", *both, "--samples", 2)
    assert code == 0, err
    assert "CONV2D of 'conv2d'" in out and "tiny_cnn.py:" in out and "differ" in out
    code, out, _ = tosaic(
        "numerics", tmp_path / "old", tmp_path / "old", "--inputs", data, "--json"
    )
    report = json.loads(out)
    assert code == 0 and report["first"] is None and report["samples"] == 16
    assert "agree in every bit" in report["verdict"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TINY,), "is not quantised. Say how with --quantize"),
        ((TINY, "--quantize", "int8"), "Pass them with --calibration"),
        (("net.pt2",), "no input to judge by"),
        (("a.tosa", "b.tosa"), "Pass them: --inputs data.npz"),
        (("a.tosa", "b.tosa", "--inputs", "x.npz", "--html", "p.html"), "--html is for one model"),
        ((TINY, "--samples", "0"), "--samples must be at least 1"),
    ],
)
def test_what_is_missing(tosaic, arguments, message):
    code, _, err = tosaic("numerics", *arguments)
    assert code == 1 and message in err
