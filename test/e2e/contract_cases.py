"""Cases of what test_contract_pairs needs beside the others; see op_cases."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from op_cases import Case, Function
from op_cases_elementwise import ElementwiseCase
from torch import Tensor, nn

from support.nets import Calls

ROWS = (3, 8)
CASES: list[Case] = []


def _function(name: str, fn: Function, *shapes: tuple[int, ...]) -> None:
    CASES.append(Case(name, lambda: Calls(fn), shapes or (ROWS,)))


def _positive(name: str, fn: Function) -> None:
    def draw() -> tuple[Tensor, ...]:
        return (torch.rand(ROWS) * 2 + 0.5,)

    CASES.append(ElementwiseCase(name, lambda: Calls(fn), (), inputs=draw))


def _chosen(compare: Callable[..., Tensor]) -> Function:
    return lambda x, y: torch.where(compare(x, y), x, y)


class Embedded(nn.Module):
    """Rows of a table, chosen by numbers that are constants."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 8)
        self.register_buffer("rows", torch.tensor([0, 3, 4]))

    def forward(self, x: Tensor) -> Tensor:
        return self.table(self.rows) + x


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _function(f"where_{_name}", _chosen(getattr(torch, _name)), ROWS, ROWS)
_function("where_number", lambda x: torch.where(x > 0.1, x, 0.5))
_function("where_numbers", lambda x, y: torch.where(x > 0.1, 0.25, -0.5) * y, ROWS, ROWS)
_function("masked_fill", lambda x, y: x.masked_fill(y > 0, 0.25), ROWS, ROWS)
for _name in ("ceil", "floor", "sin", "cos"):
    _function(_name, getattr(torch, _name))
for _name in ("log", "reciprocal"):
    _positive(_name, getattr(torch, _name))
_function("nanmean", lambda x: torch.nanmean(x, 1))
_function("kron", torch.kron, (2, 3), (3, 2))
_function("block_diag", torch.block_diag, (2, 3), (3, 2))
_function("fftshift", lambda x: torch.fft.fftshift(x, 1))
_function("ifftshift", lambda x: torch.fft.ifftshift(x, 1))
_function("im2col", lambda x: F.unfold(x, 2), (1, 2, 4, 4))
_function("atleast", torch.atleast_3d, (2, 4))
_function("cartesian_prod", torch.cartesian_prod, (3,), (4,))
_function("split", lambda x: torch.cat(x.split([3, 5], 1)[::-1], 1))
_function("chunk", lambda x: x.chunk(2, 1)[1])
_function("var_mean", lambda x: torch.var(x, 1) + torch.mean(x, 1))
CASES.append(Case("embedded", Embedded, (ROWS,)))
CASES.append(Case("prelu", lambda: nn.PReLU(8), (ROWS,)))
