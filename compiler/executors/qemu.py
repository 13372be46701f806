"""The embedded runtime on a simulated board: what the device computes, and what it costs."""

from __future__ import annotations

import importlib
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tosaic.backends.cortex_m.memory_plan import plan_memory
from tosaic.backends.cortex_m.targets import kernels_of
from tosaic.dialects.bindings import ir
from tosaic.emit.manifest import Manifest, array_dtype
from tosaic.emit.serialize import serialize
from tosaic.errors import ToolError
from tosaic.executors.executor import Array, checked_inputs
from tosaic.runtime import Model
from tosaic.runtime.library import build
from tosaic.runtime.tensors import from_bytes, to_bytes
from tosaic.targets import target

_SECONDS = 600


@dataclass(frozen=True)
class Board:
    """A machine of QEMU, and the CMake preset that builds its runner, of a target's name."""

    preset: str
    machine: str


BOARDS = {
    f"qemu-{preset}": Board(preset, machine)
    for preset, machine in (
        ("cortex-m55", "mps3-an547"),
        ("cortex-m33", "mps2-an505"),
        ("cortex-m7", "mps2-an500"),
        ("cortex-m4", "mps2-an386"),
    )
}


@dataclass(frozen=True)
class Measurement:
    """What one run took: bytes of arena and stack, and instructions.

    Instructions are QEMU's count (it has no cycles); `init_trusted_instructions` are those where
    model and plan are trusted, `operators` those of one invoke by name.
    """

    arena_bytes: int
    stack_bytes: int
    init_instructions: int
    init_trusted_instructions: int
    invoke_instructions: int
    operators: dict[str, int]


class QemuExecutor:
    """Runs the program with its memory plan on a simulated board, from reset, for every call."""

    def __init__(self, module: ir.Module, flatbuffer: bytes | None = None, *, board: Board) -> None:
        """Serialise `module` and build the board's runner.

        Raises:
            ToolError: QEMU, the cross compiler or CMake are missing.
        """
        for tool in ("qemu-system-arm", "arm-none-eabi-gcc"):
            if shutil.which(tool) is None:
                raise ToolError(
                    f"{tool} is not on PATH. On Debian: apt-get install qemu-system-arm "
                    "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib."
                )
        del flatbuffer  # boards have no room for the locations in it
        self._board = board
        self._manifest = Manifest.from_module(module).held
        self._program = serialize(module, locations=False)
        model = Model(self._program, kernels=kernels_of(target(board.preset)))
        self.plan: bytes | None = plan_memory(model).data
        has_float = any("f32" in name for name in model.operators_used())
        self.runner = build(board.preset + "-float" * has_float) / "runner.elf"
        self.measurement: Measurement | None = None

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return main's results; see `Executor.run`. `measurement` tells what it took."""
        arrays = checked_inputs(self._manifest, inputs)
        data = b"".join(
            to_bytes(array, info.dtype)
            for array, info in zip(arrays, self._manifest.inputs, strict=True)
        )
        with tempfile.TemporaryDirectory(prefix="tosaic-") as folder:
            Path(folder, "model").write_bytes(self._program)
            if self.plan is not None:
                Path(folder, "plan").write_bytes(self.plan)
            Path(folder, "inputs").write_bytes(data)
            self.measurement = _measurement(self._simulate(folder))
            return self._outputs(Path(folder, "outputs").read_bytes())

    def _simulate(self, folder: str) -> str:
        """Return what the runner prints, with its files in `folder`."""
        plan = "-" if self.plan is None else "plan"
        arguments = f"arg=runner,arg=model,arg={plan},arg=inputs,arg=outputs"
        command = ["qemu-system-arm", "-M", self._board.machine, "-kernel", str(self.runner)]
        command += [
            "-display",
            "none",
            "-serial",
            "none",
            "-monitor",
            "none",
            "-icount",
            "shift=0,sleep=off",
        ]
        command += ["-semihosting-config", f"enable=on,target=native,{arguments}"]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,  # where semihosting prints
                text=True,
                check=False,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"The program did not end within {_SECONDS} s on QEMU's {self._board.machine}."
            ) from error
        if done.returncode:
            said = " ".join(done.stdout.split())
            raise ToolError(
                f"The program failed on QEMU's {self._board.machine}: {said}. The executor runtime "
                "runs the same code on this machine and names the operator."
            )
        return done.stdout

    def _outputs(self, data: bytes) -> list[Array]:
        out = []
        for info in self._manifest.outputs:
            element = 6 if info.dtype == "int48" else array_dtype(info).itemsize
            size = math.prod(info.shape) * element
            out.append(from_bytes(data[:size], info.dtype, info.shape))
            data = data[size:]
        return out


def executors() -> dict[str, Any]:
    """Return what makes an executor, by name."""
    return {name: partial(QemuExecutor, board=board) for name, board in BOARDS.items()}


def _measurement(text: str) -> Measurement:
    pairs = [(label, int(number)) for label, number in map(str.split, text.splitlines())]
    # The accessors that flatc generated, from the tosa-tools wheel; they carry no types.
    op: Any = importlib.import_module("tosa.Op").Op
    names = {value: name for name, value in vars(op).items() if not name.startswith("_")}
    counts = [number for label, number in pairs if label == "op_instructions"]
    codes = [number for label, number in pairs if label == "op"]
    total = {label: number for label, number in pairs if not label.startswith("op")}
    return Measurement(
        **total,
        operators={names[code]: count for code, count in zip(codes, counts, strict=True)},
    )
