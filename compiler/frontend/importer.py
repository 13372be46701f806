"""ExportedProgram to the torch dialect, through torch-mlir's FxImporter.

What is ours: literals by one copy (the importer's own path goes through Python lists), locations
that carry the FX node's name and the user's line, and names and dimension ranges as attributes of
the function's arguments and results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch_mlir.extras.fx_importer import (
    TORCH_DTYPE_TO_MLIR_TYPE,
    ContextCache,
    FxImporter,
    FxImporterHooks,
)

from tosaic.dialects.bindings import ir
from tosaic.errors import InputError
from tosaic.frontend.normal import normalize
from tosaic.frontend.refuse import refuse
from tosaic.frontend.units import annotate_units
from tosaic.graph.frames import user_frame

ENTRY = "main"


def import_program(program: ExportedProgram, context: ir.Context) -> ir.Module:
    """Return `program` as a module in the torch dialect whose function ``main`` is functional.

    Arguments and results carry ``tosaic.name``; arguments with symbolic dims also ``tosaic.dims``
    (one string a dim: the size, or ``name:min..max``).

    Raises:
        InputError: the program mutates its inputs or buffers, or holds something that has no
            form in the torch dialect.
    """
    program = normalize(program)
    refuse(program)
    importer = FxImporter(context=context, hooks=_Literals())
    importer._cc = _Locations(context, py_attr_tracker=importer._py_attr_tracker)
    try:
        with context:
            function = importer.import_program(program, func_name=ENTRY)
            _annotate_signature(function, program)
            annotate_units(function, list(program.graph.nodes))
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"The exported program cannot be imported: {error}. "
            "Please check that it uses dense tensors and ATen ops only."
        ) from error
    module = importer.module
    assert isinstance(module, ir.Module)
    _make_bools_literals(module)
    return module


def _make_bools_literals(module: ir.Module) -> None:
    """Turn each Python bool in a tensor's place into a literal: NumToTensor takes no bools."""
    found: list[Any] = []

    def collect(op: Any) -> Any:
        operation = op.operation
        if (
            operation.name == "torch.prim.NumToTensor.Scalar"
            and str(operation.operands[0].type) == "!torch.bool"
        ):
            found.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for operation in found:
        value = str(operation.operands[0].owner.attributes["value"].value).lower()
        with operation.location, ir.InsertionPoint(operation):
            literal = ir.Operation.create(
                "torch.vtensor.literal",
                results=[operation.results[0].type],
                attributes={"value": ir.Attribute.parse(f"dense<{value}> : tensor<i1>")},
            )
        operation.results[0].replace_all_uses_with(literal.result)
        operation.erase()


def _annotate_signature(function: Any, program: ExportedProgram) -> None:
    placeholders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    arguments = []
    for spec in program.graph_signature.input_specs:
        if spec.kind != InputKind.USER_INPUT or not hasattr(spec.arg, "name"):
            continue
        value = placeholders[spec.arg.name].meta.get("val")
        if not isinstance(value, torch.Tensor):
            continue
        attributes = {"tosaic.name": ir.StringAttr.get(spec.arg.name)}
        if any(isinstance(d, torch.SymInt) for d in value.shape):
            dims = [ir.StringAttr.get(text) for text in _dims(value, program)]
            attributes["tosaic.dims"] = ir.ArrayAttr.get(dims)
        if value.dtype == torch.uint8:
            attributes["tosaic.unsigned"] = ir.UnitAttr.get()
        arguments.append(ir.DictAttr.get(attributes))
    names = list(_output_names(program))
    results = []
    for name, type_ in zip(_unique(names), function.type.results, strict=False):
        attributes = {"tosaic.name": ir.StringAttr.get(name)}
        if str(type_).endswith(",ui8>"):
            attributes["tosaic.unsigned"] = ir.UnitAttr.get()
        results.append(ir.DictAttr.get(attributes))
    if len(arguments) == len(function.type.inputs):
        function.attributes["arg_attrs"] = ir.ArrayAttr.get(arguments)
    if len(results) == len(function.type.results):
        function.attributes["res_attrs"] = ir.ArrayAttr.get(results)


