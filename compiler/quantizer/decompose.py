"""Composite ops of an exported graph taken apart, so that each part is quantised on its own."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from tosaic.quantizer.compose import compose
from tosaic.quantizer.elementary import ELEMENTARY
from tosaic.quantizer.emitter import Emitter
from tosaic.quantizer.hoist_slices import hoist_slices
from tosaic.quantizer.mask_softmax import NEVER, mask_softmax
from tosaic.quantizer.recurrent import recurrent_cell, recurrent_net
from tosaic.quantizer.rotary import split_rotations
from tosaic.quantizer.split_constants import split_constants

aten = torch.ops.aten
Parts = Callable[..., "Node | tuple[Node, ...] | None"]


def regrouped(model: GraphModule) -> GraphModule:
    """Write `model` in the ops that are quantised as one each: norms whole, attention in parts.

    What no output needs is left out on the way.
    """
    return hoist_slices(decompose(split_constants(split_rotations(compose(mask_softmax(model))))))


def decompose(model: GraphModule) -> GraphModule:
    """Replace attention, recurrent nets and sums of products in `model` by their parts."""
    changed = False
    for node in list(model.graph.nodes):
        parts = _parts(node)
        if parts is None or not _is_static(node):
            continue
        with model.graph.inserting_before(node):
            result = parts(Emitter(model, node), *node.args, **node.kwargs)
        if result is None:
            continue
        changed = True
        _replace(model, node, result)
    if changed:
        model.graph.lint()
        model.recompile()
    return model


def decomposed_ops() -> set[str]:
    """Return the names of the ops that are quantised in parts, such as ``addcmul``."""
    targets = [*ELEMENTARY, *_PARTS]
    return {str(t).removeprefix("aten.").removesuffix(".default") for t in targets}


def _parts(node: Node) -> Parts | None:
    if node.op != "call_function":
        return None
    elementary = ELEMENTARY.get(node.target)
    if elementary is not None and node.all_input_nodes:
        # Of integers these are computed as they are.
        values = [n.meta.get("val") for n in node.all_input_nodes]
        floats = any(isinstance(v, torch.Tensor) and v.is_floating_point() for v in values)
        return elementary if floats else None
    return _PARTS.get(node.target)


def _replace(model: GraphModule, node: Node, result: Node | tuple[Node, ...]) -> None:
    if isinstance(result, Node):
        name = node.name
        node.replace_all_uses_with(result)
        model.graph.erase_node(node)
        result._rename(name)
        return
    for user in list(node.users):
        assert user.target is operator.getitem
        user.replace_all_uses_with(result[user.args[1]])  # type: ignore[index]
        model.graph.erase_node(user)
    model.graph.erase_node(node)


def _is_static(node: Node) -> bool:
    values = [n.meta.get("val") for n in [node, *node.all_input_nodes]]
    tensors = [t for v in values for t in (v if isinstance(v, list | tuple) else [v])]
    return all(
        isinstance(t, torch.Tensor) and all(isinstance(d, int) for d in t.shape) for t in tensors
    )


def _cosine_similarity(
    e: Emitter, x: Node, y: Node, dim: int = 1, eps: float = 1e-8
) -> Node | None:
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


def _attention(
    e: Emitter,
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Node | None:
    if dropout:
        return None
    shared = [_shared_heads(e, q, k), _shared_heads(e, q, v)]
    if shared[0][1] == shared[1][1]:
        (k, times), (v, _) = shared
    elif e.shape(k)[-3] == e.shape(v)[-3]:
        times = 1  # one of them is copied in a way that is not seen through
    else:
        return None
    scores = _by_group(e, q, e(aten.transpose.int, k, -2, -1), times)
    factor = e.shape(q)[-1] ** -0.5 if scale is None else scale
    scores = e(aten.mul.Tensor, scores, factor)
    shape = e.shape(scores)
    never: Node | None = None
    if causal:
        ones = torch.ones(shape[-2:], dtype=torch.bool)
        never = e.constant("_causal_mask", ones.triu(1))
    elif mask is not None and mask.meta["val"].dtype == torch.bool:
        known = e.value(mask)
        never = (
            e(aten.logical_not.default, mask)
            if known is None
            else e.constant("_attention_mask", ~known)
        )
    elif mask is not None:
        scores, never = _added_mask(e, scores, mask)
    if never is None:
        weights = e(aten.softmax.int, scores, -1)
    else:
        whole = e(aten.expand.default, never, shape)
        weights = e(aten._masked_softmax.default, scores, whole, len(shape) - 1, 2)
    return _by_group(e, weights, v, times)


def _by_group(e: Emitter, x: Node, y: Node, times: int) -> Node:
    """Return ``x @ y`` where each head of `y` serves `times` of `x`, which follow each other."""
    if times == 1:
        return e(aten.matmul.default, x, y)
    *batch, heads, rows, inside = e.shape(x)
    stacked = e(aten.reshape.default, x, [*batch, heads // times, times * rows, inside])
    out = e(aten.matmul.default, stacked, y)
    return e(aten.reshape.default, out, [*batch, heads, rows, e.shape(y)[-1]])


def _shared_heads(e: Emitter, q: Node, x: Node) -> tuple[Node, int]:
    """Return keys (or values) without the copies that models make of shared heads, and how many
    heads of `q` read each."""
    heads = e.shape(q)[-3] if len(e.shape(q)) > 2 else 1
    given = e.shape(x)[-3] if len(e.shape(x)) > 2 else 1
    if given != heads:
        return x, heads // given
    if x.target is aten.repeat_interleave.self_int and x.args[2:3] == (len(e.shape(x)) - 3,):
        return x.args[0], int(x.args[1])  # type: ignore[return-value, arg-type]
    expand = x.args[0] if x.target in (aten.reshape.default, aten.view.default) else None
    if not isinstance(expand, Node) or expand.target is not aten.expand.default:
        return x, 1
    single = expand.args[0]
    source = e.shape(single)  # type: ignore[arg-type]
    if len(source) < 4 or source[-3] != 1 or e.shape(expand)[:-3] != source[:-3]:
        return x, 1
    shape = [*source[:-3], *source[-2:]]
    if [*shape[:-3], heads, *shape[-2:]] != e.shape(x):
        return x, 1
    return e(aten.reshape.default, single, shape), heads // source[-4]


def _added_mask(e: Emitter, scores: Node, mask: Node) -> tuple[Node, Node | None]:
    """Return the scores with what the mask adds to them, and where it says never."""
    known = e.value(mask)
    if known is None or bool((known > NEVER).all()):
        return e(aten.add.Tensor, scores, mask), None
    hidden = known <= NEVER
    rest = known.masked_fill(hidden, 0.0)
    if bool(rest.any()):
        scores = e(aten.add.Tensor, scores, e.constant("_attention_bias", rest))
    return scores, e.constant("_attention_mask", hidden)


def _added(product: Any, e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node:
    out = e(product, x, y)
    beta, alpha = factors.get("beta", 1), factors.get("alpha", 1)
    if alpha != 1:
        out = e(aten.mul.Tensor, out, alpha)
    if beta == 0:
        return out
    return e(aten.add.Tensor, out, total if beta == 1 else e(aten.mul.Tensor, total, beta))


def _addmm(e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node | None:
    """Nothing to do where `y` is a layer's weight and `total` its bias."""
    if not factors and e.value(y) is not None and e.value(total) is not None:
        return None
    return _added(aten.mm.default, e, total, x, y, **factors)


