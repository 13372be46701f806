"""MLIR module ↔ TOSA flatbuffer, through tosa-tools' ``tosa-opt``.

The program is handed over as bytecode: tosa-opt is built from another MLIR than our bindings, and
bytecode is what both accept. A process start is 20 ms; there is no in-process MLIR serializer.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from tosaic import targets
from tosaic.dialects.bindings import ir
from tosaic.emit.files import read_bytes
from tosaic.emit.functions import (
    MAIN,
    NAME,
    argument_attributes,
    bytecode,
    entry_function,
    result_attributes,
    set_attributes,
    tensor_names,
)
from tosaic.errors import CompileError, Diagnostic, ToolError
from tosaic.lowering.pipeline import Pipeline
from tosaic.targets import Target

_TENSOR_NAME = "tosa.tensor_name"
_TARGET_ENV = "tosa.target_env"
_NOT_TOSA = (
    "Everything in it must be a TOSA op on plain tensors here; run validate() first for a report "
    "by source line."
)
# What the validator says -> what to do.
_ADVICE = {"MAX_RANK": "; TOSA's tensors have up to 6 dims: merge some with reshape"}
_NOT_A_FILE = "Give it a .tosa flatbuffer of TOSA 1.x."


def serialize(
    module: ir.Module, *, names: bool = True, locations: bool = True, target: Target | None = None
) -> bytes:
    """Return `module`'s main function as a TOSA flatbuffer; `module` is not changed.

    `names` keeps input and output names (`tosaic.name`). `locations` stores each op's MLIR location
    in the file, which reports read back; leave it out of artifacts that should not show source
    paths. The TOSA version written is `target`'s, else the module's ``tosa.target_env``, else 1.0.

    Raises:
        ToolError: tosa-opt does not take the program (an op or type that is not TOSA).
        InputError: there is no main function.
    """
    plain = _plain_copy(module, names=names)
    with plain.context:
        if target is not None or _TARGET_ENV not in plain.attributes:
            # The file keeps the version alone, and tosa-opt cannot read an environment without
            # extensions, which a target may be: it gets them all.
            written = targets.target("tosa")
            if target is not None:
                written = dataclasses.replace(written, tosa_version=target.tosa_version)
            Pipeline((_attach_target(written),)).run(plain)
        if not locations:
            Pipeline(("strip-debuginfo",)).run(plain)
    with tempfile.TemporaryDirectory(prefix="tosaic-") as folder:
        output = Path(folder, "program.tosa")
        retain = " retain-graph-input-output-names" if names else ""
        options = f"tosa-flatbuffer-filename={output}{retain}"
        _tosa_opt([f"--tosa-serialize={options}", "-o", os.devnull], bytecode(plain), _NOT_TOSA)
        return read_bytes(output)


def deserialize(data: bytes, context: ir.Context) -> ir.Module:
    """Return the program in a TOSA flatbuffer; tensor names become `tosaic.name`.

    Raises:
        ToolError: `data` is not a TOSA flatbuffer that tosa-opt reads.
    """
    with tempfile.TemporaryDirectory(prefix="tosaic-") as folder:
        source = Path(folder, "program.tosa")
        result = Path(folder, "program.mlirbc")
        source.write_bytes(data)
        # Not through stdout: the reader prints its warnings there.
        flags = [f"--tosa-deserialize=tosa-flatbuffer-filename={source}"]
        _tosa_opt([*flags, "--emit-bytecode", "-o", str(result)], b"module {}", _NOT_A_FILE)
        out = read_bytes(result)
    with context:
        module = ir.Module.parse(out)
        function = entry_function(module)
        set_attributes(function, "arg_attrs", _renamed(argument_attributes(function)))
        set_attributes(function, "res_attrs", _renamed(result_attributes(function)))
    return module


def validate(module: ir.Module, target: Target) -> None:
    """Check `module` against the TOSA specification as `target` names it (version, profile, level).

    Raises:
        CompileError: with every violation found and its place in the user's source.
    """
    copy = module.operation.clone()
    checks = Pipeline((_attach_target(target), "tosa-validate{strict-op-spec-alignment=true}"))
    try:
        checks.run(copy)
    except CompileError as error:
        summary = (
            f"The program is not TOSA {target.tosa_version} {'+'.join(target.profiles)} level "
            f"{target.level}, which target {target.name} takes."
        )
        raise CompileError(summary, [_advised(d) for d in error.diagnostics]) from error


def _advised(problem: Diagnostic) -> Diagnostic:
    """Return `problem` with what to do about it, where that is known."""
    advice = next((text for words, text in _ADVICE.items() if words in problem.message), "")
    return dataclasses.replace(problem, message=problem.message + advice)


def _attach_target(target: Target) -> str:
    options = [
        f"specification_version={target.tosa_version}",
        f"profiles={','.join(target.profiles)}",
        f"level={target.level}",
    ]
    if target.extensions:
        options.append(f"extensions={','.join(target.extensions)}")
    return f"tosa-attach-target{{{' '.join(options)}}}"


def _plain_copy(module: ir.Module, *, names: bool) -> ir.Operation:
    """Return a copy without attributes of dialects tosa-opt does not know."""
    copy = module.operation.clone()
    main = entry_function(copy)
    with copy.context:
        main.attributes["sym_name"] = ir.StringAttr.get(MAIN)  # as TOSA calls a file's entry
        inputs, outputs = tensor_names(main) if names else ([], [])
        for which, values in (("arg_attrs", inputs), ("res_attrs", outputs)):
            if which in main.attributes:
                del main.attributes[which]
            if values:
                named = [{_TENSOR_NAME: ir.StringAttr.get(v)} for v in values]
                set_attributes(main, which, named)
        copy.walk(_drop_foreign_attributes)
    return copy


def _drop_foreign_attributes(op: ir.Operation) -> ir.WalkResult:
    for name in [n for n in op.attributes if "." in n and not n.startswith("tosa.")]:
        del op.attributes[name]
    return ir.WalkResult.ADVANCE


def _renamed(attributes: Sequence[dict[str, ir.Attribute]]) -> list[dict[str, ir.Attribute]]:
    return [{NAME if k == _TENSOR_NAME else k: v for k, v in a.items()} for a in attributes]


@cache
def _tosa_opt_path() -> str:
    # The console script is a Python shim that costs another interpreter start.
    return str(metadata.distribution("tosa-tools").locate_file("bin/tosa-opt"))


def _tosa_opt(flags: Sequence[str], source: bytes, advice: str) -> None:
    try:
        done = subprocess.run(
            [_tosa_opt_path(), *flags], input=source, capture_output=True, check=False
        )
    except (OSError, metadata.PackageNotFoundError) as error:
        raise ToolError(
            f"tosa-opt does not start: {error}. Reinstall the package tosa-tools."
        ) from error
    if done.returncode:
        raise ToolError(f"tosa-opt refused the program: {_first_error(done.stderr)}. {advice}")


def _first_error(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    text = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")
    return text.rstrip(".") or "it crashed"
