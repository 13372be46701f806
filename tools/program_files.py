"""Compiled programs on disk: the .tosa file, the manifest beside it, and arrays for its inputs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.emit import Manifest, TensorInfo, quantize, read_bytes
from tosaic.emit.manifest import entries_from_json
from tosaic.errors import InputError
from tosaic.tools.arrays import Array, Slot


def tosa_file(path: str, entry: str | None = None) -> Path:
    """Return `path`, or where it is a folder the .tosa file in it, of `entry` where it has several.

    Raises:
        InputError: there is none, or no way to choose.
    """
    if not Path(path).is_dir():
        if entry is not None:
            raise InputError(
                f"'{path}' is the file of one entry; --entry chooses of a folder. Leave it out."
            )
        return Path(path)
    found = sorted(Path(path).glob("*.tosa"))
    entries = _entries_in(Path(path))
    if entry is not None:
        if entry not in entries:
            names = ", ".join(entries) or "none with a name"
            raise InputError(f"'{path}' has no entry '{entry}'. Its entries are: {names}.")
        return entries[entry]
    if len(found) != 1:
        if entries:
            raise InputError(
                f"'{path}' has the entries {', '.join(entries)}. Choose one with --entry."
            )
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(f"'{path}' should hold one .tosa file to choose it; there are: {names}.")
    return found[0]


def tosa_files(path: str, entry: str | None = None) -> list[Path]:
    """Return what `tosa_file` does, or the files of all entries."""
    entries = _entries_in(Path(path)) if entry is None and Path(path).is_dir() else {}
    return list(entries.values()) or [tosa_file(path, entry)]


def _entries_in(folder: Path) -> dict[str, Path]:
    """Return the .tosa files of the programs with several entries in `folder`, by entry."""
    out: dict[str, Path] = {}
    for beside in sorted(folder.glob("*.json")):
        for entry in _entries(beside):
            file = beside.with_name(f"{beside.stem}_{entry}.tosa")
            if out.setdefault(entry, file) != file:
                raise InputError(
                    f"'{folder}' holds two programs with an entry '{entry}'. Name the .tosa file."
                )
    return out


def _entries(manifest: Path) -> dict[str, Manifest]:
    try:
        return entries_from_json(read_bytes(manifest).decode(errors="replace"))
    except ValueError:
        return {}  # another file of the user's


def manifest_of(path: Path, module: ir.Module) -> Manifest:
    """Return the manifest beside the program, else what the program itself says (no scales)."""
    own = Manifest.from_module(module)
    beside = path.with_suffix(".json")
    if beside.exists():
        manifest = Manifest.from_json(read_bytes(beside).decode(errors="replace"))
    else:
        found = (
            (whole, manifest)
            for whole in sorted(path.parent.glob("*.json"))
            for entry, manifest in _entries(whole).items()
            if f"{whole.stem}_{entry}" == path.stem
        )
        beside, manifest = next(found, (beside, own))
    if _bare(manifest.held) != _bare(own):
        raise InputError(
            f"'{beside}' describes other inputs and outputs than '{path}' has. Compile again, or "
            "remove it to run on the program's own dtypes."
        )
    return manifest


def _bare(manifest: Manifest) -> list[tuple[Any, ...]]:
    return [(i.shape, i.dtype) for i in (*manifest.inputs, *manifest.outputs)]


def slot_of(info: TensorInfo) -> Slot:
    """Return what an array for an input must be: of its dtype, or real where it is quantised."""
    real = () if info.scale is None else ("float32",)
    return Slot(info.name, info.shape, (info.dtype, *real))


def as_stored(info: TensorInfo, array: Array, path: str) -> Array:
    """Return `array` as the program takes it, the same object where it is that already."""
    if str(array.dtype) == info.dtype:
        return array
    if not np.isfinite(array).all():
        raise InputError(
            f"'{path}' has NaN or infinity for input '{info.name}', which has no integer form. "
            "Remove it or repair the data."
        )
    return quantize(dataclasses.replace(info, shape=array.shape), array)
