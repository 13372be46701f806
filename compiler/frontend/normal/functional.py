"""Writes to tensors become new values, by renaming, without tracing the model again."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node, map_arg

from tosaic.errors import InputError
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import arguments, bound, calls, rank_of, shape_of, writes
from tosaic.graph.frames import place_of
from tosaic.graph.passes import GraphPass, register_graph_pass
from tosaic.graph.values import evaluate, fake_mode

aten = torch.ops.aten


@register_graph_pass
@dataclass(frozen=True)
class Functional(GraphPass):
    """Replace in-place ops by their functional forms, with the views that show what they write.

    After `y[:2].add_(1)` a reader of `y`, or of any other view of its memory, reads a new value:
    the sum scattered into what `y` was. Each view is taken anew where it is read after a write. In
    training a model may write to its buffers (batch norm counts its batches). Else a write to a
    buffer that nothing reads is dropped, and any other write to an input, parameter or buffer is
    refused, since a compiled program has no state.
    """

    name: ClassVar[str] = "functional"
    training: bool = False

    def run(self, model: GraphModule) -> bool:
        """Rewrite every in-place op; nothing is looked at where there is none."""
        found = [node for node in calls(model.graph) if writes(node)]
        unseen = [] if self.training else _unseen(model.graph, found)
        for node in unseen:
            node.replace_all_uses_with(writes(node)[0])
            model.graph.erase_node(node)
        if self.training:
            found = [node for node in found if any(x.op != "get_attr" for x in writes(node))]
        found = [node for node in found if not node._erased]
        if not found:
            return bool(unseen)
        memory = _Memory(model)
        for node in list(model.graph.nodes):
            memory.visit(node, renamed=node in found)
        return True


def _unseen(graph: Graph, found: list[Node]) -> list[Node]:
    """Return the writes of `found` to buffers that nothing reads but what is written to them.

    A count of batches is one. What an output is computed from is read, and so is what another
    write needs whose buffer is read.
    """
    if not found:
        return []
    graph.eliminate_dead_code()
    buffers = {n: str(n.target) for n in graph.find_nodes(op="get_attr")}
    waiting: list[Node] = []
    for node in found:
        if all(x in buffers for x in writes(node)):
            waiting.append(node)
            buffers[node] = buffers[writes(node)[0]]  # it gives what it wrote to
    work = [n for n in graph.nodes if n.is_impure() and n.op != "placeholder" and n not in waiting]
    live, read = set(work), set()
    while work:
        node = work.pop()
        read |= {buffers[x] for x in node.all_input_nodes if x in buffers}
        written = [n for n in waiting if buffers[n] in read]
        fresh = dict.fromkeys(n for n in (*node.all_input_nodes, *written) if n not in live)
        live.update(fresh)
        work += fresh
    return [n for n in waiting if n not in live]


@dataclass
class _Memory:
    """One walk through a graph, in order, that knows which values show the same memory.

    `root` is the node that made the memory which a view shows, `views` are all that show it. `now`
    is what a node stands for at present where that is another one, `origin` the way back. `stale`
    are views of memory that was written since they were taken.
    """

    model: GraphModule
    root: dict[Node, Node] = field(default_factory=dict)
    views: dict[Node, list[Node]] = field(default_factory=dict)
    now: dict[Node, Node] = field(default_factory=dict)
    origin: dict[Node, Node] = field(default_factory=dict)
    stale: set[Node] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.mode = fake_mode(self.model.graph)

    def visit(self, node: Node, *, renamed: bool) -> None:
        """Have `node` read what its operands are at its place; `renamed`: it writes to one."""
        with self.model.graph.inserting_before(node):
            node.args, node.kwargs = map_arg((node.args, node.kwargs), self._present)
            if renamed:
                self._write(node)
                return
        source = self._source(node)
        if source is not None:
            root = self._root_of(source)
            self.root[node] = root
            self.views.setdefault(root, []).append(node)

    def _source(self, node: Node) -> Node | None:
        """Return the operand whose memory `node` shows."""
        if node.target is operator.getitem:
            whole = arguments(node)[0]
            return whole if self._origin(whole) in self.root else None
        if node.op != "call_function" or not isinstance(node.target, OpOverload):
            return None
        shares = any(r.alias_info is not None for r in node.target._schema.returns)
        if not shares or not node.all_input_nodes:
            return None
        x = node.all_input_nodes[0]
        with self.mode:
            result = evaluate(node, lambda n: n.meta["val"])
        first = result[0] if isinstance(result, list | tuple) and result else result
        shown, held = (_storage(v) for v in (first, x.meta.get("val")))
        return x if shown is not None and shown == held else None

    def _present(self, node: Node) -> Node:
        """Return what `node` is at the place of insertion."""
        node = self._origin(node)
        if node in self.stale:
            copy = self.model.graph.node_copy(node, self._present)
            self._set(node, copy)
        return self.now.get(node, node)

    def _origin(self, node: Node) -> Node:
        return self.origin.get(node, node)

    def _set(self, node: Node, value: Node) -> None:
        self.now[node] = value
        self.origin[value] = node
        self.stale.discard(node)

    def _root_of(self, node: Node) -> Node:
        original = self._origin(node)
        return self.root.get(original, original)

    def _write(self, node: Node) -> None:
        written = [x for x in writes(node) if isinstance(x, Node)]
        functional = functional_target(node.target)
        if len(written) != 1 or functional is None:
            raise InputError(
                f"'{node.name}'{place_of(node)} ({node.target}) writes to a tensor in a way that "
                "has no functional form. Use the op that returns a new tensor."
            )
        target = self._origin(written[0])
        root, e = self._root_of(target), Emitter(self.model, node)
        if functional._schema.returns[0].alias_info is not None:
            # It changes how the tensor is seen, such as its shape: from here on, by a view of it.
            view = e(functional, *node.args, **node.kwargs)
            self.root[view] = root
            self.views.setdefault(root, []).append(view)
            for user in [u for u in target.users if node < u]:
                user.replace_input_with(target, view)
            target = view
        elif root.op != "call_function":
            raise InputError(state_refusal(root, place_of(node)))
        else:
            self._store(e, target, _functional_value(e, node))
        node.replace_all_uses_with(target)
        self.model.graph.erase_node(node)

    def _store(self, e: Emitter, target: Node, value: Node) -> None:
        """Make `value` what `target` is, and all else that shows the same memory stale."""
        root, path = self._root_of(target), [(target, value)]
        while target is not root:
            above = arguments(target)[0]
            if target.target is operator.getitem:
                above = arguments(above)[0]
            above = self._origin(above)
            value = _scattered(e, target, self._present(above), value)
            target = above
            path.append((target, value))
        self.stale.update(self.views.get(root, ()))
        for old, new in path:
            self._set(old, new)


def _storage(value: Any) -> int | None:
    """Return a number of the memory that a fake tensor shows."""
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
        return None
    return int(value.untyped_storage()._cdata)


def state_refusal(root: Node, where: str) -> str:
    """Return why a program cannot write to an input, parameter or buffer."""
    what = f"its input '{root.target}'" if root.op == "placeholder" else f"'{root.target}'"
    return (
        f"The model writes to {what} while it runs{where}; a compiled program has no state. Return "
        "the new value as an output and pass it back in as an input."
    )


def functional_target(target: Any) -> OpOverload | None:
    """Return the overload that computes what an in-place op writes."""
    name = target._schema.name.rpartition("::")[2]
    if not name.endswith("_"):
        return None
    bare = f"__{name[3:]}" if name.startswith("__i") else name[:-1]  # __ior__, relu_
    packet = getattr(aten, bare, None)
    wanted = [str(a.type) for a in target._schema.arguments]
    overloads = [getattr(packet, o) for o in packet.overloads()] if packet is not None else []
    overloads.sort(key=lambda o: o._overloadname != target._overloadname)
    fitting = (o for o in overloads if [str(a.type) for a in o._schema.arguments] == wanted)
    return next((o for o in fitting if not o._schema.is_mutable), None)


def _functional_value(e: Emitter, node: Node) -> Node:
    """Return what `node` writes, in the dtype of what it writes to."""
    target = functional_target(node.target)
    x = arguments(node)[0]
    copies = node.target is aten.copy_.default
    value: Node = bound(node)["src"] if copies else e(target, *node.args, **node.kwargs)
    dtype = x.meta["val"].dtype
    if value.meta["val"].dtype != dtype:
        value = e(aten._to_copy.default, value, dtype=dtype)
    if shape_of(value) != shape_of(x):
        value = e(aten.expand.default, value, e.sizes(x))
    return value


# --- what a base is where one of its views is written -------------------------------------------


def _scattered(e: Emitter, view: Node, base: Node, value: Node) -> Node:
    """Return `base` with `value` where `view`, a view of it, shows it."""
    node = arguments(view)[0] if view.target is operator.getitem else view
    inverse = _INVERSES.get(node.target)
    if inverse is None:
        raise InputError(
            f"The model writes to a view of a tensor, made by '{node.name}'{place_of(node)} "
            f"({node.target}), through which writes cannot be followed. Write to the whole tensor, "
            "or use an op that returns a new one."
        )
    return inverse(e, view, base, value)


Inverse = Callable[[Emitter, Node, Node, Node], Node]


def _same(e: Emitter, view: Node, base: Node, value: Node) -> Node:
    del e, view, base
    return value


def _reshaped(e: Emitter, view: Node, base: Node, value: Node) -> Node:
    del view
    return e(aten.reshape.default, value, e.sizes(base))


def _by(scatter: Any) -> Inverse:
    def inverse(e: Emitter, view: Node, base: Node, value: Node) -> Node:
        return e(scatter, base, value, *arguments(view)[1:], **view.kwargs)

    return inverse


def _permuted(e: Emitter, view: Node, base: Node, value: Node) -> Node:
    """Dims back in order, found by permuting their numbers."""
    order = _permutation(view, rank_of(base))
    return e(aten.permute.default, value, [order.index(n) for n in range(len(order))])


def _permutation(view: Node, rank: int) -> list[int]:
    numbers = torch.empty(tuple(range(2, 2 + rank)), device="meta")
    moved = view.target(numbers, *arguments(view)[1:], **view.kwargs)  # type: ignore[operator]
    return [int(d) - 2 for d in moved.shape]


def _narrowed(e: Emitter, view: Node, base: Node, value: Node) -> Node:
    _, dim, start, length = arguments(view)
    return e(aten.slice_scatter.default, base, value, dim, start, start + length)


def _item(e: Emitter, view: Node, base: Node, value: Node) -> Node:
    """One of the parts of a split: where it starts is the sum of those before it."""
    whole, number = arguments(view)
    dim = bound(whole)["dim"]
    if whole.target is aten.unbind.int:
        return e(aten.select_scatter.default, base, value, dim, number)
    sizes = [int(part.shape[dim]) for part in whole.meta["val"]]
    start = sum(sizes[:number])
    stop = start + sizes[number]
    return e(aten.slice_scatter.default, base, value, dim, start, stop)


_INVERSES: dict[Any, Inverse] = {
    **dict.fromkeys(
        (
            *(aten.alias.default, aten.detach.default, aten.contiguous.default),
            *(aten.dropout.default, aten.lift_fresh.default, aten.positive.default),
            *(aten.to.dtype, aten.to.device, aten.to.other, aten.to.dtype_layout),
            *(aten.type_as.default, aten.resolve_conj.default, aten.resolve_neg.default),
        ),
        _same,
    ),
    **dict.fromkeys(
        (
            *(aten.view.default, aten.reshape.default, aten._unsafe_view.default),
            *(aten.flatten.using_ints, aten.unflatten.int, aten.view_as.default),
            *(aten.reshape_as.default, aten.squeeze.default, aten.squeeze.dim),
            *(aten.squeeze.dims, aten.unsqueeze.default, aten.ravel.default),
        ),
        _reshaped,
    ),
    **dict.fromkeys(
        (
            *(aten.permute.default, aten.transpose.int, aten.t.default, aten.mT.default),
            *(aten.movedim.int, aten.movedim.intlist, aten.moveaxis.int, aten.moveaxis.intlist),
            *(aten.swapaxes.default, aten.swapdims.default, aten.numpy_T.default),
            *(aten.adjoint.default, aten.mH.default),
        ),
        _permuted,
    ),
    aten.slice.Tensor: _by(aten.slice_scatter.default),
    aten.narrow.default: _narrowed,
    aten.select.int: _by(aten.select_scatter.default),
    aten.diagonal.default: _by(aten.diagonal_scatter.default),
    **dict.fromkeys(
        (
            *(aten.split.Tensor, aten.split.sizes, aten.split_with_sizes.default),
            *(aten.chunk.default, aten.unbind.int, aten.tensor_split.sections),
            aten.tensor_split.indices,
        ),
        _item,
    ),
}
