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
from tosaic.runtime.library import build, cmake

INT8, INT16, INT32 = 3, 4, 5  # tosaic_type
MACHINES = {board.preset: board.machine for board in BOARDS.values()}
_BYTES = {INT8: 1, INT16: 2, INT32: 4}
_GUARD = b"\xa5" * 16

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Rescale:
    """`tosaic_rescale`: `multiplier` and `shift` have one element, or one per channel.

    Multipliers are of int16 for accumulators of int48.
    """

    multiplier: npt.NDArray[np.int32] | npt.NDArray[np.int16]
    shift: npt.NDArray[np.int8]
    double_round: bool = False
    input_zp: int = 0
    output_zp: int = 0
    low: int = -128
    high: int = 127
    type: int = INT8


@dataclass(frozen=True)
class Case:
    """One call: kernel and operands as kernels.h has them.

    `macs` counts padding as work; for kernels that multiply nothing it is the number of elements
    read or written, whichever is more.
    """

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

    Sizes are (height, width); `pad` is (top, bottom, left, right), that of the output for a
    TRANSPOSE_CONV2D, `transposed`. `types` is how kernels.h calls those of input and weights: i8,
    i8_i4 or i16.
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
    types: str = "i8"
    transposed: bool = False

    @property
    def kernel_name(self) -> str:
        """The name in kernels.h, without tosaic_."""
        kind = "depthwise_" if self.depthwise else "transpose_" if self.transposed else ""
        return f"{kind}conv2d_{self.types}"

    @property
    def wide(self) -> bool:
        """Whether inputs are of int16 and accumulators of int48."""
        return self.types == "i16"

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
        if self.transposed:
            tall, wide = (
                (self.size[k] - 1) * self.stride[k] + self.pad[2 * k] + self.pad[2 * k + 1]
                + self.kernel[k]
                for k in (0, 1)
            )  # fmt: skip
            return tall, wide
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


def rescale_for(rng: np.random.Generator, channels: int, terms: int, types: str = "i8") -> Rescale:
    """Return a rescale per channel that spreads sums of `terms` random products over the type.

    That is int8, and int16 where `types` is i16, or i16_i16 for weights of int16 too.
    """
    wide = types in ("i16", "i16_i16")
    bits = 15 if wide else 31
    size = {"i8": 150, "i8_i4": 9, "i16": 150, "i16_i16": 40000}[types]
    mantissa, exponent = np.frexp(rng.uniform(0.5, 1.5, channels) / (np.sqrt(terms) * size))
    multiplier = np.minimum(np.round(mantissa * 2**bits), 2**bits - 1)
    shift = (bits - exponent).astype(np.int8)
    if wide:
        return Rescale(multiplier.astype(np.int16), shift, low=-(2**15), high=2**15 - 1, type=INT16)
    return Rescale(multiplier.astype(np.int32), shift, output_zp=int(rng.integers(-128, 128)))


def int48(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return `values` as TOSA stores int48: six bytes each."""
    return np.ascontiguousarray(values.astype("<i8")[..., None].view(np.uint8)[..., :6])


def conv_case(
    name: str, conv: Conv, rng: np.random.Generator, rescale: Rescale | None, seed_bias: int = 9000
) -> Case:
    """Return a convolution of random data; biases are within +/- `seed_bias`."""
    (height, width), (kh, kw), (oh, ow) = conv.size, conv.kernel, conv.output_size
    filters = conv.filters
    shape = (
        (kh, kw, conv.inputs, conv.multiplier) if conv.depthwise else (filters, kh, kw, conv.inputs)
    )
    least, kind = (-(2**15), np.int16) if conv.wide else (-128, np.int8)
    x = rng.integers(least, -least, (conv.batches, height, width, conv.inputs), kind)
    weight = rng.integers(-128, 128, shape, np.int8)
    if conv.types == "i8_i4":  # two to a byte
        weight = weight.reshape(-1)[: -(-weight.size // 2)]
    biases = 1 if conv.shared_bias else filters
    bias = rng.integers(-seed_bias, seed_bias, biases)
    parameters = (
        *(conv.batches, 1, height, width, conv.inputs),
        *(1, oh, ow, filters),
        *(1, kh, kw),
        *(1, *conv.stride),
        *(1, *conv.dilation),
        *(0, conv.pad[0], conv.pad[2]),
        *(0 if conv.wide else conv.input_zp, conv.weight_zp, biases),
    )
    outputs = conv.batches * oh * ow * filters
    taps = conv.batches * height * width * filters if conv.transposed else outputs
    accumulator = 6 if conv.wide else 4
    return Case(
        name,
        conv.kernel_name,
        parameters,
        (x, weight, int48(bias) if conv.wide else bias.astype(np.int32)),
        outputs * (_BYTES[rescale.type] if rescale else accumulator),
        rescale,
        macs=taps * kh * kw * (1 if conv.depthwise else conv.inputs),
    )


@dataclass(frozen=True)
class Matmul:
    """Shape of a MATMUL of [batches, height, channels] by [batches, channels, width]."""

    height: int
    channels: int
    width: int
    batches: int = 1
    a_zp: int = 0
    b_zp: int = 0
    types: str = "i8"

    @property
    def products(self) -> str:
        """The types of the factors, as rescale_for has them."""
        return "i16_i16" if self.types == "i16" else self.types


def matmul_case(
    name: str, matmul: Matmul, rng: np.random.Generator, rescale: Rescale | None
) -> Case:
    """Return a product of random data."""
    wide = matmul.types == "i16"
    least, kind = (-(2**15), np.int16) if wide else (-128, np.int8)
    shapes = (
        (matmul.batches, matmul.height, matmul.channels),
        (matmul.batches, matmul.channels, matmul.width),
    )
    outputs = matmul.batches * matmul.height * matmul.width
    return Case(
        name,
        f"matmul_{matmul.types}",
        (
            *(matmul.batches, matmul.height, matmul.channels, matmul.width),
            *((0, 0) if wide else (matmul.a_zp, matmul.b_zp)),
        ),
        tuple(rng.integers(least, -least, shape, kind) for shape in shapes),
        outputs * (_BYTES[rescale.type] if rescale else 6 if wide else 4),
        rescale,
        macs=outputs * matmul.channels,
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


def run_on_board(core: str, cases: Sequence[Case], portable: bool = False) -> Results:
    """Run `cases` under QEMU on `core`, a key of MACHINES, and count instructions.

    `portable` takes the reference kernels, compiled for the core, instead of its own.

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
    if portable:
        folder = build(core, "runtime_kernels").with_name(f"{core}-portable")
        cmake(core, folder, "-DTOSAIC_KERNELS=reference", target="runtime_kernels")
    else:
        folder = build(core, "runtime_kernels")
    program = folder / "runtime_kernels"
    plugin = build("host", "count_instructions") / "libcount_instructions.so"
    with tempfile.TemporaryDirectory() as temporary:
        counts = Path(temporary) / "counts"
        command = [qemu, "-M", MACHINES[core], "-display", "none", "-serial", "none"]
        command += ["-monitor", "none", "-semihosting-config", "enable=on,target=native"]
        command += ["-plugin", f"{plugin},out={counts}", "-kernel", str(program)]
        results = _run(command, cases, Path(temporary))
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
