"""What the registry knows about passes and pipelines, for ``--list-passes`` and docs/passes.md."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import get_type_hints

from tosaic.lowering.passes import Pass, all_passes, print_option
from tosaic.lowering.pipeline import Pipeline, all_pipelines

UPSTREAM = (
    "Upstream MLIR passes work by their own names too (`canonicalize`, `cse`, `tosa-infer-shapes`, "
    "…); one that runs on functions is nested in `func.func` by itself when given as a flag."
)


@dataclasses.dataclass(frozen=True)
class OptionDoc:
    """One pass option: how it is written, what it takes, and what it is if not given."""

    name: str
    kind: str
    default: str


@dataclasses.dataclass(frozen=True)
class PassDoc:
    """One pass; `stage` is the folder of lowering/ it lives in, `path` its file."""

    name: str
    text: str
    options: tuple[OptionDoc, ...]
    stage: str
    path: str


@dataclasses.dataclass(frozen=True)
class PipelineDoc:
    """One named pipeline and what it stands for."""

    name: str
    text: str
    passes: tuple[str, ...]


def pass_docs() -> list[PassDoc]:
    """Return every registered pass, by name."""
    return [_pass_doc(cls) for cls in all_passes().values()]


def pipeline_docs() -> list[PipelineDoc]:
    """Return every named pipeline, by name."""
    return [
        PipelineDoc(
            name, _text(fn), tuple(str(element) for element in Pipeline.parse(fn()).elements)
        )
        for name, fn in all_pipelines().items()
    ]


def first_paragraph(text: str) -> str:
    """Return the docstring's first sentence and the paragraph after it, on one line."""
    return " ".join(" ".join(text.split("\n\n")[:2]).split())


def _pass_doc(cls: type[Pass]) -> PassDoc:
    hints = get_type_hints(cls)
    options = tuple(
        OptionDoc(
            field.name.replace("_", "-"),
            _kind(hints[field.name]),
            "required" if field.default is dataclasses.MISSING else print_option(field.default),
        )
        for field in dataclasses.fields(cls)
    )
    module = cls.__module__.removeprefix("tosaic.").split(".")
    stage = module[1] if len(module) > 2 else ""
    return PassDoc(cls.name, _text(cls), options, stage, "/".join(module) + ".py")


def _text(documented: type[Pass] | Callable[[], str]) -> str:
    return inspect.cleandoc(documented.__doc__ or "").replace("``", "`")


def _kind(hint: object) -> str:
    if isinstance(hint, type) and hint in (bool, int, float, str):
        return {"str": "text", "float": "number"}.get(hint.__name__, hint.__name__)
    return "comma-separated list"
