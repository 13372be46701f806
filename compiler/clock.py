"""Running the stages of a compile: timed, announced, and reproducible where they fail."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tosaic.dialects.bindings import ir
from tosaic.emit.files import write_bytes, write_text
from tosaic.emit.functions import bytecode
from tosaic.errors import CompileError
from tosaic.lowering.pipeline import Pipeline

Progress = Callable[[str], None]


class Clock:
    """Times stages and tells the user that they start: ``with clock("import"): …``.

    A stage that runs for several entries has their sum.
    """

    def __init__(self, progress: Progress = lambda stage: None) -> None:
        """Call `progress` with the name of each stage as it starts."""
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stage = ""
        self._start = 0.0

    def __call__(self, stage: str) -> Clock:
        """Name the stage that the next ``with`` times."""
        self._stage = stage
        return self

    def __enter__(self) -> None:
        self._progress(self._stage)
        self._start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        spent = time.perf_counter() - self._start
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + spent


def run_stage(module: ir.Module, text: str) -> None:
    """Run pipeline `text` on `module` in place.

    Raises:
        CompileError: a pass failed; `reproducer` is the command that shows it again, on a copy of
            the module as it was before, in a directory of its own.
    """
    before = module.operation.clone()
    pipeline = Pipeline.parse(text)
    try:
        pipeline.run(module)
    except CompileError as error:
        error.reproducer = _reproducer(before, pipeline)
        raise


def _reproducer(module: ir.Operation, pipeline: Pipeline) -> str:
    """Write `module` and the command that runs `pipeline` on it; return the command."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="tosaic-repro-"))
        source = folder / "input.mlirbc"
        command = f"tosaic-opt {source} --pass-pipeline='{pipeline}'"
        write_bytes(source, bytecode(module))
        write_text(folder / "run.sh", f"#!/bin/sh\n{command}\n")
    except OSError:
        return ""  # no room to write one: the error itself matters more
    return f"sh {folder / 'run.sh'}"
