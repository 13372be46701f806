"""Cortex-M: the embedded runtime with a memory plan and a C header, one arena for all entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tosaic.backends.backend import Artifact, Artifacts
from tosaic.backends.cortex_m.targets import TARGETS, CortexM
from tosaic.targets import Target, by_name

if TYPE_CHECKING:
    from tosaic.backends.cortex_m.firmware import Firmware
    from tosaic.clock import Clock
    from tosaic.dialects.bindings import ir
    from tosaic.program import Program
    from tosaic.stages import Options

__all__ = ["BACKEND", "CortexM", "CortexMBackend", "CortexMOptions"]


@dataclass(frozen=True)
class CortexMOptions:
    """`max_arena` is the most bytes of arena that a program may need.

    Above it, chains of convolutions are cut in stripes of rows where that makes it fit.
    """

    max_arena: int | None = field(default=None, metadata={"what": "limits Cortex-M programs"})


class CortexMBackend:
    """Order of operators, stripes and memory plan for the embedded runtime."""

    name = "cortex-m"
    targets = by_name(TARGETS)
    options: type[Any] = CortexMOptions
    costs: tuple[str, ...] = ("flash", "sram")
    endings: tuple[str, ...] = (".plan", ".h", ".weights")

    def check(self, target: Target, options: Options) -> None:
        """Take everything."""

    def legalize(self, target: Target) -> str:
        """Rewrite into what the runtime does in one step, with little memory."""
        # It has MATMUL with its RESCALE as one step.
        return (
            "tosaic-pack-int4,tosaic-sum-by-matmul,canonicalize,cse,tosaic-nest-concats,"
            "tosaic-legalize"
        )

    def finish(self, program: Program, target: Target, options: Options, clock: Clock) -> Artifacts:
        """Order operators, cut what does not fit, and plan the arena of each entry."""
        # Targets are listed without MLIR, and without the runtime's library.
        from tosaic.backends.cortex_m.firmware import make_firmware, share  # noqa: PLC0415
        from tosaic.backends.cortex_m.schedule import order_operators  # noqa: PLC0415
        from tosaic.backends.cortex_m.stripes import Cut, fit_arena  # noqa: PLC0415
        from tosaic.emit import serialize  # noqa: PLC0415

        most = CortexMOptions(**options.own).max_arena
        out = {}
        for entry in program.entries:
            module = program.alone(entry.name)
            with clock("emit"):
                # Flash has no room for source paths.
                data = serialize(module, target=target, locations=False)
            with clock("order"):
                data = order_operators(module, target, data)
            with clock("plan"):
                cuts: list[Cut] = []
                if most is not None:
                    module, data, cuts = fit_arena(module, target, data, most)
                firmware = make_firmware(module, target, data, most, cuts)
            out[entry.name] = _artifact(module, data, firmware)
        if len(out) == 1:
            return Artifacts(out)
        together = share({name: (made.flatbuffer, made.result) for name, made in out.items()})
        apart = sum(len(made.flatbuffer) for made in out.values())
        memory = (
            f"arena {together.arena_bytes:,} B for one entry at a time, weights "
            f"{len(together.weights):,} B (as {len(out)} models {apart:,} B)"
        )
        return Artifacts(out, together.files, [("together", memory)])


def _artifact(module: ir.Module, data: bytes, firmware: Firmware) -> Artifact:
    bound = f"{firmware.tensor_bytes:,} B; at least {firmware.live_bytes:,} B are alive at once"
    return Artifact(
        module,
        data,
        files=lambda stem: {
            f"{stem}.plan": firmware.plan,
            f"{stem}.h": firmware.header(stem).encode(),
        },
        costs={"flash": firmware.model_bytes, "sram": firmware.arena_bytes},
        summary=(
            ("memory", f"arena {firmware.arena_bytes:,} B, model {firmware.model_bytes:,} B"),
            ("tensors", bound),
            *(("cut", str(cut)) for cut in firmware.cuts),
        ),
        result=firmware,
    )


BACKEND = CortexMBackend()
