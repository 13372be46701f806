"""What a recipe does with each op of a model, and why, in the user's names and source lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node
from torchao.quantization.pt2e.quantizer import Quantizer

from tosaic.composites import NEAR_MISS
from tosaic.errors import InputError
from tosaic.frontend import export_model
from tosaic.frontend.units import units_of
from tosaic.graph.facts import table_name
from tosaic.graph.frames import user_frame
from tosaic.lowering.ops import Quantized, op_table
from tosaic.quantizer import QuantRecipe, TosaQuantizer, find_recipe
from tosaic.quantizer.plan import Role, Unit, part_of, role_of
from tosaic.quantizer.relevance import ALL
from tosaic.quantizer.select import enclosing_modules, op_names

_CASTS = "quantized_decomposed"
HOW = {
    None: "fused",
    Quantized.NO: "float",
    Quantized.WEIGHTED: "weighted",
    Quantized.SHARED: "shared",
    Quantized.RESCALED: "rescaled",
    Quantized.SUM: "rescaled",
    Quantized.TABLE: "table",
    Quantized.COMPOSITE: "composite",
    Quantized.CLAMP: "clamp",
    Quantized.READS: "reads",
}


@dataclass(frozen=True)
class OpReport:
    """One op of a model.

    `how` is weighted, rescaled, table, composite, clamp, shared (its input's parameters), reads
    (its result is not quantised), fused (into the op before it) or float. `reads` and `writes` are
    the dtypes of quantised activations; `note` says why an op is in float, or what is unusual.
    """

    name: str
    op: str
    module: str
    file: str
    line: int
    how: str
    reads: tuple[str, ...]
    writes: str
    weights: str
    note: str

    @property
    def where(self) -> str:
        """The place in the user's source, as ``file:line``."""
        return f"{self.file}:{self.line}" if self.file else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def explain(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any] = (),
    *,
    quantize: str | QuantRecipe | Quantizer = "int8",
) -> list[OpReport]:
    """Return what quantising `model` by a recipe does with each op; no data is needed.

    A program that is quantised already is described as it is.

    Raises:
        InputError: there is no such recipe, or one of its overrides selects nothing.
    """
    program = export_model(model, example_inputs)
    if any(_is_cast(node) for node in program.graph.nodes):
        return list(_quantised(program))
    recipe = find_recipe(quantize) if isinstance(quantize, str) else quantize
    quantizer = TosaQuantizer(recipe) if isinstance(recipe, QuantRecipe) else recipe
    if not isinstance(quantizer, TosaQuantizer):
        raise InputError(
            "Only tosaic's own quantiser can explain itself. Pass a recipe, or a program that is "
            "quantised already."
        )
    graph = quantizer.transform_for_annotation(program.module(check_guards=False))
    units = quantizer.plan(graph).units
    return [
        _report(node, replace(role, note=_notes(node, unit, role)))
        for node, unit in units.items()
        for role in [role_of(node, unit)]
    ]


def _notes(node: Node, unit: Unit, role: Role) -> str:
    """Return what is unusual about an op: in its unit, its range, or that it is no composite."""
    notes = [role.note, str(node.meta.get(NEAR_MISS, ""))]
    if node is unit.members[-1] and unit.writes is not None and unit.writes.relevant != ALL:
        notes.append("its range is cut to what softmax can tell apart")
    return "; ".join(filter(None, notes))


def _quantised(program: ExportedProgram) -> Iterator[OpReport]:
    """Describe each op of a quantised program: by its plan, else by the casts around it."""
    units: dict[str, list[Node]] = {}
    for node in program.graph.nodes:
        for unit in units_of(node):
            units.setdefault(unit, []).append(node)
    for node in program.graph.nodes:
        if table_name(node) and not _is_cast(node):
            unit = next(reversed(units_of(node)), node.name)
            members = units.get(unit, [node])
            main = next((n for n in members if n.name == unit), members[0])
            yield _report(node, _role_in(node, main, members))


def _role_in(node: Node, main: Node, members: Sequence[Node]) -> Role:
    """Return what `node` is in the unit of `members`, as the casts around them tell."""
    if node is not main:
        return part_of(main, members[-1])
    entry = op_table().get(table_name(main))
    casts = [n for member in members for n in member.all_input_nodes if _is_cast(n)]
    inputs = list({cast.args[0]: cast for cast in casts}.values())  # each reader has its own
    place = None if entry is None else entry.weight
    weights = [] if place is None else [n for n in inputs if n in main.args[place : place + 1]]
    weights = [n for n in weights if _stored(n.args[0]) is not None]
    reads = tuple(_cast_dtype(n) for n in inputs if n not in weights)
    writes = next((_cast_dtype(user) for user in members[-1].users if _is_cast(user)), "")
    if entry is None or not (reads or writes):
        return Role(Quantized.NO, note="nothing quantises it")
    looked_up = len(members) > 1 and main is members[-1]
    kind = Quantized.TABLE if looked_up else entry.quantized
    return Role(kind, reads, writes, _weight_dtype(weights[0]) if weights else "")


def _report(node: Node, role: Role) -> OpReport:
    file, line = user_frame(str(node.meta.get("stack_trace") or "")) or ("", 0)
    modules = enclosing_modules(node)
    return OpReport(
        node.name,
        op_names(node)[0],
        modules[-1][0] if modules else "",
        file,
        line,
        HOW[role.kind],
        role.reads,
        role.writes,
        role.weights,
        role.note,
    )


def _is_cast(node: Node) -> bool:
    return getattr(node.target, "namespace", "") == _CASTS


def _cast_dtype(node: Node) -> str:
    dtype = next(a for a in reversed(node.args) if isinstance(a, torch.dtype))
    return str(dtype).removeprefix("torch.")


def _weight_dtype(node: Node) -> str:
    low, high = (a for a in node.args[-3:] if isinstance(a, int))
    bits = (high - low).bit_length()
    return f"int{bits}"


def _stored(node: Any) -> Node | None:
    return node if isinstance(node, Node) and node.op in ("placeholder", "get_attr") else None
