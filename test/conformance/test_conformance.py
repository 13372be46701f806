"""A quick part of TOSA's generated tests; conformance.py runs all."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conformance import generate, run

QUICK = ("argmax", "intdiv", "matmul", "mul", "reduce_max", "select", "table")
LONG = ("rescale", "transpose_conv2d")
OPERATORS = (*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_runtime_agrees_with_the_reference_model(operator, tmp_path):
    generate(tmp_path, operator, ["1,2,3,2"] if operator != "matmul" else ["2,3,4"])
    results = list(run(tmp_path, operator))
    assert results and all(result.judged for result in results)
    assert [(r.test.name, r.problem) for r in results if r.problem] == []
