"""The stages of a compile as named pipelines; the API, the CLI and tosaic-opt run the same text."""

from __future__ import annotations

from tosaic.lowering.pipeline import register_pipeline

_FINALIZE = "func.func(torch-finalizing-backend-type-conversion)"


@register_pipeline("tosaic-import-to-tosa")
def import_to_tosa() -> str:
    """torch dialect to TOSA on builtin tensors, float islands between quant casts."""
    return (
        "tosaic-functionalize,tosaic-torch-to-tosa,canonicalize,"
        f"torch-func-backend-type-conversion,{_FINALIZE},canonicalize,"
        "tosaic-fold-constants,tosaic-fold-batch-norm,tosaic-fold-constants,canonicalize,cse"
    )


@register_pipeline("tosaic-quantize")
def quantize() -> str:
    """Float islands to integer TOSA."""
    return (
        "tosaic-propagate-casts,tosaic-fold-table,tosaic-fold-qdq,"
        "tosaic-fold-constants,canonicalize"
    )


@register_pipeline("tosaic-optimize")
def optimize() -> str:
    """Layout, then clean-up."""
    return "tosaic-place-transposes,tosaic-fold-constants,canonicalize,cse"
