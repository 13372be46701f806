"""Every spelling becomes the operators of its module form, and is as exact."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch

from spellings import FAMILIES
from spellings.spelling import CALIBRATION, HELD_OUT, Family, Side, Spelling, exported
from tosaic.api import compile_program, quantize_program
from tosaic.errors import TosaicError
from tosaic.stages import Options
from tosaic.targets import target
from tosaic.tools.bench.models import load_models
from tosaic.tools.bench.spellings import DECIBELS, Figures, Row, rows

# In core ATen too; of the others the whole table is measured by the slow test.
IN_CORE = ("rms_norm", "layer_norm", "causal_attention")
CASES = [(name, "exported") for name in FAMILIES] + [(name, "core") for name in IN_CORE]


def side_by_side(family: Family, spellings: list[Spelling], form: str) -> dict[str, Figures]:
    """Return figures of `spellings`, compiled as one program where none of them is refused."""
    try:
        return figures(family, spellings, form)
    except TosaicError as error:
        if len(spellings) == 1:
            return {spellings[0].name: Figures(refused=str(error))}
    middle = len(spellings) // 2
    parts = (spellings[:middle], spellings[middle:])
    return {k: v for part in parts for k, v in side_by_side(family, part, form).items()}


def figures(family: Family, spellings: list[Spelling], form: str) -> dict[str, Figures]:
    net = Side(family, spellings)

    def samples(seeds: range) -> list[tuple[torch.Tensor, ...]]:
        return [tuple(family.inputs(seed)[place] for place in net.takes) for seed in seeds]

    calibration, held_out = samples(CALIBRATION), samples(HELD_OUT)
    program = exported(net, calibration[0], form)
    program = quantize_program(program, calibration[0], "int8", calibration)
    compiled = compile_program(program, target("tosa-1.0-int"), Options())
    with torch.no_grad():
        real = [torch.stack(outputs) for outputs in zip(*(net(*x) for x in held_out), strict=True)]
    results = zip(*(compiled.run(*x) for x in held_out), strict=True)
    integer = [torch.stack([torch.from_numpy(value) for value in values]) for values in results]
    operators = operators_by_output(compiled.module)
    sqnr_db = load_models().sqnr_db
    return {
        spelling.name: Figures(float(sqnr_db(r, i)), ops)
        for spelling, r, i, ops in zip(spellings, real, integer, operators, strict=True)
    }


def operators_by_output(module: Any) -> list[Counter[str]]:
    """Return which operators each result of a program needs.

    Left out are constants, and the copies that results have which are one value: spellings side by
    side are merged where they are the same.
    """
    (function,) = (op for op in module.body.operations if op.operation.name == "func.func")
    block = function.regions[0].blocks[0]
    return [_needed(value) for value in list(block.operations)[-1].operands]


def _needed(result: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    seen, pending = set(), [result]
    while pending:
        owner = pending.pop().owner
        if not hasattr(owner, "operands") or owner in seen:
            continue  # an argument of the program, or known
        seen.add(owner)
        name = owner.name.removeprefix("tosa.").upper()
        if not name.startswith(("CONST", "IDENTITY")):
            counts[name] += 1
        pending.extend(owner.operands)
    return counts


@cache
def module_figures(name: str) -> Figures:
    family = FAMILIES[name]
    found = side_by_side(family, [family.module_form], "exported")[family.module_form.name]
    assert not found.refused, found.refused
    return found


@pytest.mark.parametrize("name,form", CASES)
def test_operators_and_accuracy_are_the_module_forms(name: str, form: str) -> None:
    family, base = FAMILIES[name], module_figures(name)
    found = side_by_side(family, list(family.spellings.values()), form)
    compared = [Row(family.spellings[key], form, value, base) for key, value in found.items()]
    missed = [
        f"{row.spelling.name}: {row.decibels:+.1f} dB; {row.reason}"
        for row in compared
        if row.figures.refused
        or row.figures.operators != base.operators
        or row.decibels < -DECIBELS
    ]
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("name", FAMILIES)
def test_spellings_compute_the_same(name: str) -> None:
    family = FAMILIES[name]
    (inputs,) = [family.inputs(HELD_OUT[0])]
    with torch.no_grad():
        results = {
            spelling.name: family.net(spelling)(*(inputs[place] for place in spelling.takes))
            for spelling in family.spellings.values()
        }
    expected = results[family.module_form.name]
    for key, result in results.items():
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["exported", "functional", "core"])
@pytest.mark.parametrize("name", FAMILIES)
def test_cycles_and_accuracy_are_the_module_forms(name: str, form: str) -> None:
    missed = [
        f"{row.spelling.name}: {row.ratios}, {row.decibels:+.1f} dB; {row.reason}"
        for row in rows([name], [form])
        if not row.recognised
    ]
    assert not missed, "\n".join(missed)