def _output_names(program: ExportedProgram) -> Iterator[str]:
    """Yield a name per output: its key where the model returns a dict, else its node's name.

    A quantised model's outputs are named after the ops that compute them, not after the
    dequantize nodes behind.
    """
    specs = [s for s in program.graph_signature.output_specs if s.kind == OutputKind.USER_OUTPUT]
    numbered = pytree.tree_unflatten(list(range(len(specs))), program.call_spec.out_spec)
    paths = {number: path for path, number in pytree.tree_flatten_with_path(numbered)[0]}
    nodes = {node.name: node for node in program.graph.nodes}
    for number, spec in enumerate(specs):
        keys = [str(k.key) for k in paths[number] if isinstance(k, pytree.MappingKey)]
        if keys:
            yield ".".join(keys)
        elif hasattr(spec.arg, "name"):
            node = nodes[spec.arg.name]
            while getattr(node.target, "namespace", "") == "quantized_decomposed":
                node = node.args[0]
            yield node.name


def _unique(names: list[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}_{seen[name]}"


def _dims(value: torch.Tensor, program: ExportedProgram) -> Iterator[str]:
    for dim in value.shape:
        if isinstance(dim, torch.SymInt):
            expression = dim.node.expr
            bounds = program.range_constraints.get(expression)
            yield f"{expression}:{bounds.lower}..{bounds.upper}" if bounds else f"{expression}:"
        else:
            yield str(dim)


class _Literals(FxImporterHooks):  # type: ignore[misc]
    def resolve_literal(self, gni: Any, literal: Any, info: Any) -> Any:
        """Return a `torch.vtensor.literal` that shares no Python list with `literal`."""
        if not isinstance(literal, torch.Tensor) or literal.dtype not in TORCH_DTYPE_TO_MLIR_TYPE:
            return None
        if literal.is_complex():
            # The bindings cannot read complex attributes.
            parts = self.resolve_literal(gni, torch.view_as_real(literal.resolve_conj()), info)
            result = gni._cc.tensor_to_vtensor_type(literal)
            return ir.Operation.create(
                "torch.aten.view_as_complex", results=[result], operands=[parts]
            ).result
        data = literal.detach().cpu().contiguous()
        element = TORCH_DTYPE_TO_MLIR_TYPE[data.dtype]()
        if data.dtype in (torch.bfloat16, torch.float16) or data.dtype.itemsize == 1:
            array = data.view(torch.int16 if data.dtype.itemsize == 2 else torch.uint8).numpy()
            if data.dtype == torch.bool:
                array = array.astype(np.bool_)
        else:
            array = data.numpy()
        shape = list(array.shape)
        attr = ir.DenseElementsAttr.get(array, type=element, shape=shape)
        result = gni._cc.tensor_to_vtensor_type(data)
        loc = None
        if info is not None and info.input_spec.target:
            loc = ir.Location.name(info.input_spec.target)
        return ir.Operation.create(
            "torch.vtensor.literal", results=[result], attributes={"value": attr}, loc=loc
        ).result


class _Locations(ContextCache):  # type: ignore[misc]
    """Names each op after its FX node and places it at the user's innermost line."""

    __slots__ = ()

    def get_node_location(self, node: torch.fx.Node) -> Any:
        """Return ``loc("node"("file":line:0))``, or None for placeholders."""
        if node.op != "call_function":
            return None
        frame = user_frame(node.meta.get("stack_trace") or "")
        place = ir.Location.unknown(self._c)
        if frame is not None:
            place = ir.Location.file(frame[0], frame[1], 0, context=self._c)
        return ir.Location.name(node.name, place, context=self._c)
