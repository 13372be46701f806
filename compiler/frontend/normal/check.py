"""What the normal form promises, checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch._ops import HigherOrderOperator, OpOverload
from torch.fx import GraphModule, Node

from tosaic.errors import CompileError, Diagnostic
from tosaic.frontend.normal.arguments import normal_arguments
from tosaic.graph.facts import INNER, is_pure, is_static, writes
from tosaic.graph.facts import calls as calls_of
from tosaic.graph.frames import user_frame

aten = torch.ops.aten
# Movement under names that the closed list has not; of static shapes none is left.
_OTHER_MOVEMENT = (
    *(aten.view.default, aten._unsafe_view.default, aten.flatten.using_ints, aten.unflatten.int),
    *(aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.unsqueeze.default),
    *(aten.transpose.int, aten.t.default, aten.mT.default, aten.movedim.int, aten.narrow.default),
    *(aten.expand_as.default, aten.chunk.default, aten.split.Tensor, aten.unbind.int),
    aten.stack.default,
)
_NO_OPS = (aten.alias.default, aten.detach.default, aten.clone.default, aten.contiguous.default)


def check_normal(model: GraphModule, *, training: bool = False) -> None:
    """Check that a graph is in normal form.

    No graphs inside of it; nothing writes (but buffers, in training); no copies and other no-ops;
    movement in a closed list of ops; arguments in one form.

    Raises:
        CompileError: each node that is not, with its place in the user's source.
    """
    problems = [
        _diagnostic(node, reason)
        for node in calls_of(model.graph)
        for reason in _reasons(node, training=training)
    ]
    if problems:
        raise CompileError("The graph is not in normal form.", problems)


def _reasons(node: Node, *, training: bool) -> Iterator[str]:
    if isinstance(node.target, HigherOrderOperator):
        yield "holds a graph of its own"
    if not isinstance(node.target, OpOverload) or node.target.namespace != "aten":
        return
    written: list[Any] = writes(node)
    if written and not (training and all(x.op == "get_attr" for x in written)):
        yield "writes to a tensor"
    if not node.users and is_pure(node.target):
        yield "is read by nothing"
    if INNER in node.meta:
        return
    if node.target in _NO_OPS:
        yield "changes nothing"
    static = is_static(node) and all(is_static(x) for x in node.all_input_nodes)
    if node.target in _OTHER_MOVEMENT and static:
        yield "moves elements by an op that has another name here"
    if normal_arguments(node) != (node.args, node.kwargs):
        yield "has arguments in another form"


def _diagnostic(node: Node, reason: str) -> Diagnostic:
    file, line = user_frame(str(node.meta.get("stack_trace") or "")) or ("", 0)
    where = f"'{node.name}'" + (f" at {file}:{line}" if file else "")
    return Diagnostic(f"{node.target} {reason}", where, file, line)
