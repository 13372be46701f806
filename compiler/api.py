"""`tosaic.compile`: a PyTorch model in, a program for the target out."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import Manifest, dequantize, quantize, serialize, validate, write_bytes
from tosaic.emit.vela import VelaResult, compile_module
from tosaic.errors import InputError, TosaicError
from tosaic.executors import Executor, make_executor
from tosaic.frontend import export_model, import_program
from tosaic.lowering.pipeline import Pipeline
from tosaic.quantizer import TosaQuantizer
from tosaic.quantizer import quantize as quantize_model
from tosaic.stages import Options, stages
from tosaic.targets import Target
from tosaic.targets import target as find_target

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a compile did and what the program costs.

    `seconds` per stage, in order; `operators` is how often each TOSA operator occurs; `vela` is
    Vela's estimate, None for targets without an NPU.
    """

    target: str
    seconds: dict[str, float]
    operators: dict[str, int]
    vela: VelaResult | None = None


@dataclass
class CompiledProgram:
    """A program in TOSA, checked for its target, and for Ethos-U its command stream.

    `module` is the legal TOSA module, `flatbuffer` the same serialised.
    """

    module: ir.Module
    target: Target
    flatbuffer: bytes
    manifest: Manifest
    report: Report
    _executors: dict[str, Executor] = field(default_factory=dict, repr=False)

    @cached_property
    def text(self) -> str:
        """The module as MLIR text, with locations, large constants elided."""
        return str(self.module.operation.get_asm(large_elements_limit=16, enable_debug_info=True))

    def run(self, *inputs: Any, executor: str = "jit") -> list[npt.NDArray[Any]]:
        """Run the program on this machine.

        Float arrays (or tensors) for quantised inputs are quantised, and quantised outputs come
        back as float32; where every input is given in the program's own dtype, so are the outputs.

        Args:
            inputs: one array or tensor per program input, of its shape.
            executor: "jit" (compiled, fast) or "reference" (the TOSA reference model).

        Raises:
            InputError: number, shape or dtype of the inputs does not fit.
        """
        if len(inputs) != len(self.manifest.inputs):
            names = ", ".join(info.name for info in self.manifest.inputs)
            raise InputError(
                f"The program takes {len(self.manifest.inputs)} input(s) ({names}), "
                f"got {len(inputs)}."
            )
        arrays = [
            x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
            for x in inputs
        ]
        stored = [
            array if str(array.dtype) == info.dtype else quantize(info, array)
            for info, array in zip(self.manifest.inputs, arrays, strict=True)
        ]
        if executor not in self._executors:
            self._executors[executor] = make_executor(executor, self.module)
        outputs = self._executors[executor].run(stored)
        if all(a is s for a, s in zip(arrays, stored, strict=True)) and any(
            info.scale is not None for info in self.manifest.inputs
        ):
            return outputs
        return [
            dequantize(info, value)
            for info, value in zip(self.manifest.outputs, outputs, strict=True)
        ]

    def save(self, folder: str | Path, *, name: str = "model") -> list[Path]:
        """Write the program's files to `folder` (made if missing) and return their paths.

        `name`.tosa (flatbuffer), `name`.json (I/O manifest), `name`.mlir (for people), and for
        Ethos-U `name`_vela.npz (command stream, weights, memory). They appear together or, where
        one cannot be written, not at all.
        """
        folder = Path(folder)
        contents = {
            f"{name}.tosa": self.flatbuffer,
            f"{name}.json": self.manifest.to_json().encode(),
            f"{name}.mlir": self.text.encode(),
        }
        if self.report.vela is not None:
            contents[f"{name}_vela.npz"] = self.report.vela.data
        _write_together(folder, contents)
        if self.report.vela is None:
            # Of an earlier compile for another target; it does not belong to these files.
            (folder / f"{name}_vela.npz").unlink(missing_ok=True)
        return [folder / file for file in contents]


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