def _sum_of(product: Any) -> Parts:
    def parts(e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node:
        return _added(product, e, total, x, y, **factors)

    return parts


def _addbmm(e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node:
    (n, rows, inside), columns = e.shape(x), e.shape(y)[2]
    left = e(aten.reshape.default, e(aten.permute.default, x, [1, 0, 2]), [rows, n * inside])
    right = e(aten.reshape.default, y, [n * inside, columns])
    return _added(aten.mm.default, e, total, left, right, **factors)


def _bilinear(e: Emitter, x: Node, y: Node, weight: Node, bias: Node | None = None) -> Node:
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


def _traced(e: Emitter, *args: Any, **kwargs: Any) -> Node:
    """What PyTorch itself makes of the op."""
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


_PARTS: dict[Any, Parts] = {
    aten.cosine_similarity.default: _cosine_similarity,
    aten.scaled_dot_product_attention.default: _attention,
    aten.lstm.input: partial(recurrent_net, "lstm"),
    aten.gru.input: partial(recurrent_net, "gru"),
    aten.rnn_tanh.input: partial(recurrent_net, "rnn_tanh"),
    aten.rnn_relu.input: partial(recurrent_net, "rnn_relu"),
    aten.lstm_cell.default: partial(recurrent_cell, "lstm"),
    aten.gru_cell.default: partial(recurrent_cell, "gru"),
    aten.rnn_tanh_cell.default: partial(recurrent_cell, "rnn_tanh"),
    aten.rnn_relu_cell.default: partial(recurrent_cell, "rnn_relu"),
    aten.addmm.default: _addmm,
    aten.baddbmm.default: _sum_of(aten.bmm.default),
    aten.addmv.default: _sum_of(aten.mv.default),
    aten.addr.default: _sum_of(aten.outer.default),
    aten.addbmm.default: _addbmm,
    aten.bilinear.default: _bilinear,
    aten.einsum.default: _traced,
}
