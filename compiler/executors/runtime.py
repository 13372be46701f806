"""The embedded runtime's host build: the code that runs on the device."""

from __future__ import annotations

from collections.abc import Sequence

from tosaic.dialects.bindings import ir
from tosaic.emit.manifest import Manifest
from tosaic.emit.serialize import serialize
from tosaic.executors.executor import Array, checked_inputs
from tosaic.runtime import Model


class RuntimeExecutor:
    """Loads the program's flatbuffer into an arena of its own."""

    def __init__(self, module: ir.Module, flatbuffer: bytes | None = None) -> None:
        """Load the program; see `make_executor` for the errors."""
        self._manifest = Manifest.from_module(module).held
        self._model = Model(flatbuffer or serialize(module))

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return main's results; see `Executor.run`."""
        return self._model.run(checked_inputs(self._manifest, inputs))
