"""Writes to tensors: which are harmless, which PyTorch has to rewrite, which are refused."""

from __future__ import annotations

from typing import Any

from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind, TensorArgument
from torch.fx import Node

from tosaic.errors import InputError


def functional(program: ExportedProgram) -> ExportedProgram:
    """Return `program` without writes that anything but the op's own result shows.

    An in-place op whose operand nothing else shares memory with, such as the ReLU behind a
    convolution, is left as it is. Others make PyTorch trace the program again, which takes as long
    as the export.

    Raises:
        InputError: as `refuse_mutation`.
    """
    if any(_is_shared(x) for node in program.graph.nodes for x in _written(node)):
        program = program.run_decompositions({})
    refuse_mutation(program)
    return program


def _written(node: Node) -> list[Any]:
    """Return the operands that `node` writes to."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return []
    return [
        node.args[n] if n < len(node.args) else node.kwargs.get(argument.name)
        for n, argument in enumerate(node.target._schema.arguments)
        if argument.is_write
    ]


def _is_shared(operand: Any) -> bool:
    """Return whether something else may see what is written to `operand`."""
    if not isinstance(operand, Node) or operand.op != "call_function":
        return True
    return _is_view(operand) or any(_is_view(user) for user in operand.users)


def _is_view(node: Node) -> bool:
    target = node.target
    return isinstance(target, OpOverload) and any(
        result.alias_info is not None and not result.alias_info.is_write
        for result in target._schema.returns
    )


def refuse_mutation(program: ExportedProgram) -> None:
    """Refuse a program with state, or with outputs that are no tensors.

    Raises:
        InputError: which buffer or input it writes to, or which output is no tensor.
    """
    for spec in program.graph_signature.output_specs:
        if spec.kind in (OutputKind.BUFFER_MUTATION, OutputKind.USER_INPUT_MUTATION):
            raise InputError(
                f"The model writes to '{spec.target}' while it runs; a compiled program has no "
                "state. Return the new value as an output and pass it back in as an input."
            )
        if spec.kind == OutputKind.USER_OUTPUT and not isinstance(spec.arg, TensorArgument):
            raise InputError(
                f"The model returns {getattr(spec.arg, 'value', spec.arg)!r}, which is no tensor; "
                "a program's outputs are tensors. Leave it out, or make it a tensor."
            )
