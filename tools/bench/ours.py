"""Measure tosaic on one model of the set; JSON on standard output.

The counterpart of peer_executorch.py: the same figures, measured by the same functions, in a
process of its own. `lower_s` runs from the quantised ExportedProgram to the TOSA flatbuffer, and
for an Ethos-U on through Vela; `lower_vela_s` says how much of it is Vela. `sqnr_db` is of the
fake-quantised graph, as the peer's is; `sqnr_db_compiled` of the integer program on the JIT. Memory
is this process's: tosa-opt and Vela run in processes of their own, one at a time.

    python tools/bench/ours.py mobilenet_v2 ethos-u55-128
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from tosaic.tools.bench import models as bench
from tosaic.tools.bench import peer_executorch as peer

_MEASURED_MODULES = ("tosaic.api", "tosaic.executors")


def measure(model_name: str, target_name: str, *, seed: int) -> dict[str, Any]:
    """Quantise, compile and judge one model."""
    watch = peer._Stopwatch()
    import torch

    for name in _MEASURED_MODULES:  # so that no measured step pays for its imports
        importlib.import_module(name)
    from tosaic.api import compile_program
    from tosaic.quantizer import quantize
    from tosaic.stages import Options
    from tosaic.targets import target as find_target

    watch.lap("import_s")
    rss_imports = peer._peak_rss_mib()

    models = bench.load_models()
    model = models.build(model_name, seed=seed)
    weights = bench.weights_crc32(model)
    calibration = bench.calibration_inputs(model_name, seed)
    watch.lap("build_s")
    rss_build = peer._peak_rss_mib()

    plain = target_name == peer.PLAIN_TOSA
    target = find_target("tosa-1.0-int" if plain else target_name)
    program = quantize(model, (calibration[0],), calibration)
    watch.lap("quantize_s")
    compiled = compile_program(program, target, Options())
    watch.lap("lower_s")
    process_seconds = watch.since_start()
    rss_peak = peer._peak_rss_mib()

    held_out = bench.held_out_inputs(model_name, seed)
    fake_quantized = program.module(check_guards=False)
    with torch.no_grad():
        reference = torch.stack([model(sample) for sample in held_out])
        fake = torch.stack([fake_quantized(sample) for sample in held_out])
    integer = torch.stack([torch.from_numpy(compiled.run(sample)[0]) for sample in held_out])

    stages = dict(compiled.report.seconds)
    vela_seconds = stages.pop("vela", 0.0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.tosa")
        file.write_bytes(compiled.flatbuffer)
        accelerators = list(peer.VELA_DEFAULTS) if plain else [target_name]
        vela_estimate = {name: peer.vela_totals([file], name) for name in accelerators}
    return {
        "model": model_name,
        "target": target_name,
        "tosaic": version("tosaic"),
        "vela": version("ethos-u-vela"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "weights_crc32": weights,
        **{name: round(seconds, 3) for name, seconds in watch.seconds.items()},
        "lower_vela_s": round(vela_seconds, 3),
        "stages_s": {name: round(seconds, 4) for name, seconds in stages.items()},
        "process_s": round(process_seconds, 2),
        "rss_imports_MiB": round(rss_imports),
        "rss_build_MiB": round(rss_build),
        "peak_rss_MiB": round(rss_peak),
        "delegates": 1,
        "cpu_ops": {},
        "cpu_quantize_dequantize_ops": 0,
        "tosa_bytes": len(compiled.flatbuffer),
        "tosa_ops": compiled.report.operators,
        "sqnr_db": peer._finite(models.sqnr_db(reference, fake)),
        "sqnr_db_compiled": peer._finite(models.sqnr_db(reference, integer)),
        "vela_estimate": vela_estimate,
    }


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.argument("model_name", metavar="MODEL")
@click.argument("target", type=click.Choice(peer.TARGETS))
@click.option("--seed", default=0, show_default=True, help="Of weights and inputs.")
@click.option("--threads", default=1, show_default=True, help="Threads torch may use.")
def main(*, model_name: str, target: str, seed: int, threads: int) -> None:
    """Run `measure` with standard output kept for its result."""
    # The libraries print to standard output, some from C++; it belongs to the JSON alone.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    import torch

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    json.dump(measure(model_name, target, seed=seed), output, indent=1)
    output.write("\n")
    output.close()


if __name__ == "__main__":
    main()
