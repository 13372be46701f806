"""Passes on FX graphs: named, documented, printed, verified, and safe to fail.

A pass is a frozen dataclass with a name, entered by `@register_graph_pass`; its docstring is its
documentation. `run_passes` runs some in order. What raises inside of one without being an error for
users becomes a `CompileError` that names the pass, the model's program kept beside it as a .pt2.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from torch.fx import GraphModule, Node

from tosaic.emit.files import write_text
from tosaic.errors import CompileError, TosaicError
from tosaic.graph.frames import place_of

_MOST_ROUNDS = 16
_PASSES: dict[str, type[GraphPass]] = {}
P = TypeVar("P", bound="type[GraphPass]")


class GraphPass:
    """A rewrite of a whole graph in place."""

    name: ClassVar[str]

    def run(self, model: GraphModule) -> bool:
        """Rewrite `model`; return whether it changed.

        Raises:
            TosaicError: what a user can act on.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        return self.name


def register_graph_pass(cls: P) -> P:
    """Make a pass known under its name."""
    assert cls.__doc__, f"pass {cls.name} has no documentation"
    assert cls.name not in _PASSES, f"two passes are named {cls.name}"
    _PASSES[cls.name] = cls
    return cls


def graph_passes() -> dict[str, type[GraphPass]]:
    """Return the registered passes by name."""
    return dict(sorted(_PASSES.items()))


@dataclass(frozen=True)
class Together(GraphPass):
    """Several passes one after another, again and again until none of them changes anything."""

    passes: tuple[GraphPass, ...]

    def __str__(self) -> str:
        return f"fixed-point({','.join(map(str, self.passes))})"


Watch = Callable[[str, GraphModule], None]


@dataclass
class DumpGraphs:
    """Writes the graph after each pass that changed it to `folder`, as numbered text files."""

    folder: Path
    count: int = 0

    def __call__(self, name: str, model: GraphModule) -> None:
        """Write one file."""
        write_text(self.folder / f"{self.count:03d}-{name}.fx", f"{graph_text(model)}\n")
        self.count += 1


def graph_text(model: GraphModule) -> str:
    """Return the graph of `model` as text, with types: a line each node."""
    lines = []
    for node in model.graph.nodes:
        value = node.meta.get("val")
        shape = getattr(value, "shape", None)
        dtype = str(getattr(value, "dtype", "")).removeprefix("torch.")
        kind = "" if shape is None else f"  # {dtype}{list(shape)}"
        lines.append(f"{node.format_node()}{kind}")
    return "\n".join(lines)


def run_passes(model: GraphModule, passes: Iterable[GraphPass], watch: Watch | None = None) -> bool:
    """Run `passes` on `model` in order; return whether any changed it.

    `watch` is told of each that did.

    Raises:
        TosaicError: as the passes raise, and where one fails by itself.
    """
    changed = False
    for one in passes:
        changed |= (
            _together(model, one.passes, watch)
            if isinstance(one, Together)
            else _run(model, one, watch)
        )
    if changed:
        model.graph.lint()
        model.recompile()
    return changed


def _together(model: GraphModule, passes: Sequence[GraphPass], watch: Watch | None) -> bool:
    """Run passes in turn until each has seen the graph and left it as it is."""
    idle = turns = 0
    while idle < len(passes):
        if turns > _MOST_ROUNDS * len(passes):
            names = ", ".join(map(str, passes))
            raise CompileError(f"The passes {names} change the graph again and again.")
        idle = 0 if _run(model, passes[turns % len(passes)], watch) else idle + 1
        turns += 1
    return turns > len(passes)


def _run(model: GraphModule, one: GraphPass, watch: Watch | None) -> bool:
    try:
        changed = one.run(model)
    except TosaicError:
        raise
    except Exception as error:  # whatever a model makes a pass meet
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        node = _node_of(error)
        where = "" if node is None else f" on '{node.name}' ({node.target}){place_of(node)}"
        raise CompileError(
            f"The graph pass {one.name} failed{where}: {reason}. This is a fault in tosaic, not "
            "in the model; please report it with the model."
        ) from error
    if changed:
        model.graph.eliminate_dead_code()
        if watch is not None:
            watch(one.name, model)
    return changed


def _node_of(error: Exception) -> Node | None:
    """Return the node that the pass looked at: what its innermost loops and rules call `node`."""
    frames = [frame.f_locals.get("node") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((value for value in reversed(frames) if isinstance(value, Node)), None)


def describe(passes: Iterable[GraphPass]) -> str:
    """Return the names of `passes` as they run: ``regions,functional,fixed-point(…)``."""
    return ",".join(map(str, passes))


def documentation() -> list[tuple[str, str]]:
    """Return (name, documentation) of every registered pass."""
    return [(name, _paragraph(cls)) for name, cls in graph_passes().items()]


def _paragraph(cls: Any) -> str:
    return " ".join(str(cls.__doc__).split())
