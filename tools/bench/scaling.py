"""Compile time against program size: a quantised block repeated to 10 … 10 000 ops.

    python tools/bench/scaling.py [--passes] [--sizes 10,100,1000] [--json scaling.json]

torch.export takes minutes for 10 000 ops, so one block is exported and quantised, and its graph is
copied behind itself, weights included. Everything behind the export is the compiler's own work and
is timed: import, pipelines, validation, serialisation. The exponent is that of a power law through
the sizes from 100 ops on: 1 is linear, 2 quadratic.
"""

from __future__ import annotations

import copy
import gc
import json
import math
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind
from torch.fx import Graph, Node

from tosaic.api import compile_program
from tosaic.dialects.bindings import make_context
from tosaic.frontend import import_program
from tosaic.lowering.pipeline import Pipeline
from tosaic.quantizer import quantize
from tosaic.stages import Options, stages
from tosaic.targets import target as find_target

BLOCK_OPS = 10
_SHAPE = (1, 8, 8, 8)
_FIT_FROM = 100  # below, what a stage costs once hides what it costs per op


class _Block(nn.Module):
    """Ten ops of the kinds that CNNs are made of; input and output have one shape."""

    def __init__(self) -> None:
        super().__init__()
        channels = _SHAPE[1]
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)


class ReshapeBlock(_Block):
    """Reshapes fix the dimension order: many small layout problems."""

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions, a residual add, ReLUs in place, and a channel shuffle."""
        y = torch.relu_(self.pointwise(x))
        y = torch.relu_(x + self.depthwise(y))
        pairs = y.reshape(1, 2, 4, 64).reshape(_SHAPE)
        return torch.cat([pairs[:, 4:], pairs[:, :4]], 1)


class PermuteBlock(_Block):
    """Everything can compute in any order, linked by residual adds: one large layout problem."""

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions, a residual add, a ReLU in another order, a swap of channels."""
        y = x + self.depthwise(torch.relu_(self.pointwise(x)))
        y = torch.relu(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return torch.cat([y[:, 4:], y[:, :4]], 1)


BLOCKS = {"reshape": ReshapeBlock, "permute": PermuteBlock}


def quantized_block(kind: str) -> ExportedProgram:
    """Return a block of `BLOCKS` quantised and exported."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(_SHAPE, generator=generator) for _ in range(4)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return quantize(BLOCKS[kind]().eval(), inputs[:1], inputs)


def repeated(program: ExportedProgram, count: int) -> ExportedProgram:
    """Return `program` (one input, one output, of one shape) applied `count` times.

    Each copy has its own weights, so that no two ops are equal and nothing is folded together.
    """
    nodes = list(program.graph.nodes)
    placeholders = [n for n in nodes if n.op == "placeholder"]
    (output,) = nodes[-1].args[0]
    graph, specs, state = Graph(), [], {}
    copies: list[dict[Node, Node]] = [{} for _ in range(count)]
    for index, copied in enumerate(copies):
        for node, original in zip(placeholders, program.graph_signature.input_specs, strict=True):
            if original.kind == InputKind.USER_INPUT:
                continue
            spec = copy.deepcopy(original)
            copied[node] = graph.node_copy(node)
            spec.arg.name = copied[node].target = copied[node].name
            weight = program.state_dict[spec.target].roll(index)
            spec.target = f"block{index}.{spec.target}"
            is_parameter = spec.kind == InputKind.PARAMETER
            state[spec.target] = nn.Parameter(weight) if is_parameter else weight
            specs.append(spec)
    x_spec = next(s for s in program.graph_signature.input_specs if s.kind == InputKind.USER_INPUT)
    x = next(n for n in placeholders if n.name == x_spec.arg.name)
    value = graph.node_copy(x)
    specs.append(copy.deepcopy(x_spec))
    specs[-1].arg.name = value.name
    for copied in copies:
        copied[x] = value
        for node in nodes:
            if node.op == "call_function":
                copied[node] = graph.node_copy(node, copied.__getitem__)
        value = copied[output]
    graph.output((value,))
    (output_spec,) = copy.deepcopy(program.graph_signature.output_specs)
    output_spec.arg.name = value.name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in-place ops cannot be run as Python source; no matter
        return ExportedProgram(
            root=nn.Module(),
            graph=graph,
            graph_signature=ExportGraphSignature(specs, [output_spec]),
            state_dict=state,
            range_constraints={},
            module_call_graph=program.module_call_graph,
            constants=program.constants,
            verifiers=program.verifiers,
        )


def stage_seconds(program: ExportedProgram) -> dict[str, float]:
    """Return the seconds of each stage of a compile of `program`, in order."""
    gc.collect()
    return compile_program(program, find_target("tosa-1.0-int"), Options()).report.seconds


def pass_costs(
    program: ExportedProgram, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Return what each pass of a compile of `program` costs, in order, repeats added up.

    `clock` is read before and behind each pass; by default it gives CPU seconds.
    """
    module = import_program(program, make_context())
    costs: dict[str, float] = {}
    for _, text in stages(find_target("tosa-1.0-int"), Options(), quantized=True):
        for element in Pipeline.parse(text).elements:
            start = clock()
            Pipeline((element,)).run(module)
            name = str(element)
            costs[name] = costs.get(name, 0.0) + clock() - start
    return costs


def fit_exponent(seconds: Mapping[int, float]) -> float:
    """Return k of the power law ``seconds ~ size**k``, least squares on logarithms.

    Not a number where fewer than two sizes are large enough.
    """
    points = [(math.log(n), math.log(s)) for n, s in seconds.items() if n >= _FIT_FROM and s > 0]
    if len(points) < 2:
        return math.nan
    xs, ys = zip(*points, strict=True)
    return statistics.linear_regression(xs, ys).slope


def measure(
    kind: str, sizes: Sequence[int], *, passes: bool = False, repeats: int = 1
) -> dict[str, dict[int, float]]:
    """Return stage (or pass) → number of ops → seconds, the least of `repeats`."""
    block = quantized_block(kind)
    measured = pass_costs if passes else stage_seconds
    measured(repeated(block, 1))  # what only the first compile pays: imports, tables
    table: dict[str, dict[int, float]] = {}
    for size in sizes:
        program = repeated(block, max(1, size // BLOCK_OPS))
        runs = [measured(program) for _ in range(repeats)]
        for stage in runs[0]:
            table.setdefault(stage, {})[size] = min(run[stage] for run in runs)
        table.setdefault("total", {})[size] = min(sum(run.values()) for run in runs)
    table["total"] = table.pop("total")  # last
    return table


def _numbers(_context: object, _parameter: object, text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise click.BadParameter("give numbers of ops, such as 10,100,1000") from None


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.option("--sizes", default="10,100,1000,10000", show_default=True, callback=_numbers)
@click.option("--block", default="reshape", show_default=True, type=click.Choice(list(BLOCKS)))
@click.option("--passes", is_flag=True, help="CPU time of each pass, not time of each stage.")
@click.option("--repeats", default=1, show_default=True, help="Runs per size; the fastest counts.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(
    *, sizes: list[int], block: str, passes: bool, repeats: int, json_file: Path | None
) -> None:
    """Measure and print."""
    rows = measure(block, sizes, passes=passes, repeats=repeats)
    what = "pass" if passes else "stage"
    table = Table(title=f"{block} blocks: compile time in µs per op, exponent of seconds ~ ops^k")
    table.add_column(what, no_wrap=True)
    for size in sizes:
        table.add_column(f"{size:,} ops", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("k", justify="right")
    for name, seconds in rows.items():
        per_op = [f"{1e6 * seconds[n] / n:,.1f}" for n in sizes]
        total, exponent = f"{seconds[sizes[-1]]:.2f}", f"{fit_exponent(seconds):.2f}"
        table.add_row(name, *per_op, total, exponent)
    console = Console()
    console.width = max(110, console.width)
    console.print(table)
    if json_file is not None:
        result = {
            name: {"seconds": seconds, "exponent": fit_exponent(seconds)}
            for name, seconds in rows.items()
        }
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
