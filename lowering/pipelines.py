"""The stages of a compile as named pipelines; the API, the CLI and tosaic-opt run the same text."""

from __future__ import annotations

from tosaic.lowering.pipeline import register_pipeline


@register_pipeline("tosaic-import-to-tosa")
def import_to_tosa() -> str:
    """The torch dialect to TOSA on builtin tensors, float islands between quant casts."""
    return (
        "tosaic-functionalize,tosaic-torch-to-tosa,"
        "torch-func-backend-type-conversion,"
        "func.func(torch-finalizing-backend-type-conversion),tosaic-infer-shapes,canonicalize,"
        "tosaic-fold-constants,tosaic-fold-batch-norm,canonicalize,cse"
    )


@register_pipeline("tosaic-quantize")
def quantize() -> str:
    """Float islands between quant casts to integer TOSA; the model's boundary stays as it is."""
    return (
        "tosaic-propagate-casts,tosaic-fold-table,tosaic-fold-compare,tosaic-fold-qdq,canonicalize,"
        "tosaic-fold-constants,canonicalize,tosaic-check-units"
    )


@register_pipeline("tosaic-optimize")
def optimize() -> str:
    """Layout, folding and fusing inside TOSA on plain types, for any target."""
    return (
        "tosaic-sink-reshapes,canonicalize,tosaic-fold-pad,tosaic-shuffle-channels,"
        "tosaic-join-transposes,tosaic-place-transposes,tosaic-join-transposes,tosaic-fold-flatten,"
        "tosaic-fold-pad,tosaic-fold-constants,tosaic-fuse-clamp,tosaic-fuse-rescale,"
        "canonicalize,tosaic-dedupe-const-shape,cse"
    )


@register_pipeline("tosaic-legalize")
def legalize() -> str:
    """What every target asks of a program before it is checked and written."""
    return "tosaic-separate-outputs"
