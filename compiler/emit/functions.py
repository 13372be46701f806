"""The main function of a module and our attributes on its arguments and results.

`tosaic.name` (a string) is the tensor's name for users; `tosaic.qtype` (a TypeAttr of a
`!quant.uniform` type) says what the integers of an input or output mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tosaic.dialects.bindings import func, ir
from tosaic.errors import InputError

NAME = "tosaic.name"
QTYPE = "tosaic.qtype"


def clone(module: ir.Module) -> ir.Module:
    """Return an independent copy of `module` in the same context."""
    return module.operation.clone().opview if _clones_as_module() else _reparsed(module)


def main_function(module: ir.Module) -> Any:
    """Return the module's entry `func.func`: the one called main, else the only public one.

    Raises:
        InputError: there is none, or no way to choose.
    """
    functions = [op for op in module.body.operations if isinstance(op, func.FuncOp)]
    named = [f for f in functions if f.sym_name.value == "main"]
    public = named or [f for f in functions if "sym_visibility" not in f.attributes]
    if len(public) != 1:
        names = ", ".join(f.sym_name.value for f in functions) or "none"
        raise InputError(
            f"The module needs one entry function: name it 'main'. Its functions are: {names}."
        )
    return public[0]
