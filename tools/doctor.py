"""Checks of the installation: are the tools there, in the versions tested, and do they work?"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

import numpy as np

TOOLS = ("torch", "torchao", "torch-mlir", "tosa-tools", "ethos-u-vela", "numpy")

_PROGRAM = """
func.func @main(%x: tensor<1x4xi32>, %y: tensor<1x4xi32>) -> tensor<1x4xi32> {
  %0 = tosa.add %x, %y : (tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi32>
  return %0 : tensor<1x4xi32>
}
"""
_INPUTS = (np.array([[1, -2, 3, -4]], np.int32), np.array([[4, 2, 6, 4]], np.int32))
_OUTPUT = np.array([[5, 0, 9, 0]], np.int32)


@dataclass(frozen=True)
class Check:
    """One line of the report; `problem` is empty where all is well."""

    what: str
    found: str
    problem: str = ""


def checks() -> Iterator[Check]:
    """Check versions, then push a tiny program through every tool; yields as it goes."""
    yield from _versions()
    works: tuple[tuple[str, Callable[[], str]], ...] = (
        ("torch.export and import", _try_import),
        ("TOSA serializer", _try_serializer),
        ("reference model", lambda: _try_executor("reference")),
        ("host JIT", lambda: _try_executor("jit")),
        ("Vela", _try_vela),
        ("embedded runtime", _try_runtime),
        ("simulated boards", _find_board_tools),
    )
    for what, attempt in works:
        try:
            yield Check(what, attempt())
        except Exception as error:  # whatever a broken installation raises
            reason = " ".join(str(error).split()) or type(error).__name__
            yield Check(what, "fails", reason)


def _versions() -> Iterator[Check]:
    pins = _pinned()
    for name in TOOLS:
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Check(name, "missing", f"Install it: pip install '{name}{pins.get(name, '')}'.")
            continue
        wanted = pins.get(name, "")
        # A local part ("+cpu") names a build of the same version.
        if wanted.startswith("==") and found.partition("+")[0] != wanted[2:]:
            advice = f"tosaic is tested with {wanted[2:]}: pip install '{name}{wanted}'."
            yield Check(name, found, advice)
        else:
            yield Check(name, found)


def _pinned() -> dict[str, str]:
    """Return the version specifier that tosaic's own metadata gives for each dependency."""
    try:
        requires = metadata.requires("tosaic") or []
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        requires = []
    found = (re.fullmatch(r"([\w.-]+)\s*\(?([^;()\s]*)\)?", text.strip()) for text in requires)
    return {match[1]: match[2] for match in found if match}


# Each imports for itself: a broken tool must not hide what the others do.


def _try_import() -> str:
    import torch

    from tosaic.dialects.bindings import make_context
    from tosaic.frontend import export_model, import_program

    program = export_model(torch.nn.ReLU().eval(), (torch.zeros(1, 4),))
    if "torch.aten.relu" not in str(import_program(program, make_context())):
        raise RuntimeError("the imported program lacks the model's op")
    return "works"


def _try_serializer() -> str:
    from tosaic.dialects.bindings import ir, make_context
    from tosaic.emit import deserialize, serialize

    context = make_context()
    data = serialize(ir.Module.parse(_PROGRAM, context))
    if "tosa.add" not in str(deserialize(data, context)):
        raise RuntimeError("a program does not survive serialising and reading back")
    return f"works, {len(data)} bytes"


def _try_executor(name: str) -> str:
    from tosaic.dialects.bindings import ir, make_context
    from tosaic.executors import make_executor

    (found,) = make_executor(name, ir.Module.parse(_PROGRAM, make_context())).run(_INPUTS)
    if not np.array_equal(found, _OUTPUT):
        raise RuntimeError(f"wrong result: {found.tolist()}, expected {_OUTPUT.tolist()}")
    return "works, right result"


def _try_vela() -> str:
    from tosaic.backends.ethos_u.vela import compile_module
    from tosaic.dialects.bindings import ir, make_context
    from tosaic.targets import target

    module = ir.Module.parse(_PROGRAM, make_context())
    result = compile_module(module, target("ethos-u55-128"))
    return f"works, {result.cycles_total} cycles"


# What only programs for Cortex-M need may be missing.


def _try_runtime() -> str:
    from tosaic.errors import ToolError
    from tosaic.runtime.library import library

    try:
        library()
    except ToolError as error:
        return f"optional: {error}"
    return _try_executor("runtime")


def _find_board_tools() -> str:
    tools = ("qemu-system-arm", "arm-none-eabi-gcc", "arm-none-eabi-g++", "cmake")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return f"optional: no {', '.join(missing)} on PATH" if missing else "tools found"
