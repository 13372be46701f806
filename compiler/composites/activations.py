"""Activation functions spelled out.

GELU: Hendrycks and Gimpel, arXiv:1606.08415; SiLU: the same; hard-swish: Howard et al.,
arXiv:1905.02244.
"""

from __future__ import annotations

import math

import torch
from torch.fx import Node

from tosaic.composites.composite import composes
from tosaic.graph.emitter import Emitter
from tosaic.graph.match import Bindings, Pattern, Tensor, add, call, div, either, mul, scaled

aten = torch.ops.aten
X = Tensor("x")


def _times(x: Pattern, gate: Pattern, factor: float) -> Pattern:
    """The product of all three, whichever two are multiplied first."""
    return either(
        scaled(mul(x, gate), factor), mul(x, scaled(gate, factor)), mul(scaled(x, factor), gate)
    )


_CUBE = either(call(aten.pow.Tensor_Scalar, X, 3), mul(mul(X, X), X))
_ERF = add(call(aten.erf.default, scaled(X, math.sqrt(0.5))), 1)
_INSIDE = either(
    scaled(add(X, scaled(_CUBE, 0.044715)), math.sqrt(2 / math.pi)),
    _times(X, add(scaled(mul(X, X), 0.044715), 1), math.sqrt(2 / math.pi)),
)
_TANH = add(call(aten.tanh.default, _INSIDE), 1)


@composes("gelu", _times(X, _ERF, 0.5))
def gelu(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x / 2 * (1 + erf(x / sqrt(2)))``."""
    return e(aten.gelu.default, parts["x"])


@composes("gelu", _times(X, _TANH, 0.5))
def gelu_tanh(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``."""
    return e(aten.gelu.default, parts["x"], approximate="tanh")


@composes(
    "sigmoid",
    call(aten.reciprocal.default, add(call(aten.exp.default, call(aten.neg.default, X)), 1)),
    call(aten.reciprocal.default, add(call(aten.exp.default, mul(X, -1)), 1)),
)
def sigmoid(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``1 / (1 + exp(-x))``."""
    return e(aten.sigmoid.default, parts["x"])


@composes(
    "silu",
    mul(X, call(aten.sigmoid.default, X)),
    div(X, add(call(aten.exp.default, call(aten.neg.default, X)), 1)),
)
def silu(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x * sigmoid(x)``."""
    return e(aten.silu.default, parts["x"])


_RELU6 = either(
    call(aten.relu6.default, add(X, 3)),
    call(aten.hardtanh.default, add(X, 3), 0, 6),
    call(aten.clamp.default, add(X, 3), 0, 6),
)


@composes("hardsigmoid", scaled(_RELU6, 1 / 6))
def hardsigmoid(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``relu6(x + 3) / 6``."""
    return e(aten.hardsigmoid.default, parts["x"])


@composes("hardswish", mul(X, call(aten.hardsigmoid.default, X)), _times(X, _RELU6, 1 / 6))
def hardswish(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x * relu6(x + 3) / 6``."""
    return e(aten.hardswish.default, parts["x"])
