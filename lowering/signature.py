"""Reading and writing a function's type and the attributes of its arguments and results."""

from __future__ import annotations

from typing import Any

from tosaic.dialects.bindings import ir


def signature_attrs(function: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the attribute dictionaries of a function's arguments and results."""
    kind = function.attributes["function_type"].value

    def read(name: str, count: int) -> list[dict[str, Any]]:
        if name not in function.attributes:
            return [{} for _ in range(count)]
        return [{a.name: a.attr for a in attrs} for attrs in function.attributes[name]]

    return read("arg_attrs", len(kind.inputs)), read("res_attrs", len(kind.results))


def set_signature(
    function: Any, arguments: list[dict[str, Any]], results: list[dict[str, Any]]
) -> None:
    """Set a function's type from its body, and its argument and result attributes."""
    block = function.regions[0].blocks[0]
    terminator = block.operations[len(block.operations) - 1]
    kind = ir.FunctionType.get(
        [a.type for a in block.arguments], [v.type for v in terminator.operands]
    )
    function.attributes["function_type"] = ir.TypeAttr.get(kind)
    for name, attrs in (("arg_attrs", arguments), ("res_attrs", results)):
        if any(attrs):
            function.attributes[name] = ir.ArrayAttr.get([ir.DictAttr.get(a) for a in attrs])
        elif name in function.attributes:
            del function.attributes[name]
