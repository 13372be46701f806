"""What a program is after each step of a compile, written to numbered files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tosaic.dialects.bindings import ir
from tosaic.emit.files import write_text
from tosaic.graph.passes import graph_text

if TYPE_CHECKING:
    from torch.fx import GraphModule


@dataclass
class Dump:
    """Writes to `folder`: graphs as ``.fx`` and modules as ``.mlir``, `count` of them so far."""

    folder: Path
    count: int = 0

    def graph(self, step: str, model: GraphModule) -> None:
        """Write the graph that a pass left; a `Watch` of graph passes."""
        self._write(f"{step}.fx", f"{graph_text(model)}\n")

    def module(self, step: str, module: ir.Module) -> None:
        """Write the module that a stage left, with locations; large constants are left out."""
        text = module.operation.get_asm(large_elements_limit=16, enable_debug_info=True)
        self._write(f"{step}.mlir", str(text))

    def _write(self, name: str, text: str) -> None:
        write_text(self.folder / f"{self.count:03d}-{name}", text)
        self.count += 1
