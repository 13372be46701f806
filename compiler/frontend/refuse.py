"""Programs that cannot be compiled, whatever is done to their ops: refused before anything else."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind, TensorArgument

from tosaic.errors import InputError
from tosaic.graph.frames import place_of

_NO_FORM = (
    *(torch.complex32, torch.complex128, torch.qint8, torch.quint8, torch.qint32),
    *(torch.uint16, torch.uint32, torch.uint64),
)


def refuse(program: ExportedProgram) -> None:
    """Refuse outputs that are no tensors, and types that the torch dialect has not.

    Raises:
        InputError: which output is no tensor, or which op has such a type, and where.
    """
    for spec in program.graph_signature.output_specs:
        if spec.kind == OutputKind.USER_OUTPUT and not isinstance(spec.arg, TensorArgument):
            raise InputError(
                f"The model returns {getattr(spec.arg, 'value', spec.arg)!r}, which is no tensor; "
                "a program's outputs are tensors. Leave it out, or make it a tensor."
            )
    for node in program.graph.nodes:
        dtypes = [x.dtype for x in _leaves(node.meta.get("val")) if isinstance(x, torch.Tensor)]
        unknown = next((d for d in dtypes if d in _NO_FORM), None)
        if unknown is not None:
            what = f"is a {unknown} tensor"
        elif any(isinstance(x, complex) for x in _leaves((node.args, node.kwargs))):
            what, unknown = "has a complex number as an argument", torch.complex128
        else:
            continue
        advice = (
            "Compute the real and the imaginary part as two real tensors."
            if unknown.is_complex
            else "Convert it to a type that TOSA has, such as float32 or int8."
        )
        raise InputError(
            f"'{node.name}'{place_of(node)} {what}, which TOSA does not have. {advice}"
        )


def _leaves(value: Any) -> list[Any]:
    leaves: list[Any] = pytree.tree_leaves(value)
    return leaves
