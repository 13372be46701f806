"""The `Target` value and the table of names.

A target is data: equality and hash cover every field, and every default is a field of a registered
value, never an ``if`` elsewhere. No MLIR and no torch here.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from tosaic.errors import InputError


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the device takes of an op; None is "as much as TOSA's level allows".

    Sizes are in elements. `operators` holds MLIR names (``"tosa.conv2d"``). What is past a `max_`
    limit is refused; past a `native_` limit it is split into many small ops and slow.
    """

    operators: frozenset[str] | None = None
    max_argmax_depth: int | None = None
    native_stride: int | None = None
    native_kernel_height: int | None = None
    native_kernel_area: int | None = None

    def takes(self, operator: str) -> bool:
        """Return whether `operator` runs at all (its shape may still be refused)."""
        return self.operators is None or operator in self.operators


@dataclasses.dataclass(frozen=True)
class Target:
    """A device or a TOSA specification level to compile for.

    `profiles`, `extensions` and `level` are spelled as in MLIR's ``tosa.target_env`` attribute.
    `backend` names the backend that finishes programs for it (`tosaic.backends`), and `device` is a
    frozen dataclass of that backend's own, with what only it reads; None where there is nothing.
    """

    name: str
    backend: str
    tosa_version: str = "1.0"
    profiles: tuple[str, ...] = ("pro_int",)
    extensions: tuple[str, ...] = ()
    level: str = "8k"
    limits: Limits = Limits()
    device: Hashable = None

    @property
    def takes_float(self) -> bool:
        """Whether float tensors may stay in the program."""
        return "pro_fp" in self.profiles

    @property
    def takes_integers(self) -> bool:
        """Whether quantised (integer) arithmetic may be in the program."""
        return "pro_int" in self.profiles


def by_name(targets: Iterable[Target], **aliases: str) -> Mapping[str, Target]:
    """Return `targets` by name, and again under each of `aliases`."""
    named = {target.name: target for target in targets}
    return named | {alias: named[name] for alias, name in aliases.items()}


_REGISTERED: dict[str, Target] = {}


def register_target(value: Target, *, alias: str | None = None) -> None:
    """Make `value`, of a backend that there is, known under its own name, or under `alias`."""
    name = alias or value.name
    if name in all_targets():
        raise ValueError(f"two targets are named {name}")
    _REGISTERED[name] = value


def all_targets() -> dict[str, Target]:
    """Return every target by name, aliases included: those of all backends, and registered ones."""
    from tosaic.backends import all_backends  # noqa: PLC0415  (backends are made of targets)

    backends = all_backends().values()
    return {k: v for backend in backends for k, v in backend.targets.items()} | _REGISTERED


def target(name: str | Target, **overrides: Any) -> Target:
    """Return the target called `name` (or `name` itself) with fields replaced by `overrides`.

    Fields of its `device` are replaced by their names, too. Lists are taken as tuples, so that the
    value stays hashable.

    Raises:
        InputError: there is no such target, or no such field.
    """
    base = name if isinstance(name, Target) else _named(name)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
    own, device = _fields(base), _fields(base.device)
    unknown = sorted(values.keys() - own - device)
    if unknown:
        raise InputError(
            f"Target {base.name} has no field '{unknown[0]}'; its fields are: "
            f"{', '.join(sorted(own | device))}."
        )
    changes: dict[str, Any] = {k: v for k, v in values.items() if k in own}
    inner: Any = changes.get("device", base.device)
    of_device = {k: v for k, v in values.items() if k not in own}
    if of_device:
        changes["device"] = dataclasses.replace(inner, **of_device)
    return dataclasses.replace(base, **changes)


def _named(name: str) -> Target:
    targets = all_targets()
    key = name.strip().lower().replace("_", "-")
    if key not in targets:
        near = difflib.get_close_matches(key, targets, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise InputError(
            f"There is no target named '{name}'.{hint} The targets are: {', '.join(targets)}."
        )
    return targets[key]


def _fields(value: Any) -> set[str]:
    return {f.name for f in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
