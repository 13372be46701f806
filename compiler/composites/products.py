"""Products that are quantised in parts: sums of them, einsum, bilinear forms, cosines."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx

from tosaic.composites.composite import Parts, decomposes
from tosaic.graph.emitter import Emitter

aten = torch.ops.aten


@decomposes(aten.cosine_similarity.default)
def cosine_similarity(e: Emitter, x: Node, y: Node, dim: int = 1, eps: float = 1e-8) -> Node | None:
    """The mean of the product of both, each divided by its root mean square."""
    shape = e.shape(x)
    if e.shape(y) != shape or not shape:
        return None
    dims = [d for d in range(len(shape)) if d != dim % len(shape)] + [dim % len(shape)]
    size = shape[dims[-1]]
    units = [
        e(aten.rms_norm.default, e(aten.permute.default, v, dims), [size], None, eps**2 / size)
        for v in (x, y)
    ]
    return e(aten.mean.dim, e(aten.mul.Tensor, *units), [-1])


def _added(product: Any, e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node:
    out = e(product, x, y)
    beta, alpha = factors.get("beta", 1), factors.get("alpha", 1)
    if alpha != 1:
        out = e(aten.mul.Tensor, out, alpha)
    if beta == 0:
        return out
    return e(aten.add.Tensor, out, total if beta == 1 else e(aten.mul.Tensor, total, beta))


@decomposes(aten.addmm.default)
def addmm(e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node | None:
    """Nothing to do where `y` is a layer's weight and `total` its bias."""
    if not factors and e.value(y) is not None and e.value(total) is not None:
        return None
    return _added(aten.matmul.default, e, total, x, y, **factors)


def _sum_of(product: Any) -> Parts:
    def parts(e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node:
        return _added(product, e, total, x, y, **factors)

    return parts


decomposes(aten.baddbmm.default)(_sum_of(aten.matmul.default))
decomposes(aten.addmv.default)(_sum_of(aten.mv.default))
decomposes(aten.addr.default)(_sum_of(aten.outer.default))


@decomposes(aten.addbmm.default)
def addbmm(e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node:
    """A sum of products over the batch: one product of what is joined along it."""
    (n, rows, inside), columns = e.shape(x), e.shape(y)[2]
    left = e(aten.reshape.default, e(aten.permute.default, x, [1, 0, 2]), [rows, n * inside])
    right = e(aten.reshape.default, y, [n * inside, columns])
    return _added(aten.matmul.default, e, total, left, right, **factors)


@decomposes(aten.bilinear.default)
def bilinear(e: Emitter, x: Node, y: Node, weight: Node, bias: Node | None = None) -> Node:
    """A linear layer of all products of two elements."""
    count, size, other = e.shape(weight)
    left, right = e(aten.unsqueeze.default, x, -1), e(aten.unsqueeze.default, y, -2)
    pairs = e(aten.mul.Tensor, left, right)
    rows = e(aten.reshape.default, pairs, [*e.shape(x)[:-1], size * other])
    known = e.value(weight)
    if known is None:
        flat = e(aten.reshape.default, weight, [count, size * other])
    else:
        flat = e.constant("_bilinear_weight", known.reshape(count, size * other))
    return e.linear(rows, flat, bias)


@decomposes(aten.einsum.default)
def traced(e: Emitter, *args: Any, **kwargs: Any) -> Node:
    """What PyTorch itself makes of the op."""
    same = _elementwise(e, *args)
    if same is not None:
        return same
    nodes = e.origin.all_input_nodes

    def run(*values: torch.Tensor) -> Any:
        known = dict(zip(nodes, values, strict=True))
        given, named = torch.fx.map_arg((args, kwargs), lambda n: known[n])
        return e.origin.target(*given, **named)  # type: ignore[operator]

    graph = make_fx(run)(*(n.meta["val"] for n in nodes)).graph
    found: dict[Node, Any] = {}
    inputs = iter(nodes)
    for node in graph.nodes:
        if node.op == "placeholder":
            found[node] = next(inputs)
        elif node.op == "call_function":
            given, named = torch.fx.map_arg((node.args, node.kwargs), lambda n: found[n])
            found[node] = e(node.target, *given, **named)
        elif node.op == "output":
            return found[node.args[0]]  # type: ignore[no-any-return]
    raise AssertionError("a traced graph has an output")


def _elementwise(e: Emitter, equation: str, operands: Any, *path: Any) -> Node | None:
    """Return a sum of products of elements at the same places, as ``einsum("bd,bd->b", x, y)``."""
    del path
    inputs, _, output = equation.replace(" ", "").partition("->")
    first, _, second = inputs.partition(",")
    alike = len(operands) == 2 and first == second and len(set(first)) == len(first)
    kept = [n for n, name in enumerate(first) if name in output]
    if not alike or "." in first or output != "".join(first[n] for n in kept):
        return None
    product = e(aten.mul.Tensor, *operands)
    dims = [n for n in range(len(first)) if n not in kept]
    return e(aten.sum.dim_IntList, product, dims) if dims else product
