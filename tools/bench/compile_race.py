"""Race tosaic against ExecuTorch on the model set: time, memory, operators, cycles, accuracy.

    python tools/bench/compile_race.py [--peer-python PYTHON] [--models ds_cnn,resnet8]

Each run is a process of its own (ours.py, peer_executorch.py), the two sides in turn, so that both
meet the same load of the machine; the median of `--repeats` counts. ExecuTorch is measured by
`--peer-python`, an interpreter that has it, or by this one where the `bench` extra is installed;
otherwise its stored figures are shown (data/executorch-1.5.1.json): their counts, cycles and
accuracy hold anywhere, their times only on the machine they come from.
"""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from tosaic.tools.bench.models import load_models
from tosaic.tools.bench.peer_executorch import VELA_DEFAULTS

HERE = Path(__file__).resolve().parent
STORED = HERE / "data" / "executorch-1.5.1.json"
_CONSTANTS = ("CONST", "CONST_SHAPE")

Run = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A column: how to read it from a run, how to print it, how the two sides compare."""

    title: str
    read: Callable[[Run], float | None]
    format: str
    compare: Callable[[float, float], str]


def _faster(ours: float, theirs: float) -> str:
    return f"{theirs / ours:.1f}x" if ours else ""


def _share(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.3f}" if theirs else ""


def _gain(ours: float, theirs: float) -> str:
    return f"{ours - theirs:+.2f}"


def _vela(key: str) -> Callable[[Run], float | None]:
    def read(run: Run) -> float | None:
        value: float | None = run["vela_estimate"].get(run["target"], {}).get(key)
        return value

    return read


def lower_seconds(run: Run) -> float:
    """Quantised ExportedProgram to TOSA, Vela not counted."""
    return float(run["lower_s"] - run["lower_vela_s"])


def process_seconds(run: Run) -> float:
    """Process start to TOSA, Vela not counted."""
    return float(run["process_s"] - run["lower_vela_s"])


def operator_count(run: Run) -> int:
    """TOSA operators that compute something."""
    return sum(count for name, count in run["tosa_ops"].items() if name not in _CONSTANTS)


FIGURES = (
    Figure("lower s", lower_seconds, "{:.2f}", _faster),
    Figure("process s", process_seconds, "{:.2f}", _faster),
    Figure("peak MiB", lambda run: run["peak_rss_MiB"], "{:.0f}", _share),
    Figure("ops", operator_count, "{:.0f}", _share),
    Figure("cycles", _vela("cycles_total"), "{:,.0f}", _share),
    Figure("SRAM KiB", _vela("sram_KiB"), "{:.1f}", _share),
    Figure("SQNR dB", lambda run: run["sqnr_db"], "{:.2f}", _gain),
    Figure("compiled", lambda run: run.get("sqnr_db_compiled"), "{:.2f}", _gain),
)


def run_side(python: str, script: str, model: str, target: str, log: Path) -> Run:
    """Run one side in a process of its own; what it says beside its result goes to `log`.

    Raises:
        RuntimeError: The process failed.
    """
    with log.open("w", encoding="utf-8") as errors:
        done = subprocess.run(
            [python, str(HERE / script), model, target],
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{script} {model} {target} failed, see {log}")
    result: Run = json.loads(done.stdout)
    return result


def median(runs: Sequence[Any]) -> Any:
    """Return the median of each number in runs of one shape; what is no number must agree."""
    first = runs[0]
    if isinstance(first, dict):
        return {key: median([run[key] for run in runs]) for key in first}
    if isinstance(first, int | float):
        return statistics.median(runs)
    return first


def stored_peer() -> dict[str, dict[str, Run]]:
    """Return ExecuTorch's stored figures: model → target → run."""
    models = json.loads(STORED.read_text(encoding="utf-8"))["models"]
    return {
        model: {target: {**run, "target": target} for target, run in targets.items()}
        for model, targets in models.items()
    }


def table_of(rows: Sequence[tuple[str, str, Run, Run]], peer_name: str) -> Table:
    """Return the table: for each model and target ours, theirs, and how they compare."""
    table = Table(
        title=f"tosaic against ExecuTorch 1.5.1 ({peer_name})",
        caption="lower: quantised ExportedProgram to TOSA; process: from its start; both without "
        "Vela. x: times as fast; cycles, ops and memory: our share of theirs; SQNR: fake quant, "
        "then the compiled integers against their fake quant.",
        box=box.SIMPLE,
    )
    table.add_column("model, target", no_wrap=True)
    table.add_column("", no_wrap=True)
    for figure in FIGURES:
        table.add_column(figure.title, justify="right", no_wrap=True)
    for model, target, ours, theirs in rows:
        cells = [_cells(figure, *_pair(figure, ours, theirs)) for figure in FIGURES]
        table.add_row(model, "tosaic", *(cell[0] for cell in cells))
        table.add_row(target, "ExecuTorch", *(cell[1] for cell in cells))
        ratios = (cell[2] for cell in cells)
        table.add_row("", "ratio", *ratios, style="bold", end_section=True)
    means = [_mean(f, [_pair(f, ours, theirs) for *_, ours, theirs in rows]) for f in FIGURES]
    table.add_row("all", "mean", *means, style="bold")
    return table


