"""Vela: a TOSA flatbuffer to an Ethos-U command stream, with cycles tied to the user's source.

Vela runs in a process of its own, so that a crash in it is an error here and nothing more; in this
one only where many programs are tried, and a crash costs one of them. It calls
each layer by the tensor the layer writes; the flatbuffer knows which op writes that tensor and
where the op came from.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tosaic.backends.ethos_u.targets import EthosU
from tosaic.dialects.bindings import ir
from tosaic.dialects.locations import SourceSite, source_site
from tosaic.emit.files import read_bytes, write_bytes
from tosaic.emit.flatbuffer import sites_by_tensor
from tosaic.emit.functions import entry_function
from tosaic.emit.outline import outline_op
from tosaic.emit.serialize import serialize
from tosaic.errors import InputError, ToolError
from tosaic.targets import Target

_STEM = "program"
_MAX_TRIALS = 64  # a Vela run is a third of a second


@dataclass(frozen=True)
class VelaLayer:
    """One NPU operation of the command stream.

    `operator` is Vela's name ("Conv2D"), `tosa` the TOSA op that writes the layer's result,
    `site` where that came from. `cycles` is the layer's share of `VelaResult.cycles_total`;
    `staging_bytes` its use of the arena; `mac_utilisation` in percent.
    """

    operator: str
    tensor: str
    tosa: str
    site: SourceSite
    cycles: int
    cycles_npu: int
    macs: int
    mac_utilisation: float
    staging_bytes: int


@dataclass(frozen=True)
class VelaResult:
    """What Vela made of a program; memory in KiB, `data` is Vela's raw ``.npz``."""

    target: Target
    cycles_total: int
    cycles_npu: int
    sram_kib: float
    dram_kib: float
    flash_kib: float
    macs: int
    layers: tuple[VelaLayer, ...]
    data: bytes = field(repr=False)
    paths: tuple[Path, ...] = ()


class VelaError(ToolError):
    """Vela refused a program; `reason` is its own text."""

    def __init__(self, message: str, reason: str) -> None:
        """Keep `reason` for the search that follows."""
        super().__init__(message)
        self.reason = reason


def compile_module(
    module: ir.Module,
    target: Target,
    *,
    data: bytes | None = None,
    output_dir: Path | None = None,
    in_process: bool = False,
) -> VelaResult:
    """Serialise `module` (unless `data` is its flatbuffer already) and run Vela on it.

    Raises:
        ToolError: the NPU cannot run it; names each op at fault with its place in the user's
            source, found by compiling the suspects one by one.
    """
    data = serialize(module, target=target) if data is None else data
    try:
        return run_vela(data, target, output_dir=output_dir, in_process=in_process)
    except VelaError as error:
        raise _explained(module, target, error) from error


def run_vela(
    data: bytes, target: Target, *, output_dir: Path | None = None, in_process: bool = False
) -> VelaResult:
    """Compile the TOSA flatbuffer `data` for `target`; keep Vela's files in `output_dir` if set.

    Raises:
        InputError: `target` is not an Ethos-U.
        ToolError: Vela refuses the program (a `VelaError`) or does not start.
    """
    if not isinstance(target.device, EthosU):
        raise InputError(
            f"Vela compiles for Ethos-U; target {target.name} is not one. Choose a target such as "
            "ethos-u55-128."
        )
    with tempfile.TemporaryDirectory(prefix="tosaic-") as name:
        folder = Path(name)
        source = folder / f"{_STEM}.tosa"
        source.write_bytes(data)
        arguments = _arguments(target.device, source, folder)
        (_run_here if in_process else _run)(target, arguments)
        kept = sorted(p for p in folder.iterdir() if p != source)
        return _result(target, data, folder, _copied(kept, output_dir))


def refused_ops(module: ir.Module, target: Target, reason: str) -> list[tuple[Any, str]]:
    """Return the ops of main that Vela refuses alone, each with Vela's reason.

    `reason` is Vela's text for the whole program. It names one kind of op; ops of that kind and
    those outside the target's limits are tried first, the others only if none is at fault.
    """
    named: list[Any] = []
    others: list[Any] = []
    kinds = _kinds(reason)
    for op in entry_function(module).entry_block.operations:
        name = op.operation.name
        if not name.startswith("tosa.") or name in ("tosa.const", "tosa.const_shape"):
            continue
        suspect = any(kind in name.replace("_", "") for kind in kinds)
        suspect = suspect or not target.limits.takes(name)
        (named if suspect else others).append(op.operation)
    tried: dict[str, str | None] = {}
    return _refused(named, target, tried) or _refused(others, target, tried)


def _refused(ops: list[Any], target: Target, tried: dict[str, str | None]) -> list[tuple[Any, str]]:
    out = []
    for op in ops:
        alone = outline_op(op)
        text = str(alone)  # without locations: equal ops are compiled once
        if text not in tried:
            if len(tried) >= _MAX_TRIALS:
                continue
            tried[text] = _refusal(alone, target)
        if (reason := tried[text]) is not None:
            out.append((op, reason))
    return out


def _refusal(module: ir.Module, target: Target) -> str | None:
    try:
        run_vela(serialize(module, target=target), target)
    except VelaError as error:
        return error.reason
    return None


