"""The `Target` value and the table of names.

A target is data: equality and hash cover every field, and every default is a field of a registered
value, never an ``if`` elsewhere. No MLIR and no torch here.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, Literal

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

    `profiles`, `extensions` and `level` are spelled as in MLIR's ``tosa.target_env`` attribute. The
    fields from `accelerator` to `vela_flags` configure Vela and are empty for other targets;
    `kernels` is the embedded runtime's kernel set, for Cortex-M.
    """

    name: str
    kind: Literal["ethos-u", "cortex-m", "tosa"]
    tosa_version: str = "1.0"
    profiles: tuple[str, ...] = ("pro_int",)
    extensions: tuple[str, ...] = ()
    level: str = "8k"
    limits: Limits = Limits()
    accelerator: str = ""
    system_config: str = ""
    memory_mode: str = ""
    vela_config: str = ""
    vela_flags: tuple[str, ...] = ()
    kernels: str = ""

    @property
    def takes_float(self) -> bool:
        """Whether float tensors may stay in the program."""
        return "pro_fp" in self.profiles

    @property
    def takes_integers(self) -> bool:
        """Whether quantised (integer) arithmetic may be in the program."""
        return "pro_int" in self.profiles


_TARGETS: dict[str, Target] = {}


def register_target(value: Target, *, alias: str | None = None) -> None:
    """Make `value` known under its own name, or under `alias`."""
    name = alias or value.name
    if name in _TARGETS:
        raise ValueError(f"two targets are named {name}")
    _TARGETS[name] = value


def all_targets() -> dict[str, Target]:
    """Return every target by name, aliases included."""
    return dict(_TARGETS)


def target(name: str | Target, **overrides: Any) -> Target:
    """Return the target called `name` (or `name` itself) with fields replaced by `overrides`.

    Lists are taken as tuples, so that the value stays hashable.

    Raises:
        InputError: there is no such target, or no such field.
    """
    if isinstance(name, Target):
        base = name
    else:
        key = name.strip().lower().replace("_", "-")
        if key not in _TARGETS:
            near = difflib.get_close_matches(key, _TARGETS, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise InputError(
                f"There is no target named '{name}'.{hint} The targets are: {', '.join(_TARGETS)}."
            )
        base = _TARGETS[key]
    fields = {field.name for field in dataclasses.fields(Target)}
    unknown = sorted(set(overrides) - fields)
    if unknown:
        raise InputError(
            f"A target has no field '{unknown[0]}'; its fields are: {', '.join(sorted(fields))}."
        )
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()
    }
    return dataclasses.replace(base, **values)
