"""The entry functions of a module, and tosaic's attributes on their arguments and results.

`tosaic.name` (a string) is the tensor's name for users; `tosaic.qtype` (a TypeAttr of a
`!quant.uniform` type) says what the integers of an input or output mean; `tosaic.unsigned` (a
unit) that i8 stands for uint8; `tosaic.range` (two integers) which values an input may have.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

from tosaic.dialects.bindings import func, ir
from tosaic.errors import InputError

NAME = "tosaic.name"
QTYPE = "tosaic.qtype"
UNSIGNED = "tosaic.unsigned"
RANGE = "tosaic.range"
MAIN = "main"


def functions_of(module: Any) -> list[Any]:
    """Return the module's functions (``func.func``), in order."""
    operations = module.operation.regions[0].blocks[0].operations
    return [op for op in operations if isinstance(op, func.FuncOp)]


def entry_functions(module: Any) -> dict[str, Any]:
    """Return the functions that a user can call, by name: those that are public.

    A function called main is the only one, whatever helpers it has.
    """
    functions = functions_of(module)
    public = [f for f in functions if "sym_visibility" not in f.attributes]
    main = [f for f in functions if f.sym_name.value == MAIN]
    return {f.sym_name.value: f for f in main or public}


def entry_function(module: Any) -> Any:
    """Return the entry of a module that has one.

    Raises:
        InputError: there is none, or no way to choose.
    """
    entries = entry_functions(module)
    if len(entries) != 1:
        names = ", ".join(f.sym_name.value for f in functions_of(module)) or "none"
        raise InputError(
            f"The module needs one entry function: name it 'main'. Its functions are: {names}."
        )
    return next(iter(entries.values()))


def argument_attributes(function: Any) -> list[dict[str, ir.Attribute]]:
    """Return the attributes of each argument of `function` as dicts."""
    return _dicts(function, "arg_attrs", len(function.function_type.value.inputs))


def result_attributes(function: Any) -> list[dict[str, ir.Attribute]]:
    """Return the attributes of each result of `function` as dicts."""
    return _dicts(function, "res_attrs", len(function.function_type.value.results))


def set_attributes(function: Any, which: str, values: Sequence[dict[str, ir.Attribute]]) -> None:
    """Set the attribute dicts of all arguments (`which` "arg_attrs") or results ("res_attrs")."""
    with function.context:
        function.attributes[which] = ir.ArrayAttr.get([ir.DictAttr.get(v) for v in values])


def tensor_names(function: Any) -> tuple[list[str], list[str]]:
    """Return the names of inputs and outputs: `tosaic.name`, else ``input_0``, ``output_0``, ….

    A name used twice gets a number, since the flatbuffer links tensors by name.
    """
    taken: set[str] = set()
    inputs = list(_names(argument_attributes(function), "input", taken))
    outputs = list(_names(result_attributes(function), "output", taken))
    return inputs, outputs


def bytecode(operation: Any) -> bytes:
    """Return `operation` as MLIR bytecode."""
    buffer = io.BytesIO()
    operation.write_bytecode(buffer)
    return buffer.getvalue()


def _names(
    attributes: Sequence[dict[str, ir.Attribute]], default: str, taken: set[str]
) -> Iterator[str]:
    for index, attrs in enumerate(attributes):
        wanted = attrs[NAME].value if NAME in attrs else f"{default}_{index}"
        name, count = wanted, 1
        while name in taken:
            name, count = f"{wanted}_{count}", count + 1
        taken.add(name)
        yield name


def _dicts(function: Any, which: str, count: int) -> list[dict[str, ir.Attribute]]:
    if which not in function.attributes:
        return [{} for _ in range(count)]
    return [{named.name: named.attr for named in attrs} for attrs in function.attributes[which]]
