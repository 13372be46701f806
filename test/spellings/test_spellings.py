"""Every spelling becomes the units of its module form, or says why it cannot; and is as exact."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
from torch.fx import GraphModule

from spellings import FAMILIES
from spellings.spelling import CALIBRATION, HELD_OUT, Family, Side, Spelling, exported
from tosaic.api import compile_program, quantize_program
from tosaic.frontend.normal import normalize
from tosaic.graph.facts import is_floating
from tosaic.lowering.ops import Quantized
from tosaic.quantizer.parts import to_parts
from tosaic.quantizer.plan import decide
from tosaic.quantizer.recipe import QuantRecipe
from tosaic.stages import Options
from tosaic.targets import target
from tosaic.tools.bench.models import load_models
from tosaic.tools.bench.spellings import DECIBELS, Figures, Row, rows

aten = torch.ops.aten
# In core ATen too, and compiled; the others are in slow tests.
IN_CORE = ("rms_norm", "layer_norm", "hard_swish", "causal_attention")
COMPILED = ("rms_norm", "causal_softmax")


def _cases(form: str, quick: Any) -> list[Any]:
    return [
        pytest.param(name, form, marks=[] if name in quick else pytest.mark.slow)
        for name in FAMILIES
    ]


CASES = [*_cases("exported", FAMILIES), *_cases("core", IN_CORE)]


def parts(family: Family, spelling: Spelling, form: str) -> GraphModule:
    """Return a spelling in the ops that are quantised as one each; its values are eager's."""
    net, (inputs,) = family.net(spelling), family.samples(spelling, HELD_OUT[:1])
    model = to_parts(normalize(exported(net, inputs, form)).module(check_guards=False))
    with torch.no_grad():
        torch.testing.assert_close(model(*inputs), net(*inputs), rtol=1e-4, atol=1e-4)
    return model


def arithmetic(model: GraphModule) -> Counter[str]:
    """Return the units that compute floats, by their op; functions looked up are one kind.

    A difference is a sum. Left out are units that only move data, and what makes a mask: truth
    values and integers.
    """
    counts: Counter[str] = Counter()
    for unit in set(decide(model, QuantRecipe()).units.values()):
        if is_floating(unit.members[-1]) and unit.kind is not Quantized.SHARED:
            op = aten.add.Tensor if unit.main.target is aten.sub.Tensor else unit.main.target
            counts["TABLE" if unit.kind is Quantized.TABLE else str(op)] += 1
    return counts


@cache
def module_arithmetic(name: str) -> Counter[str]:
    family = FAMILIES[name]
    return arithmetic(parts(family, family.module_form, "exported"))


@pytest.mark.parametrize("name,form", CASES)
def test_units_are_the_module_forms(name: str, form: str) -> None:
    family, base = FAMILIES[name], module_arithmetic(name)
    wrong = []
    for spelling in family.spellings.values():
        found = arithmetic(parts(family, spelling, form))
        reason = spelling.reason(form)
        if found != base and not reason:
            wrong.append(f"{spelling.name}: more {found - base}, fewer {base - found}")
        elif found == base and reason:
            wrong.append(f"{spelling.name} does not differ any more: {reason}")
    assert not wrong, "\n".join(wrong)


def figures(family: Family, spellings: list[Spelling], form: str) -> dict[str, Figures]:
    """Return figures of `spellings`, compiled as one program."""
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


@pytest.mark.parametrize("name,form", _cases("exported", COMPILED))
def test_operators_and_accuracy_are_the_module_forms(name: str, form: str) -> None:
    family = FAMILIES[name]
    found = figures(family, [s for s in family.spellings.values() if not s.reason(form)], form)
    base = found[family.module_form.name]
    compared = [Row(family.spellings[key], form, value, base) for key, value in found.items()]
    missed = [
        f"{row.spelling.name}: {row.decibels:+.1f} dB; {row.difference}"
        for row in compared
        if row.figures.operators != base.operators or row.decibels < -DECIBELS
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
        f"{row.spelling.name}: {row.ratios}, {row.decibels:+.1f} dB; {row.difference}"
        for row in rows([name], [form])
        if not row.recognised and not row.spelling.reason(form)
    ]
    assert not missed, "\n".join(missed)
