"""Which pipelines a compile runs, in order: the way of the data, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tosaic.errors import InputError
from tosaic.targets import Target

LAYOUTS = ("nchw", "nhwc")
IO_DTYPES = ("int8", "float32")


@dataclass(frozen=True)
class Options:
    """What a user chooses beside the target.

    `io_layout` is the dimension order of rank-4 inputs and outputs. `io_dtype` is the element type
    of a quantised model's inputs and outputs: int8 (default; what NPUs take), or float32 where the
    target computes in float. `dims` fixes dynamic dims, as tosaic-specialize-shapes takes them:
    ``("x.0:4",)`` gives dim 0 of input x the size 4.
    """

    io_layout: str = "nchw"
    io_dtype: str = "int8"
    dims: tuple[str, ...] = ()

    def check(self, target: Target) -> None:
        """Raise an `InputError` for values that do not exist or do not suit `target`."""
        for name, value, known in (
            ("io_layout", self.io_layout, LAYOUTS),
            ("io_dtype", self.io_dtype, IO_DTYPES),
        ):
            if value not in known:
                raise InputError(f"{name}='{value}' is unknown; choose {' or '.join(known)}.")
        if self.io_dtype == "float32" and not target.takes_float:
            raise InputError(
                f"Target {target.name} has no float arithmetic, so inputs and outputs cannot be "
                "float32. Leave io_dtype at int8 and quantise outside (the manifest has the "
                "scales; CompiledProgram.run does it for float arrays)."
            )


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
    out.append(("narrow", "tosaic-narrow-float64,tosaic-narrow-int64"))
    if quantized:
        casts = "tosaic-lower-quant-casts," if target.takes_float else ""
        boundary = "tosaic-quantize-io,canonicalize," if options.io_dtype == "int8" else ""
        out.append(("quantize", f"tosaic-quantize,{boundary}{casts}tosaic-strip-quant-types"))
    layout = f"tosaic-io-layout{{layout={options.io_layout}}}"
    out.append(("optimize", f"{layout},tosaic-optimize"))
    out.append(("legalize", _legalize(target)))
    return out


def _legalize(target: Target) -> str:
    """Rewrites into what `target` takes, cheapest form first, and the check that it does."""
    if target.kind != "ethos-u":
        return "tosaic-legalize"
    device = target.accelerator.split("-")[1]
    family = f"{{accelerator={device}}}"
    # Ethos-U85 has a bilinear resize of its own.
    upscale = "" if device == "u85" else "tosaic-bilinear-upscale,"
    return (
        f"{upscale}tosaic-split-strided-conv,tosaic-lower-transpose-conv,"
        f"tosaic-transpose-by-slices,tosaic-hoist-slices,tosaic-maximum-by-columns,"
        f"tosaic-matrix-transpose{family},tosaic-fold-columns{family},"
        f"tosaic-lower-global-mean{family},tosaic-fold-pad,tosaic-requantize-by-depthwise,"
        f"canonicalize,cse,tosaic-legalize,tosaic-check-ethos-u{family}"
    )
