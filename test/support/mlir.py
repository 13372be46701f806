"""MLIR functions built for a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.builder import Builder


def module_of(
    types: Sequence[ir.Type], build: Callable[..., Any], location: ir.Location | None = None
) -> ir.Module:
    """Return a module whose ``@main`` takes `types` and returns what `build` does.

    The caller has entered a context and a location. `build` is called with a Builder (its ops are
    at `location`, by default at that one) and the arguments; it returns a value or several.
    """
    module = ir.Module.create()
    with ir.InsertionPoint(module.body):
        main = func.FuncOp("main", (list(types), []))
    block = main.add_entry_block()
    builder = Builder(location or ir.Location.current, ir.InsertionPoint(block))
    out = build(builder, *block.arguments)
    results = [out] if isinstance(out, ir.Value) else list(out)
    with ir.InsertionPoint(block):
        func.ReturnOp(results)
    signature = ir.FunctionType.get(list(types), [r.type for r in results])
    main.attributes["function_type"] = ir.TypeAttr.get(signature)
    assert module.operation.verify()
    return module
