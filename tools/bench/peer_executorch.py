"""Measure ExecuTorch's Arm backend on one model of the set; JSON on standard output.

A script for another interpreter: it runs where the ``executorch`` package is installed, in a
process of its own (time from process start and peak memory are among the figures), and imports
nothing of tosaic but the model set. Written against executorch 1.5.1.

    <python with executorch> tools/bench/peer_executorch.py mobilenet_v2 ethos-u55-128

The model is quantised with ExecuTorch's own quantiser for the target (symmetric int8, weights per
channel) on the shared calibration inputs and lowered with ``to_edge_transform_and_lower``. For an
Ethos-U that call runs Vela too; `lower_vela_s` says how much of the time that is. Vela's figures
come from running it again, afterwards, on the TOSA that ExecuTorch dumped, in ExecuTorch's default
configuration.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
import math
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import Tensor, nn

# ExecuTorch's defaults (EthosUCompileSpec): target -> (system configuration, memory mode).
VELA_DEFAULTS = {
    "ethos-u55-128": ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "ethos-u85-256": ("Ethos_U85_SYS_DRAM_Mid", "Sram_Only"),
}
PLAIN_TOSA = "tosa"
TARGETS = (*VELA_DEFAULTS, PLAIN_TOSA)
_MEASURED_MODULES = (
    "ethosu.vela.vela",
    "executorch.backends.arm.ethosu",
    "executorch.backends.arm.quantizer",
    "executorch.backends.arm.util._factory",
    "executorch.exir",
    "torchao.quantization.pt2e.quantize_pt2e",
)
_BOUNDARY_OPS = ("quantize_per_tensor", "dequantize_per_tensor")


class _Stopwatch:
    """Named stretches of wall time, the first of which began with the process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._origin = _process_start()
        self._last = self._origin

    def lap(self, name: str) -> None:
        now = time.time()
        self.seconds[name] = now - self._last
        self._last = now

    def since_start(self) -> float:
        return time.time() - self._origin


