"""Reading back from a TOSA flatbuffer what reports need: which op wrote which tensor, and where."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from tosaic.dialects.bindings import ir
from tosaic.dialects.locations import SourceSite, source_site

# The accessors that flatc generated, from the tosa-tools wheel; they carry no types.
_Op: Any = importlib.import_module("tosa.Op").Op
_TosaGraph: Any = importlib.import_module("tosa.TosaGraph").TosaGraph
_OP_NAMES = {value: name for name, value in vars(_Op).items() if not name.startswith("_")}


def sites_by_tensor(data: bytes) -> dict[str, tuple[str, SourceSite]]:
    """Return, per tensor name, the TOSA op (``"CONV2D"``) that writes it and its source site.

    Sites are unknown in a file serialised without locations.
    """
    out: dict[str, tuple[str, SourceSite]] = {}
    context = ir.Context()
    for operator in _operators(_TosaGraph.GetRootAs(data, 0)):
        entry = _OP_NAMES.get(operator.Op(), "?"), _site(operator.Location(), context)
        for k in range(operator.OutputsLength()):
            out[operator.Outputs(k).decode()] = entry
    return out


def tensor_names_of(data: bytes) -> list[str]:
    """Return the names of the main block's tensors, in the file's order."""
    block = _TosaGraph.GetRootAs(data, 0).Regions(0).Blocks(0)
    return [block.Tensors(k).Name().decode() for k in range(block.TensorsLength())]


def _operators(graph: Any) -> Iterator[Any]:
    for r in range(graph.RegionsLength()):
        region = graph.Regions(r)
        for b in range(region.BlocksLength()):
            block = region.Blocks(b)
            for o in range(block.OperatorsLength()):
                yield block.Operators(o)


def site_of_text(text: str, context: ir.Context) -> SourceSite:
    """Return the site that a location says, written as MLIR writes it: ``loc("conv"(…))``."""
    try:
        # Attribute.parse fails to cast locations to their own class; an op's location does not.
        return source_site(ir.Module.parse(f"module {{}} {text}", context).operation.location)
    except ir.MLIRError:
        return SourceSite()


def _site(location: Any, context: ir.Context) -> SourceSite:
    text = location.Text() if location is not None else None
    return site_of_text(text.decode(errors="replace"), context) if text else SourceSite()
