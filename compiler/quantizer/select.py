"""Which ops the overrides of a recipe select, in terms of a user's modules and PyTorch's ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from torch.fx import GraphModule, Node

from tosaic.errors import InputError
from tosaic.graph.facts import table_name
from tosaic.quantizer.recipe import Override, QuantRecipe, near_hint

_MOST_SHOWN = 8


def selections(model: GraphModule, recipe: QuantRecipe) -> dict[Node, list[int]]:
    """Return, for each op that overrides of `recipe` select, their numbers in order.

    Raises:
        InputError: an override selects no op of `model`; tells the names most like it.
    """
    ops = [node for node in model.graph.nodes if table_name(node)]
    found: dict[Node, list[int]] = {}
    for number, override in enumerate(recipe.overrides):
        chosen = [node for node in ops if _selects(override, node)]
        if not chosen:
            raise InputError(_nothing_selected(override, ops))
        for node in chosen:
            found.setdefault(node, []).append(number)
    return found


def enclosing_modules(node: Node) -> list[tuple[str, str]]:
    """Return (path, full class name) of the modules that `node` was called in, outermost first."""
    stack = node.meta.get("nn_module_stack") or {}
    out = []
    for path, kind in stack.values():
        name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
        out.append((str(path).partition("@")[0], name))
    return out


def op_names(node: Node) -> tuple[str, ...]:
    """Return the names a user may know an op by: "softmax.int", "softmax", with or without "aten".

    Parts of a function that was taken apart (attention) are known by the function's name too.
    """
    full = table_name(node).removeprefix("torch.")
    namespace, _, rest = full.partition(".")
    bare = rest.partition(".")[0]
    origin = str((node.meta.get("torch_fn") or ("", ""))[1]).rpartition(".")[2]
    names = (rest, bare, full, f"{namespace}.{bare}", origin)
    return tuple(dict.fromkeys(name for name in names if name))


def _selects(override: Override, node: Node) -> bool:
    modules = enclosing_modules(node)
    tests: dict[str, Callable[[Any], bool]] = {
        "module": lambda glob: any(path and fnmatchcase(path, glob) for path, _ in modules),
        "module_type": lambda kind: any(_is_kind(name, kind) for _, name in modules),
        "op": lambda glob: any(fnmatchcase(name, glob) for name in op_names(node)),
        "where": lambda function: bool(function(node)),
    }
    return all(tests[name](value) for name, value in override.selectors.items())


def _is_kind(name: str, kind: str | type) -> bool:
    if not isinstance(kind, str):
        return name == f"{kind.__module__}.{kind.__qualname__}"
    return any(fnmatchcase(known, kind) for known in (name, name.rpartition(".")[2]))


def _nothing_selected(override: Override, ops: Iterable[Node]) -> str:
    text = f"The recipe's override of {override.describe()} selects no op of the model."
    selectors = override.selectors
    known: dict[str, list[str]] = {"module": [], "module_type": [], "op": []}
    for node in ops:
        modules = enclosing_modules(node)
        known["module"] += [path for path, _ in modules if path]
        known["module_type"] += [name.rpartition(".")[2] for _, name in modules]
        known["op"].append(table_name(node).split(".")[2])
    for name, names in known.items():
        if name not in selectors:
            continue
        alone = Override(**{name: selectors[name]}, leave_float=True)
        if not any(_selects(alone, node) for node in ops):
            return f"{text} {_known(name, selectors[name], sorted(set(names)))}"
    return f"{text} No op fits all of its selectors together; use fewer."


def _known(selector: str, value: Any, names: list[str]) -> str:
    wanted = getattr(value, "__name__", str(value))
    shown = ", ".join(names[:_MOST_SHOWN]) + (" …" if len(names) > _MOST_SHOWN else "")
    hint = near_hint(wanted, names).strip()
    kind = {"module": "modules", "module_type": "module types", "op": "ops"}[selector]
    return f"{hint} Its {kind} are: {shown or 'none'}.".strip()
