"""What firmware needs beside the .tosa file: a memory plan and a C header.

The runtime's own loader makes the plan, on this machine: plan and device follow one set of rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata

from tosaic.backends.cortex_m.memory_plan import MemoryPlan, plan_memory
from tosaic.backends.cortex_m.stripes import Cut
from tosaic.backends.cortex_m.targets import kernels_of
from tosaic.backends.cortex_m.weights import share_weights
from tosaic.dialects.bindings import ir
from tosaic.emit.flatbuffer import sites_by_tensor, tensor_names_of
from tosaic.emit.manifest import Manifest, TensorInfo
from tosaic.emit.serialize import serialize
from tosaic.errors import CompileError, Diagnostic
from tosaic.runtime import Model
from tosaic.targets import Target

_LARGEST = 3  # steps that an error about memory names


@dataclass(frozen=True)
class Firmware:
    """`plan` is for `tosaic_config.plan`; `operators` are the names of `tosaic_op_...` in use.

    `arena_bytes` is what the device needs: the tensors, which take `tensor_bytes`, scratch memory
    and the model's tables. `live_bytes` of tensors must be alive at once, whatever their places.
    `cuts` tells what was cut in stripes to fit the limit.
    """

    plan: bytes
    operators: tuple[str, ...]
    arena_bytes: int
    tensor_bytes: int
    live_bytes: int
    cuts: tuple[Cut, ...]
    kernels: str
    model_bytes: int
    manifest: Manifest

    def header(self, name: str) -> str:
        """Return a C header for the model: sizes, inputs and outputs, and its operator table."""
        name = c_name(name)
        lines = [
            *_opening(name),
            f"/* Bytes; the arena is for the kernel set {self.kernels}. */",
            f"#define {name.upper()}_MODEL_BYTES {self.model_bytes}",
            *self.lines(name),
            *_END,
        ]
        return "\n".join(lines) + "\n"

    def lines(self, name: str) -> Iterator[str]:
        """Yield what a header says of the entry whose names in C begin with `name`."""
        upper = name.upper()
        yield f"#define {upper}_PLAN_BYTES {len(self.plan)}"
        yield f"#define {upper}_ARENA_BYTES {self.arena_bytes}"
        for side, infos in (("INPUT", self.manifest.inputs), ("OUTPUT", self.manifest.outputs)):
            yield ""
            for number, info in enumerate(infos):
                yield from _tensor(f"{upper}_{side}_{number}", info)
        yield ""
        yield "/* The operators in use: with this table the linker drops all others. */"
        yield f"static const tosaic_operator *const {name}_operator_entries[] = {{"
        yield from (f"    &tosaic_op_{operator}," for operator in self.operators)
        yield "};"
        yield f"static const tosaic_operator_table {name}_operators = {{{name}_operator_entries,"
        yield f"                                                      {len(self.operators)}}};"


@dataclass(frozen=True)
class SharedFirmware:
    """What firmware needs of several entries: weights once, a plan each, one arena for all.

    `weights` stand in the place of every entry's model; `entries` are by name, with plans that are
    for them. The arena serves one entry at a time.
    """

    weights: bytes
    entries: Mapping[str, Firmware]

    @property
    def arena_bytes(self) -> int:
        """What the entry that needs the most needs."""
        return max(entry.arena_bytes for entry in self.entries.values())

    def files(self, stem: str) -> dict[str, bytes]:
        """Return all files by name."""
        return {
            f"{stem}.weights": self.weights,
            **{f"{stem}_{entry}.plan": made.plan for entry, made in self.entries.items()},
            f"{stem}.h": self.header(stem).encode(),
        }

    def header(self, name: str) -> str:
        """Return a C header for all entries, whose names begin with `name` and the entry's."""
        name = c_name(name)
        kernels = next(iter(self.entries.values())).kernels
        lines = [
            *_opening(name),
            f"/* Bytes; the arena is for the kernel set {kernels}. The weights are the model",
            " * of all entries; the arena is large enough for any of them, one at a time. */",
            f"#define {name.upper()}_MODEL_BYTES {len(self.weights)}",
            f"#define {name.upper()}_ARENA_BYTES {self.arena_bytes}",
        ]
        for entry, made in self.entries.items():
            lines += ["", f"/* Entry {entry}. */", *made.lines(f"{name}_{entry}")]
        return "\n".join([*lines, *_END]) + "\n"


