"""A compiled program: its entries, running them on this machine, and its files."""

from __future__ import annotations

import contextlib
import difflib
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tosaic.backends import Artifact, Artifacts, all_backends
from tosaic.backends.cortex_m.firmware import Firmware
from tosaic.backends.ethos_u.vela import VelaResult
from tosaic.dialects.bindings import ir
from tosaic.emit import Manifest, dequantize, quantize, write_bytes
from tosaic.emit.manifest import entries_in_json, entries_to_json
from tosaic.errors import InputError, TosaicError
from tosaic.executors import Executor, make_executor
from tosaic.program import join
from tosaic.targets import Target


@dataclass(frozen=True)
class Report:
    """What a compile did and what the program costs.

    `seconds` per stage, in order; `operators` is how often each TOSA operator occurs; `vela` is
    Vela's estimate, None for targets without an NPU and for several entries together.
    """

    target: str
    seconds: dict[str, float]
    operators: dict[str, int]
    vela: VelaResult | None = None


@dataclass
class CompiledProgram:
    """A program in TOSA, checked for its target, and what the target's backend made of it.

    `module` is the legal TOSA module with all entries, `manifests` and `artifacts` are by entry.
    `flatbuffer`, `manifest` and `firmware` (for Cortex-M) are those of the only entry; of a program
    with several, `entry` returns each as a program of its own.
    """

    module: ir.Module
    target: Target
    manifests: dict[str, Manifest]
    artifacts: Artifacts
    report: Report
    _executors: dict[str, Executor] = field(default_factory=dict, repr=False)
    _parts: dict[str, CompiledProgram] = field(default_factory=dict, repr=False)

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of its entries; "main" where the model was not given by name."""
        return tuple(self.manifests)

    def entry(self, name: str | None = None) -> CompiledProgram:
        """Return the part of the program that is entry `name`, the only one by default.

        Raises:
            InputError: there is no such entry, or no name and several entries.
        """
        names = ", ".join(self.entries)
        if name is None and len(self.entries) > 1:
            raise InputError(
                f"The program has the entries {names}. Choose one: program.entry(name), "
                "run(…, entry=name), or --entry on the command line."
            )
        if name is not None and name not in self.manifests:
            near = difflib.get_close_matches(name, self.entries, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InputError(f"The program has no entry '{name}'.{hint} Its entries are: {names}.")
        if name is None or len(self.entries) == 1:
            return self
        if name not in self._parts:
            self._parts[name] = assembled(
                self.target,
                {name: self.manifests[name]},
                Artifacts({name: self.artifacts.entries[name]}),
                self.report.seconds,
            )
        return self._parts[name]

    @property
    def _artifact(self) -> Artifact:
        (made,) = self.entry().artifacts.entries.values()
        return made

    @property
    def flatbuffer(self) -> bytes:
        """The only entry as a TOSA flatbuffer."""
        return self._artifact.flatbuffer

    @property
    def manifest(self) -> Manifest:
        """Inputs and outputs of the only entry."""
        (manifest,) = self.entry().manifests.values()
        return manifest

    @property
    def firmware(self) -> Firmware | None:
        """What a Cortex-M needs beside the flatbuffer of the only entry."""
        made = self._artifact.result
        return made if isinstance(made, Firmware) else None

    @cached_property
    def text(self) -> str:
        """The module as MLIR text, with locations, large constants elided."""
        return str(self.module.operation.get_asm(large_elements_limit=16, enable_debug_info=True))

    def run(
        self, *inputs: Any, entry: str | None = None, executor: str = "jit"
    ) -> list[npt.NDArray[Any]]:
        """Run the program on this machine.

        Float arrays (or tensors) for quantised inputs are quantised, and quantised outputs come
        back as float32; where every input is given in the program's own dtype, so are the outputs.

        Args:
            inputs: one array or tensor per program input, of its shape.
            entry: which entry to run, of a program with several.
            executor: "jit" (compiled, fast), "reference" (the TOSA reference model), "runtime" (the
                embedded runtime) or "qemu-cortex-m55" (the same on a simulated board).

        Raises:
            InputError: number, shape or dtype of the inputs does not fit, or there is no such
                entry.
        """
        part = self.entry(entry)
        if part is not self:
            return part.run(*inputs, executor=executor)
        if len(inputs) != len(self.manifest.inputs):
            names = ", ".join(info.name for info in self.manifest.inputs)
            raise InputError(
                f"The program takes {len(self.manifest.inputs)} input(s) ({names}), "
                f"got {len(inputs)}."
            )
        arrays = [_array(x) for x in inputs]
        stored = [
            array if str(array.dtype) == info.dtype else quantize(info, array)
            for info, array in zip(self.manifest.inputs, arrays, strict=True)
        ]
        results = self.executor(executor).run(self.manifest.to_held(stored))
        outputs = self.manifest.from_held(results)
        if all(a is s for a, s in zip(arrays, stored, strict=True)) and any(
            info.scale is not None for info in self.manifest.inputs
        ):
            return outputs
        return [
            dequantize(info, value)
            for info, value in zip(self.manifest.outputs, outputs, strict=True)
        ]

    def executor(self, name: str) -> Executor:
        """Return the executor `name` for the only entry, made ready on first use."""
        if name not in self._executors:
            self._executors[name] = make_executor(name, self.module, self.flatbuffer)
        return self._executors[name]

    def save(self, folder: str | Path, *, name: str = "model") -> list[Path]:
        """Write the program's files to `folder` (made if missing) and return their paths.

        `name`.tosa (flatbuffer), `name`.json (I/O manifest), `name`.mlir (for people), and for
        Ethos-U `name`_vela.npz (command stream, weights, memory), for Cortex-M `name`.plan (memory
        plan) and `name`.h (sizes, inputs and outputs, operators). Of several entries each has a
        `name`_ENTRY.tosa and the like; manifest, header and .mlir are of all. They appear together
        or, where one cannot be written, not at all.
        """
        folder = Path(folder)
        contents: dict[str, str | bytes]
        if len(self.entries) == 1:
            contents = {f"{name}.tosa": self.flatbuffer, f"{name}.json": self.manifest.to_json()}
        else:
            made = self.artifacts.entries
            contents = {f"{name}_{entry}.tosa": made[entry].flatbuffer for entry in self.entries}
            contents[f"{name}.json"] = entries_to_json(self.manifests)
        contents |= {f"{name}.mlir": self.text, **self.artifacts.files(name)}
        data = {k: v.encode() if isinstance(v, str) else v for k, v in contents.items()}
        stale = _possible_files(folder, name) - data.keys()
        _write_together(folder, data)
        for file in stale:
            # Of an earlier compile for another target; it does not belong to these files.
            (folder / file).unlink(missing_ok=True)
        return [folder / file for file in contents]


def assembled(
    target: Target,
    manifests: Mapping[str, Manifest],
    artifacts: Artifacts,
    seconds: Mapping[str, float],
) -> CompiledProgram:
    """Return the program that a backend made `artifacts` of; all are by entry."""
    modules = {name: made.module for name, made in artifacts.entries.items()}
    only = next(iter(artifacts.entries.values())) if len(modules) == 1 else None
    module = only.module if only else join(modules)
    vela = only.result if only and isinstance(only.result, VelaResult) else None
    report = Report(target.name, dict(seconds), _operators(module), vela)
    return CompiledProgram(module, target, dict(manifests), artifacts, report)


def _possible_files(folder: Path, name: str) -> set[str]:
    """Return what a compile to `name` may have left in `folder`, for any target."""
    beside = folder / f"{name}.json"
    try:
        entries = entries_in_json(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        entries = ()
    endings = [".tosa", *(ending for b in all_backends().values() for ending in b.endings)]
    stems = [name, *(f"{name}_{entry}" for entry in entries)]
    return {f"{stem}{ending}" for stem in stems for ending in endings}


def _write_together(folder: Path, contents: dict[str, bytes]) -> None:
    """Write all files to a folder of their own on the same disk, then move them into `folder`."""
    taken = next((folder / file for file in contents if (folder / file).is_dir()), None)
    if taken is not None:
        raise InputError(f"Cannot write '{taken}': it is a folder. Choose another output name.")
    existed = folder.exists()
    staging = folder / f".{secrets.token_hex(4)}.partial"
    try:
        for file, data in contents.items():
            write_bytes(staging / file, data)
        for file in contents:
            (staging / file).replace(folder / file)
    except TosaicError as error:
        raise type(error)(str(error).replace(f"{staging.name}{os.sep}", "")) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()  # succeeds only where nothing was written


def _array(x: Any) -> npt.NDArray[Any]:
    if not isinstance(x, torch.Tensor):
        return np.asarray(x)
    x = x.detach().cpu()
    # numpy has no bfloat16; whether the program's input has is told by its manifest.
    return np.asarray((x.float() if x.dtype == torch.bfloat16 else x).numpy())


def _operators(module: ir.Module) -> dict[str, int]:
    counts: dict[str, int] = {}

    def visit(op: Any) -> Any:
        if str(op.name).startswith("tosa."):
            key = str(op.name).removeprefix("tosa.").upper()
            counts[key] = counts.get(key, 0) + 1
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return dict(sorted(counts.items()))
