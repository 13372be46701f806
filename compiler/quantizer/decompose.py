"""Composite ops of an exported graph taken apart, so that each part is quantised on its own."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from tosaic.lowering.torch_to_tosa.rnn import Cell, Net, cells_of
from tosaic.quantizer.compose import compose
from tosaic.quantizer.hoist_slices import hoist_slices
from tosaic.quantizer.split_constants import split_constants

aten = torch.ops.aten
Parts = Callable[..., "Node | tuple[Node, ...] | None"]


# What a mask adds to scores that must not count; any less is a bias of them.
_NEVER = -1e4


def regrouped(model: GraphModule) -> GraphModule:
    """Write `model` in the ops that are quantised as one each: norms whole, attention in parts.

    What no output needs is left out on the way.
    """
    return hoist_slices(decompose(split_constants(compose(model))))


def decompose(model: GraphModule) -> GraphModule:
    """Replace attention, recurrent nets and sums of products in `model` by their parts."""
    changed = False
    for node in list(model.graph.nodes):
        parts = _PARTS.get(node.target) if node.op == "call_function" else None
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


@dataclass(frozen=True)
class Emitter:
    """Adds nodes in place of `origin`, with its metadata; also the `Algebra` of tosaic's rnn."""

    model: GraphModule
    origin: Node

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        """Add a call of ATen op `target`; arguments may hold nodes."""
        node = self.model.graph.call_function(target, args, kwargs)
        inherited = self.origin.meta.items()
        node.meta.update({k: v for k, v in inherited if k not in ("val", "tensor_meta")})
        values, named = torch.fx.map_arg((args, kwargs), lambda n: n.meta["val"])
        node.meta["val"] = target(*values, **named)
        return node

    def constant(self, name: str, value: torch.Tensor) -> Node:
        """Add a buffer of the model."""
        unique = next(f"{name}_{n}" for n in range(10**9) if not hasattr(self.model, f"{name}_{n}"))
        self.model.register_buffer(unique, value)
        node = self.model.graph.get_attr(unique)
        mode = getattr(self.origin.all_input_nodes[0].meta["val"], "fake_mode", None)
        node.meta["val"] = value if mode is None else mode.from_tensor(value, static_shapes=True)
        return node

    def value(self, node: Node) -> torch.Tensor | None:
        """Return the value of a parameter or buffer, None for what the model computes."""
        known = getattr(self.model, str(node.target), None) if node.op == "get_attr" else None
        return None if known is None else known.detach()

    def shape(self, node: Node) -> list[int]:
        """Return the shape of a node's value."""
        return list(node.meta["val"].shape)

    # --- Algebra -------------------------------------------------------------------------------

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """Return ``x @ weight.T + bias``."""
        return self(aten.linear.default, x, weight, bias)

    def function(self, name: str, x: Node) -> Node:
        """Return "sigmoid", "tanh" or "relu" of `x`."""
        return self(getattr(aten, name).default, x)

    def arithmetic(self, name: str, x: Node, y: Node) -> Node:
        """Return the "add", "sub" or "mul" of two values."""
        return self(getattr(aten, name).Tensor, x, y)

    def chunks(self, x: Node, count: int) -> list[Node]:
        """Return the last dim in `count` equal parts."""
        size = self.shape(x)[-1] // count
        return [self(aten.slice.Tensor, x, -1, n * size, (n + 1) * size) for n in range(count)]

    def rows(self, x: Node) -> list[Node]:
        """Return the items along the first dim."""
        return [self(aten.select.int, x, 0, n) for n in range(self.shape(x)[0])]

    def stack(self, values: Sequence[Node]) -> Node:
        """Return `values` along a new first dim."""
        return self(aten.stack.default, list(values), 0)

    def join(self, values: Sequence[Node]) -> Node:
        """Return `values` joined along the last dim."""
        return self(aten.cat.default, list(values), -1)

    def swapped(self, x: Node) -> Node:
        """Return `x` with its first two dims swapped."""
        return self(aten.transpose.int, x, 0, 1)


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
    if enable_gqa and e.shape(q)[-3] != e.shape(k)[-3]:
        k, v = (_repeated_heads(e, x, e.shape(q)[-3]) for x in (k, v))
    scores = e(aten.matmul.default, q, e(aten.transpose.int, k, -2, -1))
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
    return e(aten.matmul.default, weights, v)


