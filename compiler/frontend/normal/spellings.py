"""One name for each function: synonyms, what decompositions leave, products with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import (
    arguments,
    bound,
    calls,
    is_number,
    is_static,
    rank_of,
    shape_of,
    tensor_of,
)
from tosaic.graph.passes import register_graph_pass
from tosaic.graph.rules import Rule, RulePass, rule
from tosaic.lowering.torch_to_tosa.synonyms import NAMES, OVERLOADS

aten = torch.ops.aten
_BINARY = (aten.add, aten.sub, aten.mul, aten.div, aten.rsub)
_COPIES_OF_THEIR_OWN = ("index_copy", "_to_copy", "lift_fresh_copy")


# --- casts --------------------------------------------------------------------------------------


@rule(
    *(aten.to.dtype, aten.to.dtype_layout, aten.to.other, aten.type_as.default),
    *(aten._to_copy.default, torch.ops.prims.convert_element_type.default),
)
def cast(e: Emitter, node: Node) -> Node | None:
    """Every cast by the dtype it gives."""
    x, tensor = arguments(node)[0], tensor_of(node)
    if tensor is None or tensor_of(x) is None:
        return None
    if node.target is aten._to_copy.default and list(node.kwargs) == ["dtype"]:
        return None
    return e(aten._to_copy.default, x, dtype=tensor.dtype)


# --- arithmetic ---------------------------------------------------------------------------------


@rule(*(packet.Scalar for packet in _BINARY if packet is not aten.rsub))
def scalar(e: Emitter, node: Node) -> Node:
    """A number as an operand is written as any operand."""
    packet = node.target.overloadpacket  # type: ignore[union-attr]
    return e(packet.Tensor, *node.args, **node.kwargs)


@rule(aten.rsub.Tensor)
def reversed_difference(e: Emitter, node: Node) -> Node | None:
    """A difference of tensors has its operands in order."""
    x, y = arguments(node)[:2]
    return None if node.kwargs or len(node.args) > 2 else e(aten.sub.Tensor, y, x)


@rule(*(packet.Tensor for packet in _BINARY))
def constant_number(e: Emitter, node: Node) -> Node | None:
    """A constant without dims is a number, and a number is the second operand."""
    if len(node.args) != 2:
        return None
    x, y = arguments(node)
    number = _number(e, node, y)
    if number is not None and tensor_of(x) is not None:
        overload = aten.rsub.Scalar if node.target is aten.rsub.Tensor else node.target
        return e(overload, x, number, **node.kwargs)
    number = x if is_number(x) else _number(e, node, x)
    if number is None or tensor_of(y) is None or node.kwargs:
        return None
    if node.target in (aten.add.Tensor, aten.mul.Tensor):
        return e(node.target, y, number)
    return e(aten.rsub.Scalar, y, number) if node.target is aten.sub.Tensor else None


def _number(e: Emitter, node: Node, value: Any) -> float | None:
    """Return the number that a constant is, where the other operand sets shape and dtype."""
    tensor, result = tensor_of(value), tensor_of(node)
    if tensor is None or result is None or tensor.dim() or tensor.dtype == torch.bool:
        return None
    others = [t for v in node.all_input_nodes if (t := tensor_of(v)) is not None and v is not value]
    if not others or any(t.dtype != result.dtype for t in others):
        return None
    known = e.value(value)
    return None if known is None else known.item()


@rule(aten.masked_fill.Tensor)
def fill(e: Emitter, node: Node) -> Node | None:
    """A constant to fill with is a number."""
    x, mask, value = arguments(node)
    known = e.value(value)
    if known is None or known.numel() != 1:
        return None
    return e(aten.masked_fill.Scalar, x, mask, known.item())


@rule(aten.fill.Scalar, aten.zero.default)
def full(e: Emitter, node: Node) -> Node:
    """A tensor filled anew."""
    x, *rest = arguments(node)
    return e(aten.full_like.default, x, rest[0] if rest else 0)


@rule(
    *(aten.empty.memory_format, aten.empty_like.default, aten.empty_strided.default),
    *(aten.new_empty.default, aten.new_empty_strided.default),
)
def uninitialized(e: Emitter, node: Node) -> Node:
    """Memory that is left as it is found is zeros, each time that a model is compiled."""
    by_size = (aten.empty.memory_format, aten.empty_strided.default)
    like = node.target is aten.empty_like.default
    given = 1 if like or node.target in by_size else 2
    options = {k: v for k, v in node.kwargs.items() if k != "memory_format"}
    target = aten.zeros_like if like else aten.zeros if given == 1 else aten.new_zeros
    return e(target.default, *arguments(node)[:given], **options)


@rule(aten.fill.Tensor, aten.copy.default)
def copied(e: Emitter, node: Node) -> Node:
    """A tensor filled with another: that one, cast and broadcast."""
    x, value = arguments(node)[:2]
    value = e(aten._to_copy.default, value, dtype=x.meta["val"].dtype)
    return e(aten.expand.default, value, e.sizes(x))


# --- norms --------------------------------------------------------------------------------------


@rule(aten.native_layer_norm.default)
def layer_norm(e: Emitter, node: Node) -> list[Any] | None:
    """The norm, where its statistics are not read."""
    return [e(aten.layer_norm.default, *node.args)] if _only_first(node) else None


@rule(aten.native_group_norm.default)
def group_norm(e: Emitter, node: Node) -> list[Any] | None:
    """The norm, where its statistics are not read."""
    if not _only_first(node):
        return None
    x, weight, bias, _, _, _, groups, epsilon = bound(node).values()
    return [e(aten.group_norm.default, x, groups, weight, bias, epsilon)]


@rule(
    *(aten._native_batch_norm_legit_no_training.default, aten.native_batch_norm.default),
    *(aten._native_batch_norm_legit.default, aten.cudnn_batch_norm.default),
)
def batch_norm(e: Emitter, node: Node) -> list[Any] | None:
    """The norm by given statistics."""
    given = bound(node)
    if given.get("training", False) or not _only_first(node):
        return None
    x, weight, bias, mean, variance = list(given.values())[:5]
    epsilon = given["epsilon"] if "epsilon" in given else given["eps"]
    return [e(aten.batch_norm.default, x, weight, bias, mean, variance, False, 0.1, epsilon, False)]


@rule(aten._native_batch_norm_legit.no_stats)
def instance_norm(e: Emitter, node: Node) -> list[Any] | None:
    """The norm of one image by its own statistics: each channel is a group."""
    x, weight, bias, _, _, epsilon = bound(node).values()
    if not _only_first(node) or not is_static(x) or rank_of(x) < 3 or shape_of(x)[0] != 1:
        return None
    return [e(aten.group_norm.default, x, shape_of(x)[1], weight, bias, epsilon)]


def _only_first(node: Node) -> bool:
    return all(user.args[1] == 0 or not user.users for user in node.users)


# --- products with weights ----------------------------------------------------------------------


@rule(aten.convolution.default, aten._convolution.default)
def convolution(e: Emitter, node: Node) -> Node | None:
    """A convolution by how many dims it has."""
    x, weight, bias, stride, padding, dilation, transposed, out_padding, groups, *_ = bound(
        node
    ).values()
    dims = rank_of(weight) - 2
    if not 1 <= dims <= 3 or rank_of(x) != dims + 2:
        return None
    if not transposed:
        target = (aten.conv1d, aten.conv2d, aten.conv3d)[dims - 1].default
        return e(target, x, weight, bias, stride, padding, dilation, groups)
    targets = (
        *(aten.conv_transpose1d.default, aten.conv_transpose2d.input),
        aten.conv_transpose3d.input,
    )
    settings = (stride, padding, out_padding, groups, dilation)
    return e(targets[dims - 1], x, weight, bias, *settings)


@rule(aten.addmm.default)
def addmm(e: Emitter, node: Node) -> Node | None:
    """A linear layer, where bias and weight are constants."""
    bias, x, weight = arguments(node)[:3]
    if node.kwargs or len(node.args) > 3 or not _is_weight(weight) or not _is_constant(bias):
        return None
    if rank_of(bias) != 1 or shape_of(bias) != shape_of(weight)[1:]:
        return None
    return e.linear(x, e(aten.permute.default, weight, [1, 0]), bias)


@rule(aten.mm.default, aten.bmm.default, aten.matmul.default)
def product(e: Emitter, node: Node) -> Node | None:
    """A linear layer without bias, where the right operand is a constant matrix; else `matmul`."""
    x, weight = arguments(node)
    if node.target is not aten.matmul.default:
        return e(aten.matmul.default, x, weight)
    if not _is_weight(weight) or _is_constant(x) or rank_of(x) < 1:
        return None
    return e.linear(x, e(aten.permute.default, weight, [1, 0]), None)


@rule(aten.add.Tensor)
def bias(e: Emitter, node: Node) -> Node | None:
    """A constant for each channel, added to a layer without a bias, is its bias."""
    if len(node.args) != 2 or node.kwargs:
        return None
    for layer, value in (arguments(node), arguments(node)[::-1]):
        if not isinstance(layer, Node) or layer.target is not aten.linear.default:
            continue
        if len(layer.args) == 2 and len(layer.users) == 1 and _is_constant(value):
            x, weight = arguments(layer)
            if _is_constant(weight) and shape_of(value) == shape_of(weight)[:1]:
                return e.linear(x, weight, value)
    return None


def _is_weight(value: Any) -> bool:
    return _is_constant(value) and rank_of(value) == 2 and value.meta["val"].is_floating_point()


def _is_constant(value: Any) -> bool:
    """Return whether `value` is a constant of the model, perhaps moved."""
    while isinstance(value, Node) and value.target in (aten.permute.default, aten.reshape.default):
        value = arguments(value)[0]
    return isinstance(value, Node) and value.op == "get_attr" and is_static(value)


# --- softmax and attention ----------------------------------------------------------------------


@rule(aten._softmax.default, aten._log_softmax.default)
def softmax(e: Emitter, node: Node) -> Node | None:
    """Softmax in the dtype of its operand."""
    x, dim, to_float = arguments(node)
    target = aten.softmax.int if node.target is aten._softmax.default else aten.log_softmax.int
    return None if to_float else e(target, x, dim)


@rule(aten.softmax.int, aten.log_softmax.int, aten.cumsum.default)
def computed_in(e: Emitter, node: Node) -> Node | None:
    """The dtype to compute in is a cast beforehand."""
    values = bound(node)
    dtype = values.get("dtype")
    if dtype is None:
        return None
    x = e(aten._to_copy.default, arguments(node)[0], dtype=dtype)
    return e(node.target, x, values["dim"])


@rule(
    *(aten._scaled_dot_product_flash_attention_for_cpu.default,),
)
def attention(e: Emitter, node: Node) -> list[Any] | None:
    """Attention, where its statistics are not read."""
    if not _only_first(node):
        return None
    given = bound(node)
    q, k, v, p, causal = (given[n] for n in ("query", "key", "value", "dropout_p", "is_causal"))
    mask, scale = given["attn_mask"], given["scale"]
    return [e(aten.scaled_dot_product_attention.default, q, k, v, mask, p, causal, scale=scale)]


@rule(aten.linalg_vector_norm.default, aten.frobenius_norm.dim)
def of_same_dtype(e: Emitter, node: Node) -> Node | None:
    """A dtype to compute in that is the operand's says nothing."""
    x, dtype = arguments(node)[0], node.kwargs.get("dtype")
    if dtype is None or dtype != x.meta["val"].dtype:
        return None
    return e(node.target, *node.args)


