"""Plain TOSA targets: the specification's profiles, without a device behind them."""

from __future__ import annotations

from tosaic.targets.target import Target

_INT = ("int16", "int4", "doubleround", "inexactround", "variable", "controlflow")
_FP = ("bf16", "fp8e4m3", "fp8e5m2", "fft", "variable", "controlflow")


def _tosa(name: str, profiles: tuple[str, ...], extensions: tuple[str, ...]) -> Target:
    # A set would lose the order that messages and the flatbuffer show.
    unique = tuple(dict.fromkeys(extensions))
    return Target(name=name, kind="tosa", profiles=profiles, extensions=unique)


TARGETS = (
    _tosa("tosa-1.0-int", ("pro_int",), _INT),
    _tosa("tosa-1.0-fp", ("pro_fp",), _FP),
    _tosa("tosa-1.0-int+fp", ("pro_int", "pro_fp"), _INT + _FP),
)
ALIASES = {"tosa": "tosa-1.0-int+fp"}
