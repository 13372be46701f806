"""Arguments of calls in one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.immutable_collections import immutable_list

from tosaic.graph.facts import calls, tensor_of
from tosaic.graph.passes import GraphPass, register_graph_pass

aten = torch.ops.aten
_DIMS = frozenset(("dim", "dims", "dim0", "dim1", "dim2", "start_dim", "end_dim"))
_ONE_MORE = (aten.unsqueeze.default, aten.stack.default, aten.diag_embed.default)
_IRRELEVANT = frozenset(("cudnn_enable", "cudnn_enabled", "memory_format", "non_blocking"))


@register_graph_pass
@dataclass(frozen=True)
class Arguments(GraphPass):
    """Write the arguments of ATen calls in one way.

    What can be positional is; arguments at their defaults are left out at the end, and so are those
    that do not matter to a compiled program; dims are counted from the front.
    """

    name: ClassVar[str] = "arguments"

    def run(self, model: GraphModule) -> bool:
        """Rewrite arguments in place."""
        changed = False
        for node in calls(model.graph):
            if not isinstance(node.target, OpOverload) or node.target.namespace != "aten":
                continue
            args, kwargs = normal_arguments(node)
            if args != node.args or kwargs != node.kwargs:
                node.args, node.kwargs = args, kwargs
                changed = True
        return changed


def normal_arguments(node: Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call of an ATen op in their normal form."""
    assert isinstance(node.target, OpOverload)
    args: list[Any] = list(node.args)
    kwargs: dict[str, Any] = dict(node.kwargs)
    given = 0
    rank: int | None = None
    for n, argument in enumerate(node.target._schema.arguments):
        default = argument.default_value if argument.has_default_value() else _NONE
        irrelevant = argument.name in _IRRELEVANT and default is not _NONE
        if argument.kwarg_only:
            if argument.name in kwargs and (irrelevant or _same(kwargs[argument.name], default)):
                del kwargs[argument.name]
            continue
        if n >= len(args):
            args.append(kwargs.pop(argument.name, default))
        if args[n] is _NONE:
            return node.args, dict(node.kwargs)  # a number too few: not ours to repair
        if irrelevant:
            args[n] = default
        elif argument.name in _DIMS:
            rank = _rank(node) if rank is None else rank
            args[n] = _from_front(args[n], rank)
        if not _same(args[n], default):
            given = n + 1
    return tuple(args[:given]), kwargs


class _None:
    """No default."""


_NONE = _None()


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _rank(node: Node) -> int:
    """Return how many dims the dims of a call count among; 0 where that is not known."""
    first = next(iter(node.args), None)
    if isinstance(first, list | tuple):
        first = next(iter(first), None)
    tensor = tensor_of(first)
    if tensor is None:
        return 0
    return max(1, tensor.dim()) + (node.target in _ONE_MORE)


def _from_front(dims: Any, rank: int) -> Any:
    if isinstance(dims, list | tuple):
        return immutable_list(_from_front(d, rank) for d in dims)
    negative = isinstance(dims, int) and not isinstance(dims, bool) and dims < 0
    return dims + rank if negative and rank else dims
