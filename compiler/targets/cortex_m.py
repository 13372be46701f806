"""Cortex-M targets: the embedded runtime computes all of the program.

Those named float are for its library built with TOSAIC_FLOAT.
"""

from __future__ import annotations

from tosaic.targets.target import Target

_EXTENSIONS = ("int16", "int4", "doubleround", "variable", "controlflow")
_KERNELS = {"cortex-m4": "dsp", "cortex-m7": "dsp", "cortex-m33": "dsp", "cortex-m55": "mve"}

TARGETS = tuple(
    Target(
        name=name + suffix,
        kind="cortex-m",
        profiles=profiles,
        extensions=_EXTENSIONS + extensions,
        kernels=kernels,
    )
    for suffix, profiles, extensions in (
        ("", ("pro_int",), ()),
        ("-float", ("pro_int", "pro_fp"), ("fft",)),
    )
    for name, kernels in _KERNELS.items()
)
