"""Cortex-M targets: the embedded runtime computes all of the program."""

from __future__ import annotations

from tosaic.targets.target import Target

_EXTENSIONS = ("int16", "int4", "doubleround", "variable", "controlflow")

TARGETS = tuple(
    Target(name=name, kind="cortex-m", extensions=_EXTENSIONS)
    for name in ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
)
