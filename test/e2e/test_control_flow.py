"""Branches, loops and wrapped graphs inside of a model, in float and in integers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.map import map as map_rows
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop

import tosaic
from tosaic.errors import InputError, TosaicError


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Linear(4, 4)


class Branch(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, self.a, lambda v: v * 2, (x,)) + 1


class NestedBranches(Linear):
    """With a constant, a predicate of rank 1 and two results."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def inner(v: Tensor) -> tuple[Tensor, Tensor]:
            shifted = v + torch.tensor([1.0, 2.0, 3.0, 4.0])
            return torch.cond(
                v.amax() > 1, lambda v: (v + 1, shifted), lambda v: (v.sin(), shifted * 0.5), (v,)
            )

        first, second = torch.cond(
            (x.sum() > 0).reshape(1), inner, lambda v: (self.a(v), v + 3), (x,)
        )
        return first + second, second


class Loop(Linear):
    def forward(self, x: Tensor) -> Tensor:
        def body(i: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            return i + 1, self.a(v).relu() + v

        return while_loop(lambda i, v: i < 3, body, (torch.tensor(0), x))[1]


class CountedLoop(Linear):
    """Its count is a number, not a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return while_loop(lambda i, v: i < 2, lambda i, v: (i + 1, self.a(v)), (0, x))[1]


class LoopAfterResiduals(Linear):
    """There are 2**40 paths to where the loop begins."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(40):
            x = (x + x.relu()) * 0.5
        count = torch.tensor(0)
        return while_loop(lambda i, v: i < 2, lambda i, v: (i + 1, self.a(v)), (count, x))[1]


class LoopUntil(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return while_loop(lambda v: v.sum() < 3, lambda v: (v * 2 + 1,), (x,))[0]


class EndlessLoop(Linear):
    def forward(self, x: Tensor) -> Tensor:
        count = torch.tensor(0)
        return while_loop(lambda i, v: i < 9999, lambda i, v: (i + 1, v * 2), (count, x))[1]


class Rows(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return map_rows(lambda row: self.a(row).relu(), x)


class Running(Linear):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return scan(lambda c, row: (c + row, c * 0.5 + row), x[0], x, dim=0)


class WithoutGradients(Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            y = self.a(x)
        return y.relu()


class WithoutAutocast(Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            y = self.a(x)
        return y.relu()


class Autocast(Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.a(x)
        return y.float().relu()


FLAT = [
    *(Branch, NestedBranches, Loop, Rows, Running),
    *(WithoutGradients, WithoutAutocast),
]
# The sums are far from the borders of the branches.
DATA = [torch.randn(2, 4, generator=torch.Generator().manual_seed(n)) + (-1) ** n for n in range(8)]


def exported(model: nn.Module) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(model.eval(), (DATA[0],), strict=False)


def results(value: Any) -> list[np.ndarray]:
    return [t.detach().numpy() for t in torch.utils._pytree.tree_leaves(value)]


@pytest.mark.parametrize("kind", FLAT)
def test_float(kind: type[nn.Module]) -> None:
    source = exported(kind())
    program = tosaic.compile(source, target="tosa-1.0-fp")
    for x in DATA[:4]:
        wanted = results(source.module()(x))
        for executor in ("jit", "reference"):
            found = program.run(x, executor=executor)
            assert len(found) == len(wanted)
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_loop_behind_a_deep_net() -> None:
    program = tosaic.compile(LoopAfterResiduals().eval(), DATA[:1], target="tosa-1.0-fp")
    assert program.report.operators["CONV2D"] == 2


def test_a_loop_that_counts_in_numbers() -> None:
    model = CountedLoop().eval()
    program = tosaic.compile(model, DATA[:1], target="tosa-1.0-fp")
    np.testing.assert_allclose(program.run(DATA[0])[0], *results(model.a(model.a(DATA[0]))), 1e-5)


@pytest.mark.parametrize("kind", FLAT)
def test_integers(kind: type[nn.Module]) -> None:
    source = exported(kind())
    program = tosaic.compile(
        source, (DATA[0],), target="ethos-u85-256", quantize="int8", calibration=DATA
    )
    for x in DATA:
        wanted = results(source.module()(x))
        for info, a, b in zip(program.manifest.outputs, program.run(x), wanted, strict=True):
            assert info.scale is not None
            np.testing.assert_allclose(a, b, atol=4 * np.max(info.scale))
    np.testing.assert_array_equal(
        program.run(DATA[0])[0], program.run(DATA[0], executor="reference")[0]
    )


def test_branches_share_their_quantisation() -> None:
    """What selects between two tensors needs no rescale of its own."""
    program = tosaic.compile(
        Branch().eval(), DATA[:1], target="tosa-1.0-int", quantize="int8", calibration=DATA
    )
    selects = [line for line in program.text.splitlines() if "tosa.select" in line]
    assert len(selects) == 1
    assert "xi8>" in selects[0]
    assert "xi32>" not in selects[0]


def test_autocast_computes_in_its_type() -> None:
    source = exported(Autocast())
    program = tosaic.compile(source, target="tosa-1.0-fp")
    assert "bf16" in program.text
    (found,), (wanted,) = program.run(DATA[0]), results(source.module()(DATA[0]))
    np.testing.assert_allclose(found, wanted, rtol=2**-7)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (LoopUntil, r"How often the loop 'while_loop' at .*test_control_flow.py:\d+ turns depends"),
        (EndlessLoop, r"more than 1024 turns"),
    ],
)
def test_loops_that_cannot_be_unrolled(kind: type[nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tosaic.compile(kind().eval(), DATA[:1], target="tosa-1.0-fp")


def test_where_an_op_of_a_branch_is_from() -> None:
    class Refused(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cond(
                x.sum() > 0,
                lambda v: v * 2,
                lambda v: torch.linalg.solve(torch.eye(2), v),
                (x,),
            )

    line = Refused.forward.__code__.co_firstlineno + 1
    with pytest.raises(TosaicError, match=rf"test_control_flow.py:{line}"):
        tosaic.compile(Refused().eval(), DATA[:1], target="tosa-1.0-fp")
