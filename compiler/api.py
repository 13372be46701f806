"""`tosaic.compile`: a PyTorch model in, a program for the target out."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from tosaic.clock import Clock, Progress, run_stage
from tosaic.collector import collector_paused
from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import Manifest, dequantize, quantize, serialize, validate, write_bytes
from tosaic.emit.firmware import Firmware, make_firmware
from tosaic.emit.functions import argument_attributes, main_function
from tosaic.emit.schedule import order_operators
from tosaic.emit.stripes import Cut, fit_arena
from tosaic.emit.vela import VelaResult, compile_module
from tosaic.errors import InputError, TosaicError
from tosaic.executors import Executor, make_executor
from tosaic.frontend import export_model, import_program
from tosaic.quantizer.recipe import QuantRecipe, find_recipe
from tosaic.stages import Options, fixed_dims, stages
from tosaic.targets import Target
from tosaic.targets import target as find_target

if TYPE_CHECKING:
    from torchao.quantization.pt2e.quantizer import Quantizer


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

    `module` is the legal TOSA module, `flatbuffer` the same serialised; `firmware` is for Cortex-M.
    """

    module: ir.Module
    target: Target
    flatbuffer: bytes
    manifest: Manifest
    report: Report
    firmware: Firmware | None = None
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
            executor: "jit" (compiled, fast), "reference" (the TOSA reference model), "runtime" (the
                embedded runtime) or "qemu-cortex-m55" (the same on a simulated board).

        Raises:
            InputError: number, shape or dtype of the inputs does not fit.
        """
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
        """Return the executor `name` for the program, made ready on first use."""
        if name not in self._executors:
            self._executors[name] = make_executor(name, self.module, self.flatbuffer)
        return self._executors[name]

    def save(self, folder: str | Path, *, name: str = "model") -> list[Path]:
        """Write the program's files to `folder` (made if missing) and return their paths.

        `name`.tosa (flatbuffer), `name`.json (I/O manifest), `name`.mlir (for people), and for
        Ethos-U `name`_vela.npz (command stream, weights, memory), for Cortex-M `name`.plan (memory
        plan) and `name`.h (sizes, inputs and outputs, operators). They appear together or, where
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
        if self.firmware is not None:
            contents[f"{name}.plan"] = self.firmware.plan
            contents[f"{name}.h"] = self.firmware.header(name).encode()
        _write_together(folder, contents)
        for file in {f"{name}_vela.npz", f"{name}.plan", f"{name}.h"} - contents.keys():
            # Of an earlier compile for another target; it does not belong to these files.
            (folder / file).unlink(missing_ok=True)
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


@collector_paused()
def compile(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any] = (),
    *,
    target: str | Target = "tosa-1.0-int",
    quantize: str | QuantRecipe | Quantizer | None = None,
    calibration: Iterable[Any] = (),
    io_layout: str = "nchw",
    io_dtype: str = "auto",
    dynamic_shapes: Any = None,
    dims: Mapping[str, int] | None = None,
    max_arena: int | None = None,
    progress: Progress = lambda stage: None,
) -> CompiledProgram:
    """Compile `model` for `target`.

    Args:
        model: a module in eval mode, or an ExportedProgram (perhaps quantised by PT2E already).
        example_inputs: tensors of the shapes and dtypes the program will take; not needed with an
            ExportedProgram that is not to be quantised.
        target: a target's name (`tosaic.targets.all_targets()` lists them) or a `Target`.
        quantize: a recipe: its name ("int8", "a16w8" …), a .toml file or a `QuantRecipe`; or a PT2E
            quantiser; None compiles the model as it is.
        calibration: representative inputs, each a tensor or a tuple of tensors.
        io_layout: "nchw" or "nhwc", the order of rank-4 inputs and outputs.
        io_dtype: the element type of a quantised model's inputs and outputs: "auto" (as quantised),
            "int8", "uint8", "int16" or "float32".
        dynamic_shapes: which dims of the inputs vary, as torch.export takes it.
        dims: sizes for dynamic dims, by symbol or by place: ``{"x.0": 4}`` is dim 0 of input x.
        max_arena: the most bytes of arena that a Cortex-M program may need; no limit by default.
            Above it, chains of convolutions are cut in stripes of rows where that makes it fit.
        progress: called with each stage's name as it starts.

    Raises:
        TosaicError: with the op, the user's source line, the reason and what to do.
    """
    chosen = find_target(target)
    options = Options(io_layout, io_dtype, fixed_dims(dims or {}), max_arena)
    options.check(chosen)
    clock = Clock(progress)
    with clock("export"):
        program = export_model(model, example_inputs, dynamic_shapes=dynamic_shapes)
    if quantize is not None:
        with clock("calibrate"):
            program = quantize_program(
                program, example_inputs, quantize, calibration, dynamic_shapes
            )
        integer = is_quantized(program) or not _has_float_input(program)
        if not integer and not chosen.takes_float:
            raise InputError(
                f"The recipe leaves every op of the model in float, and target {chosen.name} "
                "computes in integers only; 'tosaic explain' says why of each op. Change the "
                "recipe or the model, or choose a float target such as tosa-1.0-fp or "
                "cortex-m55-float."
            )
    return compile_program(program, chosen, options, clock)


