"""Measure ExecuTorch's Arm backend on one model of the set; JSON on standard output.

A script for another interpreter: it runs where the ``executorch`` package is installed, in a process of
its own (times from process start and peak memory are among the figures), and imports nothing of tosaic
but the model set. Written against executorch 1.5.1.

    <python with executorch> tools/bench/peer_executorch.py mobilenet_v2 ethos-u55-128

The model is quantised with ExecuTorch's own quantiser for the target (symmetric int8, weights per
channel) on the shared calibration inputs and lowered with ``to_edge_transform_and_lower``. For an
Ethos-U that call runs Vela too; `lower_vela_s` says how much of the time that is. Vela's figures come
from running it again, afterwards, on the TOSA that ExecuTorch dumped, in ExecuTorch's default
configuration.
"""

from __future__ import annotations

import csv
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
from pathlib import Path
from types import ModuleType
from typing import Any

import click

# ExecuTorch's defaults (EthosUCompileSpec): target -> (system configuration, memory mode).
VELA_DEFAULTS = {
    "ethos-u55-128": ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "ethos-u85-256": ("Ethos_U85_SYS_DRAM_Mid", "Sram_Only"),
}
PLAIN_TOSA = "tosa"
TARGETS = (*VELA_DEFAULTS, PLAIN_TOSA)
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
        total = max(values) if key in ("sram_KiB", "dram_KiB") else sum(values)
        totals[key] = int(total) if total.is_integer() else total
    system_config, memory_mode = VELA_DEFAULTS[accelerator]
    return {**totals, "system_config": system_config, "memory_mode": memory_mode}


def measure(
    model_name: str, target: str, *, seed: int, fuse_linear_bn: bool, tosa_directory: Path
) -> dict[str, Any]:
    """Quantise, lower and judge one model; ExecuTorch's TOSA stays in ``tosa_directory``."""
    watch = _Stopwatch()
    import executorch.version
    import torch
    from ethosu.vela import vela
    from executorch.backends.arm.ethosu import (
        EthosUCompileSpec,
        EthosUPartitioner,
    )
    from executorch.backends.arm.quantizer import (
        EthosUQuantizer,
        TOSAQuantizer,
        get_symmetric_quantization_config,
    )
    from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
    from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    watch.lap("import_s")
    rss_imports = _peak_rss_mib()

    bench = _bench_models()
    models = bench.load_models()
    model = models.build(model_name, seed=seed)
    weights = bench.weights_crc32(model)
    fused = bench.fuse_linear_batch_norm(model) if fuse_linear_bn else 0
    calibration = bench.calibration_inputs(model_name, seed)
    example = (calibration[0],)
    watch.lap("build_s")
    rss_build = _peak_rss_mib()

    if target == PLAIN_TOSA:
        compile_spec = TosaCompileSpec("TOSA-1.0+INT")
        quantizer = TOSAQuantizer(compile_spec)
    else:
        compile_spec = EthosUCompileSpec(target)
        quantizer = EthosUQuantizer(compile_spec)
    compile_spec.dump_intermediate_artifacts_to(str(tosa_directory))
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    with torch.no_grad():
        exported = torch.export.export(model, example).module(check_guards=False)
        prepared = prepare_pt2e(exported, quantizer)
        for sample in calibration:
            prepared(sample)
        quantized = convert_pt2e(prepared)
    watch.lap("quantize_s")
    program = torch.export.export(quantized, example)
    watch.lap("export_s")

    vela_seconds: list[float] = []
    vela_main, vela.main = vela.main, _timed(vela.main, vela_seconds)
    partitioner = (
        TOSAPartitioner(compile_spec) if target == PLAIN_TOSA else EthosUPartitioner(compile_spec)
    )
    try:
        edge = to_edge_transform_and_lower(
            program,
            partitioner=[partitioner],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
    finally:
        vela.main = vela_main
    watch.lap("lower_s")
    process_seconds = watch.since_start()
    rss_peak = _peak_rss_mib()

    delegates = 0
    cpu_ops: Counter[str] = Counter()
    boundary_ops = 0
    for node in edge.exported_program().graph.nodes:
        operator = str(node.target)
        if node.op != "call_function" or operator.startswith("<built-in function getitem"):
            continue
        if operator == "executorch_call_delegate":
            delegates += 1
        elif any(name in operator for name in _BOUNDARY_OPS):
            boundary_ops += 1
        else:
            cpu_ops[operator] += 1

    held_out = bench.held_out_inputs(model_name, seed)
    with torch.no_grad():
        reference = torch.cat([model(sample) for sample in held_out])
        fake = torch.cat([quantized(sample) for sample in held_out])

    files = sorted(tosa_directory.glob("*.tosa"))
    tosa_ops: Counter[str] = Counter()
    for file in files:
        tosa_ops += count_tosa_ops(file)
    accelerators = list(VELA_DEFAULTS) if target == PLAIN_TOSA else [target]
    return {
        "model": model_name,
        "target": target,
        "executorch": executorch.version.__version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "weights_crc32": weights,
        "fused_linear_batch_norm": fused,
        **{name: round(seconds, 3) for name, seconds in watch.seconds.items()},
        "lower_vela_s": round(sum(vela_seconds), 3),
        "process_s": round(process_seconds, 2),
        "rss_imports_MiB": round(rss_imports),
        "rss_build_MiB": round(rss_build),
        "peak_rss_MiB": round(rss_peak),
        "delegates": delegates,
        "cpu_ops": dict(cpu_ops),
        "cpu_quantize_dequantize_ops": boundary_ops,
        "tosa_bytes": sum(file.stat().st_size for file in files),
        "tosa_ops": dict(tosa_ops.most_common()),
        "sqnr_db": _finite(models.sqnr_db(reference, fake)),
        "sqnr_db_one_input": _finite(models.sqnr_db(reference[:1], fake[:1])),
        "sqnr_db_mean_kept": _finite(models.sqnr_db(reference, fake, mean_removed=False)),
        "vela": {name: vela_totals(files, name) for name in accelerators},
    }


def _finite(decibels: float) -> float | None:
    return round(decibels, 2) if math.isfinite(decibels) else None


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.argument("model_name", metavar="MODEL")
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--seed", default=0, show_default=True, help="Of weights and inputs.")
@click.option("--threads", default=1, show_default=True, help="Threads torch may use.")
@click.option(
    "--fuse-linear-bn/--keep-linear-bn",
    default=True,
    show_default=True,
    help="Fold BatchNorm1d into Linear before export, which ExecuTorch's quantiser does not do.",
)
@click.option(
    "--keep-tosa",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leave ExecuTorch's TOSA files in this directory (it must hold none yet).",
)
def main(
    model_name: str,
    target: str,
    seed: int,
    threads: int,
    fuse_linear_bn: bool,
    keep_tosa: Path | None,
) -> None:
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
            fuse_linear_bn=fuse_linear_bn,
            tosa_directory=directory,
        )
    json.dump(result, output, indent=1)
    output.write("\n")
    output.close()


if __name__ == "__main__":
    main()
