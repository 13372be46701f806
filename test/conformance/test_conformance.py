"""A quick part of TOSA's generated tests; conformance.py runs all."""

import pytest
from conformance import generate, run

QUICK = (
    *(
        ("int", name)
        for name in ("argmax", "intdiv", "matmul", "mul", "reduce_max", "select", "table")
    ),
    *(
        ("fp", name)
        for name in ("cast", "clamp", "matmul", "maximum", "pow", "reduce_product", "sigmoid")
    ),
)
LONG = (("int", "rescale"), ("int", "transpose_conv2d"), ("fp", "avg_pool2d"), ("fp", "conv2d"))
SHAPES = {"int matmul": ["2,3,4"], "fp matmul": ["9,10,20"], "fp avg_pool2d": ["1,9,38,8"]}


@pytest.mark.parametrize(
    ("profile", "operator"), [*QUICK, *(pytest.param(*p, marks=pytest.mark.slow) for p in LONG)]
)
def test_the_runtime_agrees_with_the_reference_model(profile, operator, tmp_path):
    shapes = SHAPES.get(f"{profile} {operator}", ["1,2,3,2"])
    generate(tmp_path, operator, shapes, profile)
    results = list(run(tmp_path, operator, profile))
    assert results and all(result.judged for result in results)
    assert [(r.test.name, r.problem) for r in results if r.problem] == []