def compile(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any] = (),
    *,
    target: str | Target = "tosa-1.0-int",
    quantize: str | TosaQuantizer | None = None,
    calibration: Iterable[Any] = (),
    io_layout: str = "nchw",
    io_dtype: str = "int8",
    progress: Progress = lambda stage: None,
) -> CompiledProgram:
    """Compile `model` for `target`.

    Args:
        model: a module in eval mode, or an ExportedProgram (perhaps quantised by PT2E already).
        example_inputs: tensors of the shapes and dtypes the program will take; not needed with an
            ExportedProgram that is not to be quantised.
        target: a target's name (`tosaic.targets.all_targets()` lists them) or a `Target`.
        quantize: "int8", a `TosaQuantizer`, or None to compile the model as it is.
        calibration: representative inputs, each a tensor or a tuple of tensors.
        io_layout: "nchw" or "nhwc", the order of rank-4 inputs and outputs.
        io_dtype: "int8" or "float32", the element type of a quantised model's inputs and outputs.
        progress: called with each stage's name as it starts.

    Raises:
        TosaicError: with the op, the user's source line, the reason and what to do.
    """
    chosen, options = find_target(target), Options(io_layout, io_dtype)
    options.check(chosen)
    clock = _Clock(progress)
    with clock("export"):
        program = export_model(model, example_inputs)
    if quantize is not None:
        with clock("calibrate"):
            recipe = quantize if isinstance(quantize, TosaQuantizer) else _recipe(quantize)
            program = quantize_model(program, example_inputs, calibration, quantizer=recipe)
    return compile_program(program, chosen, options, clock)


def compile_program(
    program: ExportedProgram, target: Target, options: Options, clock: _Clock | None = None
) -> CompiledProgram:
    """Compile an exported program, quantised or not, for `target`."""
    clock = clock or _Clock(lambda stage: None)
    with clock("import"):
        module = import_program(program, make_context())
    quantized = _is_quantized(program)
    if not quantized and not target.takes_float and _has_float_input(program):
        raise InputError(
            f"Target {target.name} computes in integers only and the model is float. Quantise it "
            '(quantize="int8" with calibration data; --quantize int8 on the command line), or '
            "choose a float target such as tosa-1.0-fp."
        )
    for name, text in stages(target, options, quantized=quantized):
        with clock(name):
            Pipeline.parse(text).run(module)
    with clock("validate"):
        validate(module, target)
    with clock("emit"):
        flatbuffer = serialize(module, target=target)
    vela = None
    if target.kind == "ethos-u":
        with clock("vela"):
            vela = compile_module(module, target, data=flatbuffer)
    report = Report(target.name, dict(clock.seconds), _operators(module), vela)
    return CompiledProgram(module, target, flatbuffer, Manifest.from_module(module), report)


def _recipe(name: str) -> TosaQuantizer:
    if name != "int8":
        raise InputError(f"quantize='{name}' is unknown; choose int8, or pass a TosaQuantizer.")
    return TosaQuantizer()


def _is_quantized(program: ExportedProgram) -> bool:
    return any(
        getattr(node.target, "namespace", "") == "quantized_decomposed"
        for node in program.graph.nodes
    )


def _has_float_input(program: ExportedProgram) -> bool:
    values = [n.meta.get("val") for n in program.graph.nodes if n.op == "call_function"]
    return any(isinstance(v, torch.Tensor) and v.is_floating_point() for v in values)


def _operators(module: ir.Module) -> dict[str, int]:
    counts: dict[str, int] = {}

    def visit(op: Any) -> Any:
        if str(op.name).startswith("tosa."):
            key = str(op.name).removeprefix("tosa.").upper()
            counts[key] = counts.get(key, 0) + 1
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return dict(sorted(counts.items()))


class _Clock:
    """Times stages and tells the user that they start."""

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stage = ""
        self._start = 0.0

    def __call__(self, stage: str) -> _Clock:
        self._stage = stage
        return self

    def __enter__(self) -> None:
        self._progress(self._stage)
        self._start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.seconds[self._stage] = time.perf_counter() - self._start