def _pair(figure: Figure, ours: Run, theirs: Run) -> tuple[float | None, float | None]:
    mine, other = figure.read(ours), figure.read(theirs)
    if figure.title == "compiled":  # the peer has nothing to run its program on
        other = theirs["sqnr_db"]
    return mine, other


def _cells(figure: Figure, ours: float | None, theirs: float | None) -> tuple[str, str, str]:
    mine = "" if ours is None else figure.format.format(ours)
    other = "" if theirs is None else figure.format.format(theirs)
    return mine, other, figure.compare(ours, theirs) if ours and theirs else ""


def _mean(figure: Figure, pairs: Sequence[tuple[float | None, float | None]]) -> str:
    """Geometric over ratios, arithmetic over differences (SQNR)."""
    both = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    if not both:
        return ""
    if figure.compare is _gain:
        return _gain(*(statistics.fmean(side) for side in zip(*both, strict=True)))
    logs = [math.log(ours / theirs) for ours, theirs in both if ours > 0 and theirs > 0]
    return figure.compare(math.exp(statistics.fmean(logs)), 1.0) if logs else ""


def _names(known: Sequence[str]) -> Callable[[Any, Any, str], list[str]]:
    def parse(_context: Any, _parameter: Any, text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise click.BadParameter(f"'{name}' is none of {', '.join(known)}")
        return names

    return parse


def _peer_python(given: str | None) -> str | None:
    if given is not None:
        return given
    return sys.executable if importlib.util.find_spec("executorch") else None


_MODELS = tuple(load_models().MODELS)


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.option(
    "--models",
    default=",".join(_MODELS),
    callback=_names(_MODELS),
    help="Comma-separated; by default all of test/models.",
)
@click.option(
    "--targets",
    default=",".join(VELA_DEFAULTS),
    show_default=True,
    callback=_names(tuple(VELA_DEFAULTS)),
    help="Comma-separated.",
)
@click.option("--peer-python", help="A Python that has executorch 1.5.1 and ethos-u-vela.")
@click.option("--repeats", default=1, show_default=True, help="Runs of each side; medians count.")
@click.option(
    "-o",
    "--output-dir",
    default="bench-out",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="For logs and results.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="For all results; by default compile_race.json in the output directory.",
)
def main(
    *,
    models: list[str],
    targets: list[str],
    peer_python: str | None,
    repeats: int,
    output_dir: Path,
    json_file: Path | None,
) -> None:
    """Run the race, print the table, write the JSON."""
    output_dir.mkdir(parents=True, exist_ok=True)
    progress, stored = Console(stderr=True), stored_peer()
    peer = _peer_python(peer_python)
    sides = [("tosaic", sys.executable, "ours.py")]
    if peer is not None:
        sides.append(("executorch", peer, "peer_executorch.py"))
    runs: dict[tuple[str, str, str], list[Run]] = {}
    for repeat in range(repeats):
        for model in models:
            for target in targets:
                for side, python, script in sides if repeat % 2 == 0 else sides[::-1]:
                    progress.print(f"{repeat + 1}/{repeats} {model} {target} {side}")
                    log = output_dir / f"{model}-{target}-{side}.log"
                    try:
                        run = run_side(python, script, model, target, log)
                    except RuntimeError as error:
                        raise click.ClickException(str(error)) from error
                    runs.setdefault((model, target, side), []).append(run)
    rows = []
    for model in models:
        for target in targets:
            ours = median(runs[model, target, "tosaic"])
            measured = runs.get((model, target, "executorch"))
            theirs = median(measured) if measured else stored[model][target]
            if ours["weights_crc32"] != theirs["weights_crc32"]:
                progress.print(f"{model} {target}: the two sides did not have the same weights")
            rows.append((model, target, ours, theirs))
    peer_name = "same run" if peer else "stored figures"
    Console(width=max(124, progress.width)).print(table_of(rows, peer_name))
    result = {
        "peer": peer_name,
        "repeats": repeats,
        "results": [
            {"model": model, "target": target, "tosaic": ours, "executorch": theirs}
            for model, target, ours, theirs in rows
        ],
    }
    json_file = json_file or output_dir / "compile_race.json"
    json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