def _explained(module: ir.Module, target: Target, error: VelaError) -> ToolError:
    advice = (
        "Replace the op in the model, choose a target that runs it (Ethos-U85 runs more), or keep "
        "it off the NPU."
    )
    refused = refused_ops(module, target, error.reason)
    if not refused:
        return ToolError(
            f"Vela cannot compile the program for {target.name}: {error.reason}. Every op compiles "
            "alone, so the cause is how they are combined; cut the program in halves to find it."
        )
    lines = [
        f"  {source_site(op.location)}: {op.name} ({_signature(op)}): {reason}"
        for op, reason in refused
    ]
    count = f"{len(refused)} ops" if len(refused) > 1 else "an op"
    return ToolError("\n".join([f"{target.name} cannot run {count}. {advice}", *lines]))


def _signature(op: Any) -> str:
    operands = ", ".join(str(value.type) for value in op.operands)
    return f"{operands} -> {', '.join(str(result.type) for result in op.results)}"


def _kinds(reason: str) -> set[str]:
    """Return the op kinds in Vela's text, spelled like MLIR's without underscores."""
    found = re.findall(r"operation \((\w+)\)", reason) + re.findall(r"(?:^|; )(\w+):", reason)
    return {kind.lower() for kind in found}


def _run(target: Target, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "ethosu.vela", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise ToolError(f"Vela does not start: {error}. Reinstall ethos-u-vela.") from error
    if done.returncode:
        reason = _reason(done.stderr.decode(errors="replace"), done.returncode)
        raise VelaError(f"Vela cannot compile the program for {target.name}: {reason}.", reason)


def _run_here(target: Target, arguments: Sequence[str]) -> None:
    from ethosu.vela import vela  # noqa: PLC0415  (only who runs it here pays for it)

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = vela.main(list(arguments))
    except Exception as error:  # Vela raises what its parts happen to raise
        said.write(f"\n{type(error).__name__}: {error}")
        code = 1
    if code:
        reason = _reason(said.getvalue(), code)
        raise VelaError(f"Vela cannot compile the program for {target.name}: {reason}.", reason)


def _arguments(device: EthosU, source: Path, folder: Path) -> list[str]:
    return [
        f"--accelerator-config={device.accelerator}",
        f"--config={device.vela_config}",
        f"--system-config={device.system_config}",
        f"--memory-mode={device.memory_mode}",
        *("--output-format=raw", "--verbose-performance", f"--output-dir={folder}"),
        *device.vela_flags,
        str(source),
    ]


def _reason(stderr: str, code: int) -> str:
    """Return the error in Vela's output as one line, without the traceback."""
    text = re.split(r"^(?:[\w.]+(?:Error|Exception)): |error: ", stderr, flags=re.MULTILINE)
    if len(text) < 2:
        return f"it died with exit code {code}"
    message = text[-1].removeprefix("Compilation failed: ").removeprefix("Validation error:")
    return "; ".join(_joined(message.splitlines())).rstrip(".")


def _joined(lines: list[str]) -> Iterator[str]:
    """Put the ``- detail`` lines behind the line they belong to."""
    current = ""
    for raw in lines:
        line = raw.strip()
        if line.startswith("- "):
            current += (
                f" {line[2:]}" if current.endswith(":") else f"{', ' * bool(current)}{line[2:]}"
            )
        elif line:
            if current:
                yield current
            current = line
    if current:
        yield current


def _copied(files: list[Path], output_dir: Path | None) -> tuple[Path, ...]:
    if output_dir is None:
        return ()
    return tuple(write_bytes(Path(output_dir, p.name), read_bytes(p)) for p in files)


def _result(target: Target, data: bytes, folder: Path, paths: tuple[Path, ...]) -> VelaResult:
    summary = _rows(next(folder.glob(f"{_STEM}_summary_*.csv")))[0]
    sites = sites_by_tensor(data)
    layers = folder / f"{_STEM}_per-layer.csv"
    return VelaResult(
        target=target,
        cycles_total=_int(summary["cycles_total"]),
        cycles_npu=_int(summary["cycles_npu"]),
        sram_kib=float(summary["sram_memory_used"]),
        dram_kib=float(summary["dram_memory_used"]),
        flash_kib=float(summary["on_chip_flash_memory_used"])
        + float(summary["off_chip_flash_memory_used"]),
        macs=_int(summary["nn_macs"]),
        layers=tuple(_layer(row, sites) for row in _rows(layers)) if layers.exists() else (),
        data=read_bytes(folder / f"{_STEM}_vela.npz"),
        paths=paths,
    )


def _layer(row: dict[str, str], sites: dict[str, tuple[str, SourceSite]]) -> VelaLayer:
    tensor = row["Name"]
    tosa, site = sites.get(tensor) or sites.get(_base(tensor), ("", SourceSite()))
    return VelaLayer(
        operator=row["NNG Operator"],
        tensor=tensor,
        tosa=tosa,
        site=site,
        cycles=_int(row["Op Cycles"]),
        cycles_npu=_int(row["NPU"]),
        macs=_int(row["MAC Count"]),
        mac_utilisation=float(row["Util% (MAC)"]),
        staging_bytes=_int(row["Staging Usage"]),
    )


def _base(tensor: str) -> str:
    # Vela names the tensors it adds after ours: layer_12 becomes layer_12_something.
    found = re.match(r"layer_\d+", tensor)
    return found.group() if found else ""


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _int(text: str) -> int:
    return round(float(text))
