"""Which TOSA operators each family of Ethos-U has.

They are what Vela 5.2 accepts; test/unit/test_vela.py asks it.
"""

from __future__ import annotations

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


# By accelerator, as passes name them; MLIR names.
OPERATORS = {
    "u55": _operators(_COMMON),
    "u65": _operators(_COMMON),
    "u85": _operators(_COMMON + _U85_ONLY),
}
