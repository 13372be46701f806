"""Which pipelines a compile runs, in order: the way of the data, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    ``("x.0:4",)`` gives dim 0 of input x the size 4. `max_arena` is the most bytes of arena that a
    Cortex-M program may need.
    """

    io_layout: str = "nchw"
    io_dtype: str = "auto"
    dims: tuple[str, ...] = ()
    max_arena: int | None = None

    def check(self, target: Target) -> None:
        """Raise an `InputError` for values that do not exist or do not suit `target`."""
        for name, value, known in (
            ("io_layout", self.io_layout, LAYOUTS),
            ("io_dtype", self.io_dtype, IO_DTYPES),
        ):
            if value not in known:
                raise InputError(f"{name}='{value}' is unknown; choose {' or '.join(known)}.")
        if self.max_arena is not None and target.kind != "cortex-m":
            raise InputError(
                f"max_arena limits Cortex-M programs; target {target.name} is not one. Leave it "
                "out, or choose a target such as cortex-m55."
            )
        if self.io_dtype == "float32" and not target.takes_float:
            raise InputError(
                f"Target {target.name} has no float arithmetic, so inputs and outputs cannot be "
                "float32. Use integers (auto, int8, uint8 or int16) and quantise outside (the "
                "manifest has the scales; CompiledProgram.run does it for float arrays)."
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
    out.append(("legalize", f"{check}{_legalize(target)}"))
    return out


def _boundary(io_dtype: str) -> str:
    if io_dtype == "float32":
        return ""
    option = "" if io_dtype == "auto" else f"{{dtype={io_dtype}}}"
    return f"tosaic-quantize-io{option},canonicalize,"


def _legalize(target: Target) -> str:
    """Rewrites into what `target` takes, cheapest form first, and the check that it does."""
    if target.kind != "ethos-u":
        # Vela compresses weights itself, and passes for Ethos-U read them as i8.
        pack = "tosaic-pack-int4," if "int4" in target.extensions else ""
        # The embedded runtime has MATMUL with its RESCALE as one step, and little memory.
        small = "tosaic-sum-by-matmul,canonicalize,cse,tosaic-nest-concats,"
        return f"{pack}{small if target.kind == 'cortex-m' else ''}tosaic-legalize"
    device = target.accelerator.split("-")[1]
    family = f"{{accelerator={device}}}"
    # Ethos-U85 has RESIZE by any factor, comparisons and SELECT of its own.
    small = (
        "tosaic-split-strided-depthwise,"
        "tosaic-resize-by-weights,tosaic-bilinear-upscale,tosaic-reverse-rows,"
        "tosaic-gather-by-product,tosaic-boolean-io,tosaic-booleans-by-arithmetic,"
    )
    return (
        f"{'' if device == 'u85' else small}tosaic-split-strided-conv,tosaic-lower-transpose-conv,"
        f"tosaic-transpose-by-slices,tosaic-hoist-slices,tosaic-maximum-by-columns,"
        f"tosaic-sink-reshapes,canonicalize,cse,"
        f"tosaic-matrix-transpose{family},tosaic-fold-columns{family},"
        f"tosaic-lower-global-mean{family},tosaic-fold-pad,tosaic-requantize,"
        f"canonicalize,cse,tosaic-unshare-rescales,"
        f"{'' if device == 'u85' else 'tosaic-scale-by-product,'}tosaic-legalize,"
        f"tosaic-check-ethos-u{family}"
    )
