"""MLPerf Tiny on a simulated Cortex-M55: instructions, arena, stack and code, beside TFLM's.

    python tools/bench/runtime_tiny.py [MODEL ...]

TFLM's figures are of TFLM with CMSIS-NN on the same QEMU machine, for models of the same shapes.
Instructions are QEMU's; it has no cycles. Init is with the plan; "trusted" is init without checking
it: TFLM checks nothing. Each answer is compared with the JIT's, bit for bit.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tosaic
from tosaic.emit import quantize as stored_of
from tosaic.executors import make_executor
from tosaic.executors.qemu import BOARDS, Measurement, QemuExecutor
from tosaic.quantizer import quantize
from tosaic.runtime.library import cmake
from tosaic.tools.bench import models as bench

BOARD = "qemu-cortex-m55"


@dataclass(frozen=True)
class Peer:
    """TFLM's figures: instructions of init and invoke, bytes of arena."""

    init: int
    invoke: int
    arena: int


PEERS = {
    "ds_cnn": Peer(174_952, 1_785_994, 27_300),
    "mobilenet_v1_025": Peer(669_027, 6_434_176, 100_756),
    "resnet8": Peer(153_971, 4_810_030, 54_996),
    "deep_autoencoder": Peer(59_555, 285_487, 5_172),
}
PEER_TEXT = 90_288  # 7 operators


def measure(name: str) -> tuple[Measurement, int]:
    """Return what one model costs, and the bytes of its image.

    Raises:
        AssertionError: the board's answer is not the JIT's.
    """
    model, inputs = bench.load_models().build(name), bench.calibration_inputs(name)
    quantized = quantize(model, inputs[:1], inputs)
    program = tosaic.compile(quantized, target=BOARDS[BOARD].preset, io_layout="nhwc")
    x = bench.held_out_inputs(name)[0]
    q = stored_of(program.manifest.inputs[0], (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).numpy())
    with tempfile.TemporaryDirectory(prefix="tosaic-") as folder:
        program.save(folder, name=name)
        runner = cmake(
            BOARDS[BOARD].preset,
            Path(folder, "build"),
            f"-DTOSAIC_MODEL_HEADER={Path(folder, name)}.h",
        )
        executor = make_executor(BOARD, program.module)
        assert isinstance(executor, QemuExecutor)
        executor.runner = runner / "runner.elf"
        np.testing.assert_array_equal(executor.run([q])[0], program.run(q, executor="jit")[0])
        text = _text(executor.runner)
    assert executor.measurement is not None
    return executor.measurement, text


def row(name: str) -> list[str]:
    """Return the table's row for one model; see `measure`."""
    (cost, text), peer = measure(name), PEERS[name]
    return [
        name,
        f"{cost.init_instructions:,} ({peer.init:,})",
        f"{cost.init_trusted_instructions:,}",
        f"{cost.invoke_instructions:,} ({peer.invoke:,})",
        f"{cost.arena_bytes:,} ({peer.arena:,})",
        f"{cost.stack_bytes:,}",
        f"{text:,} ({PEER_TEXT:,})",
    ]


def _text(image: Path) -> int:
    """Return the bytes of code and constants: library, C library and the runner itself."""
    done = subprocess.run(["arm-none-eabi-size", image], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[1].split()[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", choices=[[], *PEERS], metavar="MODEL")
    names = parser.parse_args().models or list(PEERS)
    print("| model (TFLM + CMSIS-NN) | init | trusted | invoke | arena B | stack B | .text B |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        print(f"| {' | '.join(row(name))} |", flush=True)


if __name__ == "__main__":
    main()
