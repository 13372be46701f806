"""Local rewrites of a graph, applied until none fits any more: a worklist."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch.fx import GraphModule, Node

from tosaic.errors import CompileError
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import INNER
from tosaic.graph.passes import GraphPass

# What stands in place of a node: another node, or one for each item of its list; None where the
# rule does not fit. It matches first and builds then.
Replacement = Node | Sequence[Any] | None
Rewrite = Callable[[Emitter, Node], Replacement]
_MOST_TIMES = 64  # that rewriting may multiply the nodes of a graph


@dataclass(frozen=True)
class Rule:
    """`rewrite` for calls of any of `targets`."""

    targets: tuple[Any, ...]
    rewrite: Rewrite


def rule(*targets: Any) -> Callable[[Rewrite], Rule]:
    """Decorator: make a rule of a function."""
    return lambda rewrite: Rule(targets, rewrite)


def apply_rules(model: GraphModule, rules: Iterable[Rule]) -> bool:
    """Rewrite `model` by `rules` until none fits; return whether any did.

    Dead nodes are left to the caller's clean-up.

    Raises:
        CompileError: the rules do not come to an end.
    """
    by_target: dict[Any, list[Rewrite]] = {}
    for one in rules:
        for target in one.targets:
            by_target.setdefault(target, []).append(one.rewrite)
    work = deque(n for n in model.graph.nodes if n.op == "call_function")
    waiting, changed = set(work), False
    budget = _MOST_TIMES * (len(work) + 16)
    while work:
        node = work.popleft()
        waiting.discard(node)
        if node._erased or INNER in node.meta or not (node.users or node.is_impure()):
            continue
        fresh = _rewritten(model, node, by_target)
        if fresh is None:
            continue
        changed, budget = True, budget - 1
        if budget < 0:
            raise CompileError(f"Rewriting '{node.name}' does not come to an end.")
        for other in fresh:
            if other.op == "call_function" and other not in waiting:
                waiting.add(other)
                work.append(other)
    return changed


def _rewritten(
    model: GraphModule, node: Node, by_target: Mapping[Any, list[Rewrite]]
) -> list[Node] | None:
    """Apply the first rule that fits `node`; return the nodes to look at again."""
    for rewrite in by_target.get(node.target, ()):
        emitter = Emitter(model, node)
        with model.graph.inserting_before(node):
            result = rewrite(emitter, node)
        if result is None:
            for stray in reversed(emitter.made):
                if not stray.users:
                    model.graph.erase_node(stray)
            continue
        users = list(node.users)
        above = node.all_input_nodes
        replace_node(model, node, result, emitter.made)
        return [*emitter.made, *above, *(u for u in users if not u._erased)]
    return None


def replace_node(
    model: GraphModule, node: Node, result: Node | Sequence[Any], made: Sequence[Node] = ()
) -> None:
    """Put `result` in the place of `node`; where it was made for that, it takes over its name."""
    if isinstance(result, Node):
        name = node.name
        node.replace_all_uses_with(result)
        model.graph.erase_node(node)
        if result in made and result.op == "call_function":
            result.name = name  # `_rename` would take it for one in use
        return
    for user in list(node.users):
        assert user.target is operator.getitem, f"{node} is read whole"
        if user.users:
            replace_node(model, user, result[user.args[1]], made)  # type: ignore[index]
        else:
            model.graph.erase_node(user)
    model.graph.erase_node(node)


class RulePass(GraphPass):
    """A pass that is a set of rules."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    def run(self, model: GraphModule) -> bool:
        """Apply the rules until none fits."""
        return apply_rules(model, self.rules)
