"""The program on which a graph pass failed, kept with the command that shows the failure again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import ExportedProgram

from tosaic.emit.files import write_text
from tosaic.errors import CompileError, TosaicError


@contextmanager
def reproducible(program: ExportedProgram) -> Iterator[None]:
    """Give a fault of tosaic's own, raised by a graph pass on `program`, a reproducer.

    `program` itself must not be changed inside. What cannot be saved has none.
    """
    try:
        yield
    except CompileError as error:
        unexpected = error.__cause__ is not None and not isinstance(error.__cause__, TosaicError)
        if unexpected and not error.reproducer:
            error.reproducer = _reproducer(program)
        raise


def _reproducer(program: ExportedProgram) -> str:
    """Write `program` and the command that runs the passes on it; return the command."""
    folder = Path(tempfile.mkdtemp(prefix="tosaic-repro-"))
    try:
        source = folder / "input.pt2"
        torch.export.save(program, source)
        write_text(folder / "run.sh", f"#!/bin/sh\ntosaic explain {source}\n")
    except Exception:  # torch raises whatever it meets; the error itself matters more
        shutil.rmtree(folder, ignore_errors=True)
        return ""
    return f"sh {folder / 'run.sh'}"
