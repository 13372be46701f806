"""Every case of op_cases*.py: float against PyTorch, int8 against PT2E's fake-quantised graph."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from op_cases import Case

import tosaic
from tosaic.quantizer import quantize

# A file of cases may draw its own inputs and name a target (see op_cases_elementwise).
CASES: list[Case] = [
    case
    for path in sorted(Path(__file__).parent.glob("op_cases*.py"))
    for case in importlib.import_module(path.stem).CASES
]
# Relative to the largest output; float TOSA is computed in another order than PyTorch computes.
FLOAT_TOLERANCE = 1e-5


def _seeded(case: Case) -> tuple[torch.nn.Module, list[tuple[torch.Tensor, ...]]]:
    torch.manual_seed(0)
    model = case.make().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(-1, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    make = getattr(case, "inputs", None) or (lambda: tuple(torch.randn(s) for s in case.shapes))
    return model, [make() for _ in range(4)]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_float(case: Case) -> None:
    model, samples = _seeded(case)
    inputs = samples[0]
    expected = model(*(x.clone() for x in inputs)).detach().numpy()
    program = tosaic.compile(model, inputs, target=getattr(case, "target", "tosa-1.0-fp"))
    given = [x.int() if x.dtype == torch.int64 else x for x in inputs]  # narrowed
    for executor in ("reference", "jit", "runtime"):
        (result,) = program.run(*given, executor=executor)
        assert result.shape == expected.shape
        if expected.dtype.kind != "f":
            np.testing.assert_array_equal(result, expected, err_msg=executor)
        else:
            error = np.abs(result - expected).max()
            assert error <= FLOAT_TOLERANCE * np.abs(expected).max(), executor


@pytest.mark.parametrize("case", [c for c in CASES if c.quantizable], ids=lambda c: c.name)
def test_int8(case: Case) -> None:
    model, samples = _seeded(case)
    program = quantize(model, samples[0], samples)
    compiled = tosaic.compile(program, target="tosa-1.0-int")
    scale = compiled.manifest.outputs[0].scale
    assert scale is not None
    for inputs in samples[:2]:
        expected = program.module()(*inputs).detach().numpy()
        (result,) = compiled.run(*inputs, executor="reference")
        assert result.shape == expected.shape
        # float32 output of integers: a hundredth of a step is rounding of the scale.
        assert np.abs(result - expected).max() / scale <= case.tolerance + 0.01
