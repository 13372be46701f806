"""Ops that PyTorch has under several names, with the same arguments."""

from __future__ import annotations

import dataclasses

from tosaic.lowering.ops import OpEntry

# Without overloads: each overload of the second is one of the first.
NAMES = {
    **{f"arc{name[1:]}": name for name in ("acos", "acosh", "asin", "asinh", "atan", "atan2")},
    "arctanh": "atanh",
    "absolute": "abs",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "linalg_matmul": "matmul",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "special_expit": "sigmoid",
    **{f"special_{name}": name for name in ("erf", "erfc", "erfinv", "logit", "logsumexp", "sinc")},
    **{f"special_{name}": name for name in ("exp2", "expm1", "log1p")},
    "subtract": "sub",
    "true_divide": "div",
}
# Where the overloads are called otherwise.
OVERLOADS = {
    "special_log_softmax": "log_softmax.int",
    "special_round": "round.decimals",
    "special_softmax": "softmax.int",
    "special_xlogy": "xlogy.Tensor",
    "special_xlogy.other_scalar": "xlogy.Scalar_Other",
    "special_xlogy.self_scalar": "xlogy.Scalar_Self",
}
_ATEN = "torch.aten."


def synonyms(table: dict[str, OpEntry]) -> dict[str, OpEntry]:
    """Return the rows that `table` lacks: known ops under other names."""
    pairs = dict(OVERLOADS)
    for full in table:
        base, dot, overload = full.removeprefix(_ATEN).partition(".")
        for name in _OTHER.get(base, ()):
            pairs[f"{name}{dot}{overload}"] = f"{base}{dot}{overload}"
    return {
        _ATEN + name: dataclasses.replace(table[_ATEN + known], name=_ATEN + name)
        for name, known in pairs.items()
        if _ATEN + name not in table
    }


_OTHER: dict[str, list[str]] = {}
for _name, _known in NAMES.items():
    _OTHER.setdefault(_known, []).append(_name)
