"""What evaluating, clustering and tuning promise, on the model set."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import tosaic
from support.models import integer_program
from tosaic.quantizer import Override, QuantRecipe
from tosaic.tools.bench import models as bench

ROOT = Path(__file__).parents[2]
EXECUTORCH_CYCLES = 281_504  # deep autoencoder, U55-128; tools/bench/data/executorch-1.5.1.json
# The two layers that hold most of the weights get fewer values than the others.
CLUSTERED = QuantRecipe(
    clusters=32,
    overrides=(
        Override(module="hidden.0", clusters=16),
        Override(module="output", clusters=16),
    ),
)


@cache
def autoencoder() -> torch.nn.Module:
    model: torch.nn.Module = bench.load_models().build("deep_autoencoder")
    return model


def judged(recipe: QuantRecipe) -> tuple[int, float]:
    """Return cycles on U55-128 and SQNR in dB of the autoencoder."""
    calibration = bench.calibration_inputs("deep_autoencoder")
    held_out = bench.held_out_inputs("deep_autoencoder")
    program = tosaic.compile(
        autoencoder(),
        calibration[:1],
        target="ethos-u55-128",
        quantize=recipe,
        calibration=calibration,
    )
    with torch.no_grad():
        real = torch.stack([autoencoder()(x) for x in held_out])
    integer = torch.stack([torch.from_numpy(program.run(x)[0]) for x in held_out])
    assert program.report.vela is not None
    sqnr: float = bench.load_models().sqnr_db(real, integer)
    return program.report.vela.cycles_total, sqnr


def test_clustered_weights_of_a_model_that_waits_for_flash() -> None:
    cycles, sqnr = judged(CLUSTERED)
    _, plain = judged(QuantRecipe())
    assert cycles <= 0.6 * EXECUTORCH_CYCLES
    assert sqnr > plain - 3


def test_the_jit_evaluates_to_the_bits_of_the_reference_model() -> None:
    outputs: dict[str, np.ndarray] = {}
    samples = [(x, None) for x in bench.held_out_inputs("ds_cnn")]
    for executor in ("jit", "reference"):

        def keep(scores: np.ndarray, labels: object, executor: str = executor) -> float:
            outputs[executor] = scores
            return 0.0

        tosaic.evaluate(
            integer_program("ds_cnn"), samples, executor=executor, metrics={"keep": keep}, jobs=1
        )
    assert len(outputs["jit"]) == len(samples)
    np.testing.assert_array_equal(outputs["jit"], outputs["reference"])


@pytest.mark.slow
def test_keywords(tmp_path: Path) -> None:
    script = ROOT / "examples" / "keywords.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.split()}
    top1, sqnr, cycles = ({n: rows[n][k] for n in ("a8w8", "tuned")} for k in range(3))
    assert float(top1["tuned"].rstrip("%")) >= float(top1["a8w8"].rstrip("%")) - 0.5
    assert float(sqnr["tuned"]) > float(sqnr["a8w8"])
    assert int(cycles["tuned"].replace(",", "")) <= int(cycles["a8w8"].replace(",", ""))
    assert {path.name for path in tmp_path.iterdir()} >= {"recipe.toml", "pareto.svg"}