@register_graph_pass
@dataclass(frozen=True)
class Spellings(RulePass):
    """Give each function one name.

    Synonyms of PyTorch and the `_copy` forms of views; casts as `_to_copy`; numbers as operands;
    what decompositions leave of norms, softmax, convolutions and attention; products with constant
    matrices, with what is added to them, as `linear`.
    """

    name: ClassVar[str] = "spellings"
    rules: ClassVar[tuple[Rule, ...]] = (
        *(cast, scalar, reversed_difference, constant_number, fill, full, copied, layer_norm),
        *(group_norm, batch_norm, convolution, addmm, product, bias, softmax, computed_in),
        *(attention, of_same_dtype, instance_norm, uninitialized),
    )

    def run(self, model: GraphModule) -> bool:
        """Rename synonyms in place, then apply the rules."""
        renamed = False
        for node in calls(model.graph):
            known = _usual(node.target)
            if known is not None:
                node.target = known
                renamed = True
        return super().run(model) or renamed


_KNOWN: dict[Any, OpOverload | None] = {}


def _usual(target: Any) -> OpOverload | None:
    """Return the op that `target` is under another name, with the same arguments."""
    if not isinstance(target, OpOverload) or target.namespace != "aten":
        return None
    if target not in _KNOWN:
        _KNOWN[target] = next(filter(None, map(_overload, _candidates(target))), None)
    return _KNOWN[target]


def _candidates(target: OpOverload) -> Sequence[tuple[str, str, OpOverload]]:
    name, overload = target._schema.name.rpartition("::")[2], target._overloadname
    full = name if overload == "default" else f"{name}.{overload}"
    out = []
    if full in OVERLOADS:
        known, _, form = OVERLOADS[full].partition(".")
        out.append((known, form or "default", target))
    if name in NAMES:
        out.append((NAMES[name], overload, target))
    if name.endswith("_copy") and name not in _COPIES_OF_THEIR_OWN:
        out.append((name.removesuffix("_copy"), overload, target))
    return out


def _overload(candidate: tuple[str, str, OpOverload]) -> OpOverload | None:
    name, form, target = candidate
    packet = getattr(aten, name, None)
    known = getattr(packet, form, None) if packet is not None else None
    if known is None:
        return None
    wanted, given = (
        [str(a.type) for a in op._schema.arguments if not a.kwarg_only] for op in (known, target)
    )
    optional = all(a.has_default_value() for a in known._schema.arguments if a.kwarg_only)
    return known if optional and wanted == given else None
