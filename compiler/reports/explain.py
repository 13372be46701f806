"""What a recipe does with each op of a model, and why, in the user's names and source lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node
from torchao.quantization.pt2e.quantizer import Quantizer

from tosaic.errors import InputError
from tosaic.frontend import export_model
from tosaic.frontend.frames import user_frame
from tosaic.graph.facts import table_name
from tosaic.lowering.ops import Quantized, op_table
from tosaic.quantizer import QuantRecipe, TosaQuantizer, find_recipe
from tosaic.quantizer.select import enclosing_modules, op_names

_CASTS = "quantized_decomposed"
_HOW = {
    Quantized.NO: "float",
    Quantized.WEIGHTED: "weighted",
    Quantized.SHARED: "shared",
    Quantized.RESCALED: "rescaled",
    Quantized.SUM: "rescaled",
    Quantized.TABLE: "table",
    Quantized.COMPOSITE: "composite",
    Quantized.CLAMP: "fused",
}


@dataclass(frozen=True)
class OpReport:
    """One op of a model.

    `how` is weighted, rescaled, table, composite, shared (its input's parameters), fused (into the
    op before it) or float. `reads` and `writes` are the dtypes of quantised activations; `note`
    says why an op is in float, or what is unusual.
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
    decisions = quantizer.decide(graph)
    return [
        _report(node, d.kind, d.reads, d.writes, d.weights, d.note)
        for node, d in decisions.items()
        if table_name(node)
    ]


def _quantised(program: ExportedProgram) -> Iterator[OpReport]:
    """Describe each op between the casts of a quantised program."""
    table = op_table()
    for node in program.graph.nodes:
        if not table_name(node) or _is_cast(node):
            continue
        entry = table.get(table_name(node))
        inputs = [n for n in node.all_input_nodes if _is_cast(n)]
        weights = [n for n in inputs if _stored(n.args[0]) is not None]
        reads = tuple(_cast_dtype(n) for n in inputs if n not in weights)
        writes = next((_cast_dtype(user) for user in node.users if _is_cast(user)), "")
        kind = Quantized.NO if entry is None or not (reads or writes) else entry.quantized
        note = "nothing quantises it" if kind is Quantized.NO else ""
        weight = _weight_dtype(weights[0]) if weights else ""
        yield _report(node, kind, reads, writes, weight, note)


def _report(
    node: Node, kind: Quantized, reads: tuple[str, ...], writes: str, weights: str, note: str
) -> OpReport:
    file, line = user_frame(str(node.meta.get("stack_trace") or "")) or ("", 0)
    modules = enclosing_modules(node)
    return OpReport(
        node.name,
        op_names(node)[0],
        modules[-1][0] if modules else "",
        file,
        line,
        _HOW[kind],
        reads,
        writes,
        weights,
        note,
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
