"""The one interface of all backends, and the table that names them.

tosaic's own are imported. Others are found by the entry points of their packages, in the group
``tosaic.backends``; one whose passes are its own registers their modules in ``tosaic.passes``.
Importing a backend is light: what it needs to work, `legalize` and `finish` import.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

from tosaic.errors import InputError, ToolError

if TYPE_CHECKING:
    from tosaic.clock import Clock
    from tosaic.dialects.bindings import ir
    from tosaic.program import Program
    from tosaic.stages import Options
    from tosaic.targets import Target

GROUP = "tosaic.backends"
_OWN = ("ethos_u", "cortex_m", "tosa")

_MEMBERS = ("name", "targets", "options", "costs", "endings", "check", "legalize", "finish")

# The stem of file names -> contents by file name.
Files = Callable[[str], dict[str, bytes]]


def no_files(stem: str) -> dict[str, bytes]:
    """Return no files."""
    del stem
    return {}


@dataclass(frozen=True)
class NoOptions:
    """The options of a backend that has none of its own."""


@dataclass(frozen=True)
class Artifact:
    """What a backend made of one entry.

    `module` is the entry alone, as it is in the TOSA `flatbuffer`. `files` are those beside the
    flatbuffer. `costs` has a figure for each of `Backend.costs`, cycles per inference and bytes;
    `summary` are lines (label, text) for people, `layers` returns a report of so many slowest
    layers where there is a model of them. `result` is the backend's own value.
    """

    module: ir.Module
    flatbuffer: bytes
    files: Files = no_files
    costs: Mapping[str, int] = field(default_factory=dict)
    summary: Sequence[tuple[str, str]] = ()
    layers: Callable[[int], str] | None = None
    result: Any = None


@dataclass(frozen=True)
class Artifacts:
    """What a backend made of a program, by entry.

    Where `together` is given, it has the files of a program with several entries in place of those
    of each entry; file names of an entry begin with the stem, ``_`` and the entry's name. `summary`
    are lines about the entries together.
    """

    entries: Mapping[str, Artifact]
    together: Files | None = None
    summary: Sequence[tuple[str, str]] = ()

    def files(self, stem: str) -> dict[str, bytes]:
        """Return the backend's files by name, which begin with `stem`."""
        if len(self.entries) == 1:
            return next(iter(self.entries.values())).files(stem)
        if self.together is not None:
            return self.together(stem)
        parts = (made.files(f"{stem}_{name}") for name, made in self.entries.items())
        return {file: data for part in parts for file, data in part.items()}


class Backend(Protocol):
    """All that tosaic knows about a kind of device; a value without state.

    `targets` are by name, aliases included; their `backend` is `name`. `options` is a frozen
    dataclass whose fields, all with defaults, are what users choose for these targets only; a
    field's metadata says under "what" what it does. `costs` are the figures that recipes can be
    compared by, some of "cycles", "flash", "sram" and "dram", the most important first; none
    without a device. `endings` are those of the names of
    its files, behind the stem.
    """

    name: str
    targets: Mapping[str, Target]
    options: type[Any]
    costs: tuple[str, ...]
    endings: tuple[str, ...]

    def check(self, target: Target, options: Options) -> None:
        """Check options that exist, before anything is done.

        Raises:
            InputError: one does not suit `target`.
        """
        ...

    def legalize(self, target: Target) -> str:
        """Return the pipeline from optimised TOSA to what `target` takes, and the check of it."""
        ...

    def finish(self, program: Program, target: Target, options: Options, clock: Clock) -> Artifacts:
        """Make artifacts of `program`, which is legal TOSA; its module may be rewritten.

        Raises:
            TosaicError: the device cannot run it.
        """
        ...


@cache
def all_backends() -> dict[str, Backend]:
    """Return every backend by name.

    Raises:
        ToolError: an installed package registers one that does not load, or has a name in use.
    """
    own = (importlib.import_module(f"tosaic.backends.{name}").BACKEND for name in _OWN)
    backends: dict[str, Backend] = {backend.name: backend for backend in own}
    for point in metadata.entry_points(group=GROUP):
        package = point.dist.name if point.dist else point.value
        backend = _loaded(point, package)
        if backend.name in backends:
            raise ToolError(
                f"Package {package} registers a backend named '{backend.name}', which is taken. "
                "Uninstall it, or the package that has the name already."
            )
        backends[backend.name] = backend
    return backends


def backend_of(target: Target) -> Backend:
    """Return the backend of `target`.

    Raises:
        InputError: it names none that there is.
    """
    backends = all_backends()
    if target.backend not in backends:
        raise InputError(
            f"Target {target.name} is for backend '{target.backend}', which is not installed; "
            f"there are {', '.join(backends)}."
        )
    return backends[target.backend]


def _loaded(point: metadata.EntryPoint, package: str) -> Backend:
    try:
        backend: Backend = point.load()
        missing = [name for name in _MEMBERS if not hasattr(backend, name)]
    except Exception as error:  # whatever a broken package raises
        raise ToolError(
            f"Backend '{point.name}' of package {package} does not load "
            f"({type(error).__name__}: {error}). Repair the package or uninstall it."
        ) from error
    if missing:
        raise ToolError(
            f"Backend '{point.name}' of package {package} has no {', '.join(missing)}. It must be "
            "a value as tosaic.backends.Backend describes it; repair the package or uninstall it."
        )
    return backend