@collector_paused()
def compile_program(
    program: ExportedProgram,
    target: Target,
    options: Options,
    clock: Clock | None = None,
    *,
    in_process: bool = False,
) -> CompiledProgram:
    """Compile an exported program, quantised or not, for `target`.

    With `in_process`, Vela runs in this process: faster, and a crash in it is a crash here.
    """
    clock = clock or Clock()
    module, manifest = lower_program(program, target, options, clock)
    with clock("validate"):
        validate(module, target)
    with clock("emit"):
        # Flash has no room for source paths.
        flatbuffer = serialize(module, target=target, locations=target.kind != "cortex-m")
    if target.kind == "cortex-m":
        with clock("order"):
            flatbuffer = order_operators(module, target, flatbuffer)
    vela = None
    if target.kind == "ethos-u":
        with clock("vela"):
            vela = compile_module(module, target, data=flatbuffer, in_process=in_process)
    firmware = None
    if target.kind == "cortex-m":
        with clock("plan"):
            cuts: list[Cut] = []
            if options.max_arena is not None:
                module, flatbuffer, cuts = fit_arena(module, target, flatbuffer, options.max_arena)
            firmware = make_firmware(module, target, flatbuffer, options.max_arena, cuts)
    report = Report(target.name, dict(clock.seconds), _operators(module), vela)
    return CompiledProgram(module, target, flatbuffer, manifest, report, firmware)


def lower_program(
    program: ExportedProgram, target: Target, options: Options, clock: Clock
) -> tuple[ir.Module, Manifest]:
    """Return an exported program in the TOSA that `target` takes, and its inputs and outputs.

    It is not checked yet by TOSA's validator, and not compiled further.
    """
    with clock("import"):
        module = import_program(program, make_context())
    if not options.dims:
        _refuse_dynamic(module, target)
    quantized = is_quantized(program)
    if not quantized and not target.takes_float and _has_float_input(program):
        raise InputError(
            f"Target {target.name} computes in integers only and the model is float. Quantise it "
            '(quantize="int8" with calibration data; --quantize int8 on the command line), or '
            "choose a float target such as tosa-1.0-fp or cortex-m55-float."
        )
    if quantized and not target.takes_integers:
        raise InputError(
            f"The model is quantised and target {target.name} computes in float only. Compile the "
            "model before quantisation, or for a target with integers such as tosa-1.0-int+fp."
        )
    for name, text in stages(target, options, quantized=quantized):
        with clock(name):
            run_stage(module, text)
    manifest = Manifest.from_module(module)
    run_stage(module, "tosaic-drop-empty")
    return module, manifest


def quantize_program(
    program: ExportedProgram,
    example_inputs: Sequence[Any],
    recipe: str | QuantRecipe | Quantizer,
    calibration: Iterable[Any],
    dynamic_shapes: Any = None,
) -> ExportedProgram:
    """Return `program` quantised by a recipe or a PT2E quantiser; see `compile`."""
    # Importing torchao takes longer than compiling: only who quantises pays for it.
    from tosaic.quantizer import TosaQuantizer  # noqa: PLC0415
    from tosaic.quantizer import quantize as quantize_model  # noqa: PLC0415

    if isinstance(recipe, str):
        recipe = find_recipe(recipe)
    quantizer = TosaQuantizer(recipe) if isinstance(recipe, QuantRecipe) else recipe
    return quantize_model(
        program, example_inputs, calibration, quantizer=quantizer, dynamic_shapes=dynamic_shapes
    )


def _refuse_dynamic(module: ir.Module, target: Target) -> None:
    attributes = argument_attributes(main_function(module))
    dims = [
        f"{a['tosaic.name'].value}.{n} ({str(dim.value).partition(':')[2].replace('..', ' to ')})"
        for a in attributes
        for n, dim in enumerate(a.get("tosaic.dims", ()))
        if ":" in str(dim.value)
    ]
    if dims:
        place = dims[0].split()[0]
        raise InputError(
            f"The program has dynamic dims: {', '.join(dims)}. Target {target.name} takes TOSA "
            f"{target.tosa_version}, where every size is known. Fix them: dims={{'{place}': 4}}, "
            f"or --dim {place}=4 on the command line."
        )


def _array(x: Any) -> npt.NDArray[Any]:
    if not isinstance(x, torch.Tensor):
        return np.asarray(x)
    x = x.detach().cpu()
    # numpy has no bfloat16; whether the program's input has is told by its manifest.
    return np.asarray((x.float() if x.dtype == torch.bfloat16 else x).numpy())


def is_quantized(program: ExportedProgram) -> bool:
    """Whether PT2E has quantised `program`."""
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