def _process_start() -> float:
    """When this process started, on `time.time`'s scale (Linux; elsewhere: now)."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return time.time()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - (uptime - started)


def _peak_rss_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _bench_models() -> ModuleType:
    """Load models.py beside this file (this directory stays off ``sys.path``: see `main`)."""
    path = Path(__file__).resolve().with_name("models.py")
    spec = importlib.util.spec_from_file_location("tosaic_bench_models", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Wrap ``function`` so that the time of each call is appended to ``seconds``."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.time() - start)

    return wrapper


def count_tosa_ops(path: Path) -> Counter[str]:
    """Operators of a TOSA flatbuffer, over all regions and blocks."""
    import tosa_serializer

    graph = tosa_serializer.TosaSerializer("")
    if not graph.loadTosaFlatbuffer(str(path)):
        raise RuntimeError(f"cannot read {path.name}")
    return Counter(
        tosa_serializer.Op(operator.op).name
        for region in graph.regions
        for block in region.basicBlocks
        for operator in block.operators
    )


def vela_summary(path: Path, accelerator: str) -> dict[str, float]:
    """Vela's estimate for one TOSA file in ExecuTorch's default configuration.

    Raises:
        RuntimeError: Vela rejects the model.
    """
    from ethosu.vela import vela

    system_config, memory_mode = VELA_DEFAULTS[accelerator]
    with tempfile.TemporaryDirectory() as directory:
        status = vela.main(
            [
                f"--accelerator-config={accelerator}",
                "--config=Arm/vela.ini",
                f"--system-config={system_config}",
                f"--memory-mode={memory_mode}",
                "--output-format=raw",
                f"--output-dir={directory}",
                str(path),
            ]
        )
        summaries = list(Path(directory).glob("*_summary_*.csv"))
        if status or len(summaries) != 1:
            raise RuntimeError(f"vela returned {status}, {len(summaries)} summaries")
        with summaries[0].open(newline="") as file:
            row = next(csv.DictReader(file))
    return {
        "cycles_total": float(row["cycles_total"]),
        "cycles_npu": float(row["cycles_npu"]),
        "sram_KiB": float(row["sram_memory_used"]),
        "dram_KiB": float(row["dram_memory_used"]),
        "flash_KiB": float(row["off_chip_flash_memory_used"]),
        "npu_weights_KiB": float(row["total_npu_encoded_weights"]) / 1024,
        "macs": float(row["nn_macs"]),
    }


def vela_totals(paths: list[Path], accelerator: str) -> dict[str, Any]:
    """`vela_summary` over all delegates: cycles and constants add up, the largest SRAM counts.

    A refusal is a result: it is returned as ``{"error": …}``.
    """
    try:
        rows = [vela_summary(path, accelerator) for path in paths]
    except (RuntimeError, SystemExit) as error:
        return {"error": str(error)}
    totals: dict[str, Any] = {}
    for key in rows[0] if rows else ():
        values = [row[key] for row in rows]
        total = max(values) if key in ("sram_KiB", "dram_KiB") else sum(values, 0.0)
        totals[key] = int(total) if total.is_integer() else total
    system_config, memory_mode = VELA_DEFAULTS[accelerator]
    return {**totals, "system_config": system_config, "memory_mode": memory_mode}


def _compile_spec_and_quantizer(target: str) -> tuple[Any, Any]:
    """ExecuTorch's specification and quantiser for a target: int8, weights per channel."""
    from executorch.backends.arm.ethosu import EthosUCompileSpec
    from executorch.backends.arm.quantizer import (
        EthosUQuantizer,
        TOSAQuantizer,
        get_symmetric_quantization_config,
    )
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec

    quantizer: Any
    if target == PLAIN_TOSA:
        compile_spec = TosaCompileSpec("TOSA-1.0+INT")
        quantizer = TOSAQuantizer(compile_spec)
    else:
        compile_spec = EthosUCompileSpec(target)
        quantizer = EthosUQuantizer(compile_spec)
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    return compile_spec, quantizer


def _quantize(model: nn.Module, quantizer: Any, calibration: list[Tensor]) -> nn.Module:
    """Export, calibrate and convert: the fake-quantised graph."""
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    with torch.no_grad():
        exported = torch.export.export(model, (calibration[0],)).module(check_guards=False)
        prepared = prepare_pt2e(exported, quantizer)
        for sample in calibration:
            prepared(sample)
        converted: nn.Module = convert_pt2e(prepared)
    return converted


