"""Arm Ethos-U targets: every configuration Vela 5.2 knows.

The limits are what Vela accepts (test/unit/test_vela.py asks it); system configuration and memory
mode are ExecuTorch's defaults for U55 and U85, so that figures compare, and Vela's for U65.
"""

from __future__ import annotations

from dataclasses import dataclass

from tosaic.lowering.legalize.ethos_u_operators import OPERATORS
from tosaic.targets import Limits, Target


@dataclass(frozen=True)
class EthosU:
    """An NPU as Vela is told of it; the fields are Vela's flags of these names.

    `vela_config` is a file with `system_config` and `memory_mode`; `vela_flags` are any others.
    """

    accelerator: str
    system_config: str
    memory_mode: str
    vela_config: str = "Arm/vela.ini"
    vela_flags: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """ "u55", "u65" or "u85", as passes take it."""
        return self.accelerator.split("-")[1]

    def __str__(self) -> str:
        """Name the configuration for people."""
        return f"{self.system_config}, {self.memory_mode}"


_U55_LIMITS = Limits(
    operators=OPERATORS["u55"],
    max_argmax_depth=127,
    native_stride=3,
    native_kernel_height=64,
    native_kernel_area=64 * 64,
)
_U85_LIMITS = Limits(operators=OPERATORS["u85"], native_stride=3)


def _family(
    family: str, macs: tuple[int, ...], limits: Limits, system_config: str, memory_mode: str
) -> tuple[Target, ...]:
    names = (f"ethos-{family}-{count}" for count in macs)
    return tuple(
        Target(
            name=name,
            backend="ethos-u",
            extensions=("int16", "int4", "doubleround"),
            limits=limits,
            device=EthosU(name, system_config, memory_mode),
        )
        for name in names
    )


TARGETS = (
    *_family("u55", (32, 64, 128, 256), _U55_LIMITS, "Ethos_U55_High_End_Embedded", "Shared_Sram"),
    *_family("u65", (256, 512), _U55_LIMITS, "Ethos_U65_High_End", "Dedicated_Sram_384KB"),
    *_family(
        "u85",
        (128, 256, 512, 1024, 2048),
        _U85_LIMITS,
        "Ethos_U85_SYS_DRAM_Mid",
        "Sram_Only",
    ),
)
