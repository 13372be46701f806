"""Cortex-M targets: the embedded runtime computes all of the program.

Those named float are for its library built with TOSAIC_FLOAT.
"""

from __future__ import annotations

from dataclasses import dataclass

from tosaic.errors import InputError
from tosaic.targets import Target

_EXTENSIONS = ("int16", "int4", "doubleround", "variable", "controlflow")
_KERNELS = {"cortex-m4": "dsp", "cortex-m7": "dsp", "cortex-m33": "dsp", "cortex-m55": "mve"}


@dataclass(frozen=True)
class CortexM:
    """A processor with the embedded runtime; `kernels` is the runtime's kernel set."""

    kernels: str

    def __str__(self) -> str:
        """Name the configuration for people."""
        return f"kernels {self.kernels}"


TARGETS = tuple(
    Target(
        name=name + suffix,
        backend="cortex-m",
        profiles=profiles,
        extensions=_EXTENSIONS + extensions,
        device=CortexM(kernels),
    )
    for suffix, profiles, extensions in (
        ("", ("pro_int",), ()),
        ("-float", ("pro_int", "pro_fp"), ("fft",)),
    )
    for name, kernels in _KERNELS.items()
)


def kernels_of(target: Target) -> str:
    """Return the runtime's kernel set for `target`.

    Raises:
        InputError: it is not a Cortex-M.
    """
    if not isinstance(target.device, CortexM):
        raise InputError(
            f"The embedded runtime is for Cortex-M; target {target.name} is not one. Choose a "
            "target such as cortex-m55."
        )
    return target.device.kernels