def _lower(program: Any, compile_spec: Any) -> tuple[Any, float]:
    """ExecuTorch's lowering; the edge program and the seconds it spent in Vela."""
    from ethosu.vela import vela
    from executorch.backends.arm.util._factory import create_partitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    seconds: list[float] = []
    vela_main, vela.main = vela.main, _timed(vela.main, seconds)
    try:
        edge = to_edge_transform_and_lower(
            program,
            partitioner=[create_partitioner(compile_spec)],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
    finally:
        vela.main = vela_main
    return edge, sum(seconds)


def _placement(edge: Any) -> dict[str, Any]:
    """Where the operators of a lowered program run."""
    delegates, boundary_ops = 0, 0
    cpu_ops: Counter[str] = Counter()
    for node in edge.exported_program().graph.nodes:
        operator = str(getattr(node.target, "_op", node.target))
        if node.op != "call_function" or "getitem" in operator:
            continue
        if operator == "executorch_call_delegate":
            delegates += 1
        elif any(name in operator for name in _BOUNDARY_OPS):
            boundary_ops += 1
        else:
            cpu_ops[operator] += 1
    return {
        "delegates": delegates,
        "cpu_ops": dict(cpu_ops),
        "cpu_quantize_dequantize_ops": boundary_ops,
    }


def measure(model_name: str, target: str, *, seed: int, tosa_directory: Path) -> dict[str, Any]:
    """Quantise, lower and judge one model; ExecuTorch's TOSA stays in ``tosa_directory``.

    Raises:
        RuntimeError: The dumped TOSA files are not one for each delegate.
    """
    watch = _Stopwatch()
    import torch

    for name in _MEASURED_MODULES:  # so that no measured step pays for its imports
        importlib.import_module(name)
    watch.lap("import_s")
    rss_imports = _peak_rss_mib()

    bench = _bench_models()
    models = bench.load_models()
    model = models.build(model_name, seed=seed)
    weights = bench.weights_crc32(model)
    calibration = bench.calibration_inputs(model_name, seed)
    watch.lap("build_s")
    rss_build = _peak_rss_mib()

    compile_spec, quantizer = _compile_spec_and_quantizer(target)
    compile_spec.dump_intermediate_artifacts_to(str(tosa_directory))
    quantized = _quantize(model, quantizer, calibration)
    watch.lap("quantize_s")
    program = torch.export.export(quantized, (calibration[0],))
    watch.lap("export_s")
    edge, vela_seconds = _lower(program, compile_spec)
    watch.lap("lower_s")
    process_seconds = watch.since_start()
    rss_peak = _peak_rss_mib()

    held_out = bench.held_out_inputs(model_name, seed)
    with torch.no_grad():
        reference = torch.stack([model(sample) for sample in held_out])
        fake = torch.stack([quantized(sample) for sample in held_out])

    placement = _placement(edge)
    files = sorted(tosa_directory.glob("output*.tosa"))  # their Vela step leaves an out.tosa too
    if len(files) != placement["delegates"]:
        raise RuntimeError(f"{placement['delegates']} delegates, but {len(files)} TOSA files")
    tosa_ops = sum((count_tosa_ops(file) for file in files), Counter())
    accelerators = list(VELA_DEFAULTS) if target == PLAIN_TOSA else [target]
    return {
        "model": model_name,
        "target": target,
        "executorch": version("executorch"),
        "vela": version("ethos-u-vela"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "weights_crc32": weights,
        **{name: round(seconds, 3) for name, seconds in watch.seconds.items()},
        "lower_vela_s": round(vela_seconds, 3),
        "process_s": round(process_seconds, 2),
        "rss_imports_MiB": round(rss_imports),
        "rss_build_MiB": round(rss_build),
        "peak_rss_MiB": round(rss_peak),
        **placement,
        "tosa_bytes": sum(file.stat().st_size for file in files),
        "tosa_ops": dict(tosa_ops.most_common()),
        "sqnr_db": _finite(models.sqnr_db(reference, fake)),
        "sqnr_db_one_input": _finite(models.sqnr_db(reference[:1], fake[:1])),
        "sqnr_db_mean_kept": _finite(models.sqnr_db(reference, fake, mean_removed=False)),
        "vela_estimate": {name: vela_totals(files, name) for name in accelerators},
    }


def _finite(decibels: float) -> float | None:
    return round(decibels, 2) if math.isfinite(decibels) else None


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.argument("model_name", metavar="MODEL")
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--seed", default=0, show_default=True, help="Of weights and inputs.")
@click.option("--threads", default=1, show_default=True, help="Threads torch may use.")
@click.option(
    "--keep-tosa",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leave ExecuTorch's TOSA files in this directory (it must hold none yet).",
)
def main(
    *,
    model_name: str,
    target: str,
    seed: int,
    threads: int,
    keep_tosa: Path | None,
) -> None:
    """Run `measure` with standard output kept for its result."""
    # The libraries print to standard output, some from C++; it belongs to the JSON alone.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # A neighbour of this script must not shadow a module that ExecuTorch imports.
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]

    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) if keep_tosa is None else keep_tosa
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.glob("*.tosa")):
            raise click.UsageError(f"{directory} holds TOSA files already")
        result = measure(
            model_name,
            target,
            seed=seed,
            tosa_directory=directory,
        )
    json.dump(result, output, indent=1)
    output.write("\n")
    output.close()


if __name__ == "__main__":
    main()
