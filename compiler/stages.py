"""Which pipelines a compile runs, in order: the way of the data, as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tosaic.backends import all_backends, backend_of
from tosaic.errors import InputError
from tosaic.targets import Target

LAYOUTS = ("nchw", "nhwc")
IO_DTYPES = ("auto", "int8", "uint8", "int16", "float32")


@dataclass(frozen=True)
class Options:
    """What a user chooses beside the target.

    `io_layout` is the dimension order of rank-4 inputs and outputs. `io_dtype` is the element type
    of a quantised model's inputs and outputs: "auto" is what the recipe made them, int8 as a rule;
    another integer type takes a rescale at the boundary, float32 a target that computes in float.
    `dims` fixes dynamic dims, as tosaic-specialize-shapes takes them:
    ``("x.0:4",)`` gives dim 0 of input x the size 4. `own` are options of the target's backend, by
    name: fields of its `Backend.options`. With `in_process`, tools such as Vela run in this process
    where they can: faster, and a crash in them is a crash here.
    """

    io_layout: str = "nchw"
    io_dtype: str = "auto"
    dims: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    in_process: bool = False

    def check(self, target: Target) -> None:
        """Raise an `InputError` for values that do not exist or do not suit `target`."""
        for name, value, choices in (
            ("io_layout", self.io_layout, LAYOUTS),
            ("io_dtype", self.io_dtype, IO_DTYPES),
        ):
            if value not in choices:
                raise InputError(f"{name}='{value}' is unknown; choose {' or '.join(choices)}.")
        backend = backend_of(target)
        known = [f.name for f in dataclasses.fields(backend.options)]
        for name in self.own:
            if name not in known:
                raise InputError(_unknown(name, known, target))
        if self.io_dtype == "float32" and not target.takes_float:
            raise InputError(
                f"Target {target.name} has no float arithmetic, so inputs and outputs cannot be "
                "float32. Use integers (auto, int8, uint8 or int16) and quantise outside (the "
                "manifest has the scales; CompiledProgram.run does it for float arrays)."
            )
        backend.check(target, self)


def _unknown(name: str, known: list[str], target: Target) -> str:
    """Return what to say about a backend's option that `target` does not have."""
    for backend in all_backends().values():
        for option in dataclasses.fields(backend.options):
            if option.name == name:
                first = next(iter(backend.targets))
                return (
                    f"{name} {option.metadata['what']}; target {target.name} has no such option. "
                    f"Leave it out, or choose a target such as {first}."
                )
    options = ", ".join(known) or "none"
    return f"Target {target.name} has no option '{name}'; its own options are: {options}."


def fixed_dims(sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Return `Options.dims` for sizes by place or symbol."""
    return tuple(f"{place}:{size}" for place, size in sizes.items())


def stages(target: Target, options: Options, *, quantized: bool) -> list[tuple[str, str]]:
    """Return (stage name, pipeline text) in the order a compile runs them."""
    out = []
    if options.dims:
        dims = ",".join(options.dims)
        out.append(("specialize", f"tosaic-specialize-shapes{{dims={dims}}}"))
    out.append(("to-tosa", "tosaic-import-to-tosa"))
    # Where the target has 64-bit integers, they stay.
    integers = "" if "int64" in target.extensions else ",tosaic-narrow-int64"
    out.append(("narrow", f"tosaic-narrow-float64{integers}"))
    if quantized:
        casts = "tosaic-lower-quant-casts," if target.takes_float else ""
        boundary = _boundary(options.io_dtype)
        out.append(("quantize", f"tosaic-quantize,{boundary}{casts}tosaic-strip-quant-types"))
    layout = f"tosaic-io-layout{{layout={options.io_layout}}}"
    out.append(("optimize", f"{layout},tosaic-optimize"))
    check = "" if target.takes_float else "tosaic-check-integers,"
    out.append(("legalize", f"{check}{backend_of(target).legalize(target)}"))
    return out


def _boundary(io_dtype: str) -> str:
    if io_dtype == "float32":
        return ""
    option = "" if io_dtype == "auto" else f"{{dtype={io_dtype}}}"
    return f"tosaic-quantize-io{option},canonicalize,"
