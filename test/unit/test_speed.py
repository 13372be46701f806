"""Compile time stays small and linear; bounds are wide, since machines that run tests are busy."""

import pytest

from tosaic.api import compile_program
from tosaic.quantizer import quantize
from tosaic.stages import Options
from tosaic.targets import target
from tosaic.tools.bench import models as bench
from tosaic.tools.bench.scaling import BLOCKS, measure

BUDGET_SECONDS = 3.0  # it takes a fifth of a second
NEGLIGIBLE_SECONDS = 0.05  # for 1000 ops; a garbage collection is as long


def test_resnet8_is_lowered_within_its_budget() -> None:
    inputs = bench.calibration_inputs("resnet8")
    program = quantize(bench.load_models().build("resnet8"), inputs[:1], inputs)
    report = compile_program(program, target("tosa-1.0-int"), Options()).report
    assert sum(report.seconds.values()) < BUDGET_SECONDS


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_pass_is_linear(kind: str) -> None:
    seconds = measure(kind, (100, 1000), passes=True, repeats=3)
    per_op = {
        name: (1e6 * of[100] / 100, 1e6 * of[1000] / 1000)
        for name, of in seconds.items()
        if of[1000] > NEGLIGIBLE_SECONDS
    }
    assert {name: pair for name, pair in per_op.items() if pair[1] > 3 * pair[0]} == {}
