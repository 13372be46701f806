"""Arm Ethos-U targets: every configuration Vela 5.2 knows.

The limits are what Vela accepts (test/unit/test_vela.py asks it); system configuration and memory
mode are ExecuTorch's defaults for U55 and U85, so that figures compare, and Vela's for U65.
"""

from __future__ import annotations

from tosaic.targets.target import Limits, Target

_COMMON = """
abs add argmax arithmetic_right_shift avg_pool2d cast clamp clz concat const const_shape conv2d
conv3d depthwise_conv2d identity logical_left_shift matmul max_pool2d maximum minimum mul negate
pad reduce_max reduce_min reduce_sum rescale reshape resize reverse slice sub table tile transpose
transpose_conv2d
"""
_U85_ONLY = """
bitwise_and bitwise_not bitwise_or bitwise_xor equal gather greater greater_equal intdiv logical_and
logical_not logical_or logical_right_shift logical_xor reduce_all reduce_any scatter select
"""


def _operators(names: str) -> frozenset[str]:
    return frozenset(f"tosa.{name}" for name in names.split())


_U55_LIMITS = Limits(
    operators=_operators(_COMMON),
    max_argmax_depth=127,
    native_stride=3,
    native_kernel_height=64,
    native_kernel_area=64 * 64,
)
_U85_LIMITS = Limits(operators=_operators(_COMMON + _U85_ONLY), native_stride=3)


def _family(
    family: str, macs: tuple[int, ...], limits: Limits, system_config: str, memory_mode: str
) -> tuple[Target, ...]:
    return tuple(
        Target(
            name=f"ethos-{family}-{count}",
            kind="ethos-u",
            extensions=("int16", "int4", "doubleround"),
            limits=limits,
            accelerator=f"ethos-{family}-{count}",
            system_config=system_config,
            memory_mode=memory_mode,
            vela_config="Arm/vela.ini",
        )
        for count in macs
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
