"""What a pass is, and the registry that the tools and pipelines look passes up in.

A pass is a frozen dataclass: its fields are its options, its docstring is its documentation, its
`name` is its name in pipeline text. Passes are anchored on ``builtin.module``. The module is valid
IR before and after.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, ClassVar, TypeVar, get_type_hints

import tosaic.lowering
from tosaic.dialects.bindings import ir, rewrite
from tosaic.dialects.builder import Builder
from tosaic.dialects.locations import source_site
from tosaic.errors import CompileError, Diagnostic, PipelineError
from tosaic.lowering.ops import Refusal

Rewrite = Callable[[Any, Builder], "ir.Value | Sequence[ir.Value] | None"]


@dataclasses.dataclass(frozen=True)
class Pass:
    """Base of every pass; subclasses set `name` and implement `run`."""

    name: ClassVar[str]

    def run(self, module: ir.Operation) -> None:
        """Rewrite `module` (a ``builtin.module``) in place.

        Raises:
            CompileError: with every problem found; the IR is then unspecified.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the pipeline text that parses back to this pass."""
        options = [
            f"{field.name.replace('_', '-')}={print_option(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return self.name + (f"{{{' '.join(options)}}}" if options else "")


@dataclasses.dataclass(frozen=True)
class Pattern:
    """One rewrite: `fn(op, builder)` returns the replacement, or None where it does not match.

    Matching comes first and is pure; once an op is built the rewrite must succeed. An empty
    sequence erases an op without results.
    """

    root: str
    fn: Rewrite
    benefit: int = 1


def pattern(root: str, *, benefit: int = 1) -> Callable[[Rewrite], Pattern]:
    """Turn a function into a `Pattern` rooted at op name `root`, e.g. ``"tosa.add"``."""
    return lambda fn: Pattern(root, fn, benefit)


def apply_patterns(module: ir.Operation, patterns: Sequence[Pattern], *, greedy: bool) -> None:
    """Run `patterns` over `module`: to a fixed point with folding, or in one walk."""
    with module.context:
        rewrites = rewrite.RewritePatternSet()
        for p in patterns:
            rewrites.add(p.root, _driver_callback(p.fn), p.benefit)
        frozen = rewrites.freeze()
        if greedy:
            config = rewrite.GreedyRewriteConfig()
            # MLIR gives up after 10 rounds by default; long chains of casts need more.
            config.max_iterations = 1000
            rewrite.apply_patterns_and_fold_greedily(module, frozen, config)
        else:
            rewrite.walk_and_apply_patterns(module, frozen)


def _driver_callback(fn: Rewrite) -> Callable[[Any, Any], bool | None]:
    def callback(op: Any, rewriter: Any) -> bool | None:
        try:
            replacement = fn(op, Builder(op.location, rewriter.ip))
        except Refusal as refusal:  # of a pattern that cannot wait until every op was tried
            problem = error_at(op, str(refusal))
            raise CompileError("An op cannot be expressed in TOSA.", [problem]) from refusal
        if replacement is None:
            return True  # the bindings read a true value as "no match"
        values = [replacement] if isinstance(replacement, ir.Value) else list(replacement)
        if values:
            rewriter.replace_op(op, values)
        else:
            rewriter.erase_op(op)
        return None

    return callback


@dataclasses.dataclass(frozen=True)
class PatternPass(Pass):
    """A pass that is a set of patterns; `greedy` selects the driver."""

    patterns: ClassVar[tuple[Pattern, ...]] = ()
    greedy: ClassVar[bool] = True

    def run(self, module: ir.Operation) -> None:
        """Apply the patterns."""
        apply_patterns(module, self.patterns, greedy=self.greedy)


# --- registry ----------------------------------------------------------------------------------

_PASSES: dict[str, type[Pass]] = {}
P = TypeVar("P", bound=type[Pass])


def register_pass(cls: P) -> P:
    """Class decorator: make `cls` known under its `name`."""
    if cls.name in _PASSES:
        raise ValueError(f"two passes are named {cls.name}")
    _PASSES[cls.name] = cls
    return cls


def all_passes() -> dict[str, type[Pass]]:
    """Return every registered pass by name (imports the modules that have them on first use).

    Those of other packages are in modules that entry points in the group ``tosaic.passes`` name.
    """
    _import_all()
    return dict(sorted(_PASSES.items()))


@functools.cache
def _import_all() -> None:
    for info in pkgutil.walk_packages(tosaic.lowering.__path__, "tosaic.lowering."):
        importlib.import_module(info.name)
    for point in metadata.entry_points(group="tosaic.passes"):
        try:
            point.load()
        except Exception as error:  # whatever a broken package raises
            raise PipelineError(
                f"The passes '{point.name}' ({point.value}) do not load "
                f"({type(error).__name__}: {error}). Repair their package or uninstall it."
            ) from error


def make_pass(name: str, options: dict[str, str]) -> Pass:
    """Build the pass called `name` from option texts.

    Raises:
        PipelineError: unknown pass, unknown option, or a value that does not parse.
    """
    passes = all_passes()
    if name not in passes:
        near = difflib.get_close_matches(name, passes, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise PipelineError(f"There is no pass named '{name}'.{hint} --list-passes lists them all.")
    cls = passes[name]
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, text in options.items():
        field = fields.get(key.replace("-", "_"))
        if field is None:
            known = ", ".join(f.replace("_", "-") for f in fields) or "none"
            raise PipelineError(f"Pass '{name}' has no option '{key}'; its options are: {known}.")
        values[field.name] = _parse_option(name, key, text, hints[field.name])
    return cls(**values)


def _parse_option(pass_name: str, key: str, text: str, wanted: Any) -> Any:
    try:
        if wanted is bool:
            return {"true": True, "1": True, "": True, "false": False, "0": False}[text.lower()]
        if wanted is int:
            return int(text)
        if wanted is float:
            return float(text)
        if wanted is str:
            return text
        if wanted == tuple[str, ...]:
            return tuple(part for part in text.split(",") if part)
        if wanted == tuple[int, ...]:
            return tuple(int(part) for part in text.split(",") if part)
    except (KeyError, ValueError):
        kind = getattr(wanted, "__name__", str(wanted))
        raise PipelineError(
            f"Pass '{pass_name}': option {key}={text} is not a valid {kind}."
        ) from None
    raise TypeError(f"pass option type {wanted} has no parser")


def print_option(value: Any) -> str:
    """Return `value` as pipeline text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value)


def error_at(op: Any, message: str) -> Diagnostic:
    """Return an error diagnostic at `op`'s location."""
    return diagnostic_at(op.location, message)


def diagnostic_at(location: ir.Location, message: str, severity: str = "error") -> Diagnostic:
    """Return a diagnostic at `location`, in the user's terms."""
    site = source_site(location)
    return Diagnostic(message, str(site), site.file, site.line, site.column, severity)


def fail_if(diagnostics: Sequence[Diagnostic], summary: str) -> None:
    """Raise a `CompileError` with all of `diagnostics`, if there are any."""
    if diagnostics:
        raise CompileError(summary, diagnostics)