def _added_mask(e: Emitter, scores: Node, mask: Node) -> tuple[Node, Node | None]:
    """Return the scores with what the mask adds to them, and where it says never."""
    known = e.value(mask)
    if known is None or bool((known > _NEVER).all()):
        return e(aten.add.Tensor, scores, mask), None
    hidden = known <= _NEVER
    rest = known.masked_fill(hidden, 0.0)
    if bool(rest.any()):
        scores = e(aten.add.Tensor, scores, e.constant("_attention_bias", rest))
    return scores, e.constant("_attention_mask", hidden)


def _repeated_heads(e: Emitter, x: Node, heads: int) -> Node:
    *batch, given, length, depth = e.shape(x)
    times = heads // given
    split = e(aten.unsqueeze.default, x, len(batch) + 1)
    wide = e(aten.expand.default, split, [*batch, given, times, length, depth])
    return e(aten.reshape.default, wide, [*batch, heads, length, depth])


def _states(e: Emitter, state: Node) -> list[Node | None]:
    if state.target is aten.zeros.default:
        return [None] * e.shape(state)[0]
    return list(e.rows(state))


def _recurrent(kind: str) -> Parts:
    def parts(
        e: Emitter,
        x: Node,
        states: Any,
        weights: list[Node],
        biased: bool,
        layers: int,
        dropout: float,
        train: bool,
        two_way: bool,
        batch_first: bool,
    ) -> tuple[Node, ...] | None:
        cells = cells_of(kind, weights, biased=biased)
        directions = 2 if two_way else 1
        if (train and dropout) or len(cells) != layers * directions:
            return None
        given = list(states) if isinstance(states, list | tuple) else [states]
        h = _states(e, given[0])
        c = _states(e, given[1]) if len(given) > 1 else [None] * len(h)
        out, last_h, last_c = Net(cells, directions, batch_first).unroll(e, x, h, c)
        return (out, last_h) if last_c is None else (out, last_h, last_c)

    return parts


def _cell(kind: str) -> Parts:
    def parts(
        e: Emitter,
        x: Node,
        states: Any,
        input_weight: Node,
        state_weight: Node,
        input_bias: Node | None = None,
        state_bias: Node | None = None,
    ) -> Node | tuple[Node, ...]:
        cell = Cell(kind, input_weight, state_weight, input_bias, state_bias)
        given: list[Node | None] = list(states) if isinstance(states, list | tuple) else [states]
        given = [None if s is not None and s.target is aten.zeros.default else s for s in given]
        h, c = given if len(given) > 1 else (given[0], None)
        new_h, new_c = cell.step(e, cell.projected(e, x), h, c)
        return new_h if new_c is None else (new_h, new_c)

    return parts


def _added(product: Any, e: Emitter, total: Node, x: Node, y: Node, **factors: float) -> Node:
    out = e(product, x, y)
    beta, alpha = factors.get("beta", 1), factors.get("alpha", 1)
    if alpha != 1:
        out = e(aten.mul.Tensor, out, alpha)
    if beta == 0:
        return out
    return e(aten.add.Tensor, out, total if beta == 1 else e(aten.mul.Tensor, total, beta))


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
    aten.scaled_dot_product_attention.default: _attention,
    aten.lstm.input: _recurrent("lstm"),
    aten.gru.input: _recurrent("gru"),
    aten.rnn_tanh.input: _recurrent("rnn_tanh"),
    aten.rnn_relu.input: _recurrent("rnn_relu"),
    aten.lstm_cell.default: _cell("lstm"),
    aten.gru_cell.default: _cell("gru"),
    aten.rnn_tanh_cell.default: _cell("rnn_tanh"),
    aten.rnn_relu_cell.default: _cell("rnn_relu"),
    aten.baddbmm.default: _sum_of(aten.bmm.default),
    aten.addmv.default: _sum_of(aten.mv.default),
    aten.addr.default: _sum_of(aten.outer.default),
    aten.addbmm.default: _addbmm,
    aten.bilinear.default: _bilinear,
    aten.einsum.default: _traced,
}
