"""Patterns of expressions: order of operands, names, numbers, ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from support.normal_form import normalized
from tosaic.graph.match import Is, Number, Pattern, add, call, either, first_match, mul, scaled, sub
from tosaic.graph.match import Tensor as Any_

aten = torch.ops.aten
X, Y = Any_("x"), Any_("y")
TANH = call(aten.tanh.default, X)


def found(pattern: Pattern, function: Callable[..., Tensor]) -> dict[str, object] | None:
    graph = normalized(function, torch.rand(2, 3), torch.rand(2, 3))
    (result,) = graph.graph.output_node().args[0]  # type: ignore[misc]
    bindings = first_match(pattern, result)
    return None if bindings is None else {k: getattr(v, "name", v) for k, v in bindings.items()}


@pytest.mark.parametrize(
    ("pattern", "function", "wanted"),
    [
        (mul(X, TANH), lambda x, y: x * x.tanh(), {"x": "inputs_0"}),
        (mul(X, TANH), lambda x, y: y.tanh() * y, {"x": "inputs_1"}),
        (mul(X, TANH), lambda x, y: y.tanh() * x, None),
        (sub(X, Y), lambda x, y: x - y, {"x": "inputs_0", "y": "inputs_1"}),
        (sub(TANH, X), lambda x, y: x - x.tanh(), None),
        (add(X, Number("c")), lambda x, y: x + 3, {"x": "inputs_0", "c": 3.0}),
        (add(X, Is(0.044715)), lambda x, y: x + 0.0447151, {"x": "inputs_0"}),
        (add(X, Is(0.044715)), lambda x, y: x + 0.0448, None),
        (scaled(X, 0.1), lambda x, y: x / 10, {"x": "inputs_0"}),
        (scaled(X, 0.1), lambda x, y: x * 0.1, {"x": "inputs_0"}),
        (either(sub(X, Y), add(X, X)), lambda x, y: y + y, {"x": "inputs_1"}),
        (either(sub(X, Y), add(X, X)), lambda x, y: x + y, None),
    ],
)
def test_patterns(
    pattern: Pattern, function: Callable[..., Tensor], wanted: dict[str, object] | None
) -> None:
    assert found(pattern, function) == wanted
