"""Single calls of the runtime's kernels: written to a file, run on a board under QEMU or here.

A case is a kernel of runtime/include/tosaic/kernels.h with its operands; runtime/bench/kernels.c
runs them. On the host the program has the reference kernels, on a board the ones of its preset.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tosaic.errors import ToolError
from tosaic.executors.qemu import BOARDS
from tosaic.runtime.library import build

INT8, INT16, INT32 = 3, 4, 5  # tosaic_type
MACHINES = {board.preset: board.machine for board in BOARDS.values()}
_BYTES = {INT8: 1, INT16: 2, INT32: 4}
_GUARD = b"\xa5" * 16

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Rescale:
    """`tosaic_rescale`: `multiplier` and `shift` have one element, or one per channel."""

    multiplier: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int8]
    double_round: bool = False
    input_zp: int = 0
    output_zp: int = 0
    low: int = -128
    high: int = 127
    type: int = INT8


@dataclass(frozen=True)
class Case:
    """One call: kernel and operands as kernels.h has them; `macs` counts padding as work."""

    name: str
    kernel: str
    parameters: tuple[int, ...]
    inputs: tuple[Array, ...]
    output_bytes: int
    rescale: Rescale | None = None
    rows: int = 0
    channels: int = 0
    macs: int = 0


@dataclass(frozen=True)
class Conv:
    """Shape of a CONV2D, or of a DEPTHWISE_CONV2D where `multiplier` is given (and `outputs` not).

    Sizes are (height, width); `pad` is (top, bottom, left, right).
    """

    size: tuple[int, int]
    inputs: int
    outputs: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    multiplier: int = 0
    batches: int = 1
    input_zp: int = -128
    weight_zp: int = 0
    shared_bias: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether each input channel has filters of its own."""
        return self.multiplier > 0

    @property
    def filters(self) -> int:
        """The number of output channels."""
        return self.inputs * self.multiplier if self.depthwise else self.outputs

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output; a rest that no window reaches is left out."""
        height, width = (
            (self.size[k] - 1 + self.pad[2 * k] + self.pad[2 * k + 1]
             - (self.kernel[k] - 1) * self.dilation[k]) // self.stride[k] + 1
            for k in (0, 1)
        )  # fmt: skip
        return height, width


def same(size: tuple[int, int], kernel: tuple[int, int], stride: int) -> tuple[int, int, int, int]:
    """Return the padding (top, bottom, left, right) with which the output is size / stride."""
    totals = [max((-(-size[k] // stride) - 1) * stride + kernel[k] - size[k], 0) for k in (0, 1)]
    return totals[0] // 2, totals[0] - totals[0] // 2, totals[1] // 2, totals[1] - totals[1] // 2


def rescale_for(rng: np.random.Generator, channels: int, terms: int) -> Rescale:
    """Return a rescale per channel that spreads sums of `terms` random products over int8."""
    scale = rng.uniform(0.5, 1.5, channels) / (np.sqrt(terms) * 150)
    mantissa, exponent = np.frexp(scale)
    multiplier = np.minimum(np.round(mantissa * 2**31), 2**31 - 1).astype(np.int32)
    shift = (31 - exponent).astype(np.int8)
    return Rescale(multiplier, shift, output_zp=int(rng.integers(-128, 128)))


def conv_case(
    name: str, conv: Conv, rng: np.random.Generator, rescale: Rescale | None, seed_bias: int = 9000
) -> Case:
    """Return a convolution of random int8 data; biases are within +/- `seed_bias`."""
    (height, width), (kh, kw), (oh, ow) = conv.size, conv.kernel, conv.output_size
    filters = conv.filters
    shape = (
        (kh, kw, conv.inputs, conv.multiplier) if conv.depthwise else (filters, kh, kw, conv.inputs)
    )
    x = rng.integers(-128, 128, (conv.batches, height, width, conv.inputs), np.int8)
    weight = rng.integers(-128, 128, shape, np.int8)
    biases = 1 if conv.shared_bias else filters
    bias = rng.integers(-seed_bias, seed_bias, biases).astype(np.int32)
    parameters = (
        *(conv.batches, 1, height, width, conv.inputs),
        *(1, oh, ow, filters),
        *(1, kh, kw),
        *(1, *conv.stride),
        *(1, *conv.dilation),
        *(0, conv.pad[0], conv.pad[2]),
        *(conv.input_zp, conv.weight_zp, biases),
    )
    outputs = conv.batches * oh * ow * filters
    return Case(
        name,
        "depthwise_conv2d_i8" if conv.depthwise else "conv2d_i8",
        parameters,
        (x, weight, bias),
        outputs * _BYTES[rescale.type if rescale else INT32],
        rescale,
        macs=outputs * kh * kw * (1 if conv.depthwise else conv.inputs),
    )


@dataclass(frozen=True)
class Results:
    """Output bytes of each case, and where they were counted the instructions of each call."""

    outputs: list[bytes]
    instructions: list[int] = field(default_factory=list)


def run_on_host(cases: Sequence[Case]) -> Results:
    """Run `cases` with the reference kernels on this machine.

    Raises:
        ToolError: a kernel is unknown, wrote beside its memory, or does not fit.
    """
    program = build("host", "runtime_kernels") / "runtime_kernels"
    with tempfile.TemporaryDirectory() as folder:
        return _run([str(program)], cases, Path(folder))


def run_on_board(core: str, cases: Sequence[Case]) -> Results:
    """Run `cases` under QEMU on `core`, a key of MACHINES, and count instructions.

    Raises:
        ToolError: QEMU or the compiler is missing, a kernel is unknown, wrote beside its memory, or
            does not fit.
    """
    qemu = shutil.which("qemu-system-arm")
    if qemu is None or shutil.which("arm-none-eabi-gcc") is None:
        raise ToolError(
            "Boards are emulated by qemu-system-arm and built with arm-none-eabi-gcc. On Debian: "
            "apt-get install qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi "
            "libstdc++-arm-none-eabi-newlib"
        )
    program = build(core, "runtime_kernels") / "runtime_kernels"
    plugin = build("host", "count_instructions") / "libcount_instructions.so"
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        command = [qemu, "-M", MACHINES[core], "-display", "none", "-serial", "none"]
        command += ["-monitor", "none", "-semihosting-config", "enable=on,target=native"]
        command += ["-plugin", f"{plugin},out={counts}", "-kernel", str(program)]
        results = _run(command, cases, Path(folder))
        marks = [int(line) for line in counts.read_text().split()]
    return Results(results.outputs, [b - a for a, b in zip(marks[::2], marks[1::2], strict=True)])


def _run(command: list[str], cases: Sequence[Case], folder: Path) -> Results:
    (folder / "cases.bin").write_bytes(b"".join(_record(case) for case in cases))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    results = folder / "results.bin"
    data, at, outputs = results.read_bytes() if results.is_file() else b"", 0, []
    for case in cases:
        start = at + len(_GUARD)
        outputs.append(data[start : start + case.output_bytes])
        at = _padded(start + case.output_bytes + len(_GUARD))
        if done.returncode and at >= len(data):
            raise ToolError(
                f"{Path(command[0]).name} ended with {done.returncode} at {case.name!r} "
                f"({case.kernel}): {done.stderr or 'a kernel wrote beside its memory'}"
            )
    return Results(outputs)


def _padded(size: int) -> int:
    return -(-size // 16) * 16


def _record(case: Case) -> bytes:
    scale = case.rescale
    blobs = [*(array.tobytes() for array in case.inputs), *[b""] * (3 - len(case.inputs))]
    blobs += [scale.multiplier.tobytes(), scale.shift.tobytes()] if scale else [b"", b""]
    rescale = (
        (1, len(scale.shift) > 1, scale.double_round, scale.input_zp, scale.output_zp, scale.low,
         scale.high, scale.type)
        if scale
        else (0,) * 8
    )  # fmt: skip
    parameters = case.parameters + (0,) * (32 - len(case.parameters))
    sizes = (*map(len, blobs), case.output_bytes, case.rows, case.channels)
    head = struct.pack("<32s48i", case.kernel.encode(), *parameters, *rescale, *sizes)
    return b"".join(part.ljust(_padded(len(part)), b"\0") for part in (head, *blobs))
