"""Arm Ethos-U: what Vela makes of a program, for each entry a command stream of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tosaic.backends.backend import Artifact, Artifacts, NoOptions
from tosaic.backends.ethos_u.targets import TARGETS, EthosU
from tosaic.targets import Target, by_name

if TYPE_CHECKING:
    from tosaic.backends.ethos_u.vela import VelaResult
    from tosaic.clock import Clock
    from tosaic.dialects.bindings import ir
    from tosaic.program import Program
    from tosaic.stages import Options

__all__ = ["BACKEND", "EthosU", "EthosUBackend"]

# Ethos-U85 has RESIZE by any factor, comparisons and SELECT of its own.
_SMALL = (
    "tosaic-split-strided-depthwise,"
    "tosaic-resize-by-weights,tosaic-bilinear-upscale,tosaic-reverse-rows,"
    "tosaic-gather-by-product,tosaic-boolean-io,tosaic-booleans-by-arithmetic,"
)


class EthosUBackend:
    """Rewrites for what an NPU has, then Vela."""

    name = "ethos-u"
    targets = by_name(TARGETS)
    options: type[Any] = NoOptions
    costs: tuple[str, ...] = ("cycles", "flash", "sram", "dram")
    endings: tuple[str, ...] = ("_vela.npz",)

    def check(self, target: Target, options: Options) -> None:
        """Take everything."""

    def legalize(self, target: Target) -> str:
        """Rewrite what the family lacks, cheapest form first, and check all limits."""
        assert isinstance(target.device, EthosU)
        device = target.device.family
        family = f"{{accelerator={device}}}"
        return (
            f"{'' if device == 'u85' else _SMALL}"
            "tosaic-split-strided-conv,tosaic-lower-transpose-conv,"
            "tosaic-transpose-by-slices,tosaic-hoist-slices,tosaic-maximum-by-columns,"
            "tosaic-sink-reshapes,canonicalize,cse,"
            f"tosaic-matrix-transpose{family},tosaic-fold-columns{family},"
            f"tosaic-lower-global-mean{family},tosaic-fold-pad,tosaic-requantize,"
            "canonicalize,cse,tosaic-unshare-rescales,"
            f"{'' if device == 'u85' else 'tosaic-scale-by-product,'}tosaic-legalize,"
            f"tosaic-check-ethos-u{family}"
        )

    def finish(self, program: Program, target: Target, options: Options, clock: Clock) -> Artifacts:
        """Run Vela on each entry; a command stream has one entry and weights of its own."""
        from tosaic.backends.ethos_u.vela import compile_module  # noqa: PLC0415  (needs MLIR)
        from tosaic.emit import serialize  # noqa: PLC0415

        out = {}
        for entry in program.entries:
            module = program.alone(entry.name)
            with clock("emit"):
                data = serialize(module, target=target)
            with clock("vela"):
                vela = compile_module(module, target, data=data, in_process=options.in_process)
            out[entry.name] = _artifact(module, data, vela)
        return Artifacts(out)


def _artifact(module: ir.Module, data: bytes, vela: VelaResult) -> Artifact:
    from tosaic.backends.ethos_u.cycles import format_cycles  # noqa: PLC0415  (needs MLIR)

    memory = f"SRAM {vela.sram_kib:.1f} KiB, flash {vela.flash_kib:.1f} KiB"
    if vela.dram_kib:
        memory += f", DRAM {vela.dram_kib:.1f} KiB"
    return Artifact(
        module,
        data,
        files=lambda stem: {f"{stem}_vela.npz": vela.data},
        costs={
            "cycles": vela.cycles_total,
            "flash": round(vela.flash_kib * 1024),
            "sram": round(vela.sram_kib * 1024),
            "dram": round(vela.dram_kib * 1024),
        },
        summary=(
            ("cycles", f"{vela.cycles_total:,} for {vela.macs:,} MACs"),
            ("memory", memory),
        ),
        layers=lambda top: format_cycles(vela, top=top),
        result=vela,
    )


BACKEND = EthosUBackend()