def share(entries: Mapping[str, tuple[bytes, Firmware]]) -> SharedFirmware:
    """Return one firmware of several entries, each with its flatbuffer."""
    weights, plans = share_weights([(data, made.plan) for data, made in entries.values()])
    changed = {
        name: replace(made, plan=plan, model_bytes=len(weights))
        for (name, (_, made)), plan in zip(entries.items(), plans, strict=True)
    }
    return SharedFirmware(weights, changed)


def c_name(name: str) -> str:
    """Return `name` with what C does not take in names replaced."""
    return re.sub(r"\W", "_", name)


def _opening(name: str) -> Iterator[str]:
    yield f"/* Made by tosaic {metadata.version('tosaic')} with the model of this name. */"
    yield f"#ifndef {name.upper()}_MODEL_H"
    yield f"#define {name.upper()}_MODEL_H"
    yield ""
    yield '#include "tosaic/operators.h"'
    yield ""


_END = ("", "#endif")


def make_firmware(
    module: ir.Module,
    target: Target,
    flatbuffer: bytes,
    max_arena: int | None,
    cuts: Sequence[Cut] = (),
) -> Firmware:
    """Plan the memory of `flatbuffer`, which is `module`; `max_arena` is the most it may need.

    `cuts` is what `fit_arena` has done for it.

    Raises:
        CompileError: it needs more; the operators with the largest tensors are named.
        ToolError: the runtime has no kernel for an operator, or cannot be built here.
    """
    plan = plan_memory(Model(flatbuffer, kernels=kernels_of(target)))
    model = Model(flatbuffer, plan.data, kernels=kernels_of(target))
    needed = model.device_arena
    if max_arena is not None and needed > max_arena:
        raise CompileError(
            f"The program needs {needed:,} bytes of arena, {needed - max_arena:,} more than the "
            f"{max_arena:,} allowed, and cutting convolutions in stripes of rows does not make it "
            "fit. Make the tensors of these operators smaller, or raise max_arena.",
            _largest(serialize(module, target=target), plan),
        )
    operators = tuple(model.operators_used())
    manifest = Manifest.from_module(module).held
    return Firmware(
        plan.data,
        operators,
        needed,
        plan.arena_bytes,
        max(plan.live, default=0),
        tuple(cuts),
        kernels_of(target),
        len(flatbuffer),
        manifest,
    )


def _largest(flatbuffer: bytes, plan: MemoryPlan) -> list[Diagnostic]:
    """Return diagnostics for the steps of main at which most bytes are alive."""
    names, sites = tensor_names_of(flatbuffer), sites_by_tensor(flatbuffer)
    steps = sorted(zip(plan.live, plan.outputs, strict=True), reverse=True)
    out = []
    for size, tensor in steps[:_LARGEST]:
        op, site = sites[names[tensor]]
        message = f"{size:,} bytes of tensors are alive at this {op}"
        out.append(Diagnostic(message, str(site), site.file, site.line, site.column))
    return out


def _tensor(prefix: str, info: TensorInfo) -> Iterator[str]:
    meaning = ""
    if info.scale is not None:
        meaning = f", real = {info.scale!r} * (stored - {info.zero_point})"
        yield f"/* {info.name}: {info.dtype} {list(info.shape)}{meaning} */"
        yield f"#define {prefix}_SCALE {info.scale!r}f"
        yield f"#define {prefix}_ZERO_POINT {info.zero_point}"
    else:
        yield f"/* {info.name}: {info.dtype} {list(info.shape)} */"
    elements = 1
    for dim in info.shape:
        elements *= dim
    yield f"#define {prefix}_ELEMENTS {elements}"
