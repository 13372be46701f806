"""Functions of one tensor that are written as several ops are quantised as one lookup."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tosaic
from tosaic.quantizer import QuantRecipe, TosaQuantizer, find_recipe, quantize
from tosaic.quantizer.recipe import Override

pytestmark = pytest.mark.filterwarnings("ignore")
torch.manual_seed(0)
X = torch.rand(2, 4, 30) * 6 - 3


class Of(nn.Module):
    """`fn` of the input, which the module's parameters may be used by."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.fn = fn
        self.factor = nn.Parameter(torch.tensor([0.7]))
        self.rows = nn.Parameter(torch.rand(4, 1))

    def forward(self, x: Tensor) -> Any:
        return self.fn(x, self)


def compiled(
    fn: Callable[..., Any], recipe: str | QuantRecipe = "int8"
) -> tuple[tosaic.CompiledProgram, torch.export.ExportedProgram]:
    """Return the program of `fn` on tosa-1.0-int, and its fake-quantised graph."""
    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    fake = quantize(Of(fn).eval(), (X,), [X], quantizer=TosaQuantizer(chosen))
    return tosaic.compile(fake, target="tosa-1.0-int"), fake


def worst_step(program: tosaic.CompiledProgram, fake: torch.export.ExportedProgram) -> float:
    """Return how far the integers are from fake quantisation, in steps of the output."""
    (got,) = program.run(X)
    with torch.no_grad():
        wanted = fake.module(check_guards=False)(X).numpy()
    scale = program.manifest.outputs[0].scale
    assert isinstance(scale, float)
    return float(np.abs(got - wanted).max()) / scale


def gelu(x: Tensor, _: nn.Module) -> Tensor:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))
    return 0.5 * x * (1.0 + torch.tanh(inner))


SMOOTH = {
    "gelu": gelu,
    "swish": lambda x, m: x * torch.sigmoid(m.factor * x),
    "mish": lambda x, m: x * torch.tanh(F.softplus(x)),
    "softsign": lambda x, m: F.softsign(x),
    "bell": lambda x, m: torch.exp(-m.factor * x * x),
    "in_place": lambda x, m: torch.tanh(x).mul_(2).add_(1),
}
BENT = {
    "hard_swish": lambda x, m: x * F.relu6(x + 3) / 6,
    "leaky": lambda x, m: torch.where(x > 0, x, 0.1 * x),
    "window": lambda x, m: torch.where((x > -1) & (x < 1), x, 0.0) + x,
    "filled": lambda x, m: torch.masked_fill(x * x, x < 0, 0.5),
    "steps": lambda x, m: torch.round(x * 2) / 2,
    "guarded": lambda x, m: torch.where(x > 0, torch.sqrt(x.clamp(min=0)), -x),
}


@pytest.mark.parametrize("name", [*SMOOTH, *BENT])
def test_int8_is_one_table(name: str) -> None:
    program, fake = compiled({**SMOOTH, **BENT}[name])
    assert program.report.operators == {"TABLE": 1, "CONST": 1}
    assert worst_step(program, fake) < 0.01  # 256 entries, each rounded once


@pytest.mark.parametrize("name", SMOOTH)
def test_int16_is_within_a_step(name: str) -> None:
    program, fake = compiled(SMOOTH[name], "a16w8")
    assert worst_step(program, fake) < 1.01


def test_int16_range_of_a_function_leaves_its_table_whole() -> None:
    """Where the operand uses its headroom, the result still fits: no corner, one table."""
    for fn in (gelu, SMOOTH["swish"], lambda x, m: F.silu(x), lambda x, m: x.pow(3)):
        program, _ = compiled(fn, "a16w8")
        assert program.report.operators["TABLE"] == 1


def tables(fn: Callable[..., Any], recipe: str | QuantRecipe = "int8") -> int:
    program, fake = compiled(fn, recipe)
    assert worst_step(program, fake) < 2.01
    return program.report.operators.get("TABLE", 0)


def test_what_has_other_readers_is_quantised() -> None:
    def shared(x: Tensor, _: nn.Module) -> Tensor:
        inner = torch.sigmoid(x) * 2.0
        return torch.cat([torch.tanh(inner + x), inner.flip(1)], 1)

    def split(x: Tensor, _: nn.Module) -> Tensor:
        inner = torch.sigmoid(x) * 2.0
        return torch.cat([torch.tanh(inner), inner.exp()], 1)

    assert tables(shared) == 2  # `inner` of x, and tanh of a sum of two tensors
    assert tables(split) == 2  # one of x each: nothing reads `inner` but them


def test_a_truth_value_is_no_result() -> None:
    def masked(x: Tensor, _: nn.Module) -> Tensor:
        return torch.where((x * 2.0 + 1.0) > 0.5, x.flip(1), x)

    assert tables(masked) == 1  # what is compared


def test_constants_that_vary_are_operands() -> None:
    assert tables(lambda x, m: torch.sigmoid(x * m.rows) * 2.0) == 1  # behind the product


def test_a_clamp_stays_with_its_producer() -> None:
    weight = torch.rand(4, 4, 1) - 0.5
    program, fake = compiled(lambda x, m: torch.sigmoid(F.relu(F.conv1d(x, weight))) * 3.0)
    assert program.report.operators["TABLE"] == 1
    (relu,) = (node for node in fake.graph.nodes if "relu" in str(node.target))
    assert all("quantize_per_tensor" in str(user.target) for user in relu.users)


def test_overrides_end_an_lookup() -> None:
    def fn(x: Tensor, _: nn.Module) -> Tensor:
        return torch.tanh(torch.sigmoid(x) * 2.0)

    override = Override(op="sigmoid", activations="int16")
    assert tables(fn) == 1
    assert tables(fn, QuantRecipe(overrides=(override,))) >= 2
