"""Measure every spelling of test/spellings against its family's module form; a table in docs.

Each spelling is compiled in int8 for two NPUs, as it is exported and in core ATen. It is recognised
where its cycles are within 2 % of the module form's and its SQNR no more than 0.5 dB below. SQNR is
that of the integer program on held-out inputs, mean removed.

    python -m tosaic.tools.bench.spellings --write docs/spellings.md
    python -m tosaic.tools.bench.spellings --family rms_norm --form exported
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch

from tosaic.tools.bench.models import load_models

TARGETS = ("ethos-u55-128", "ethos-u85-256")
CYCLES, DECIBELS = 0.02, 0.5
_PLAIN = "tosa-1.0-int"
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Figures:
    """What one spelling costs: `cycles` by target, or why it is `refused` there."""

    sqnr_db: float = float("nan")
    operators: Counter[str] = field(default_factory=Counter)
    cycles: dict[str, int] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True)
class Row:
    """One spelling in one form beside its module form."""

    spelling: Any
    form: str
    figures: Figures
    base: Figures

    @property
    def ratios(self) -> dict[str, float]:
        """Cycles as shares of the module form's, by target."""
        cycles = self.figures.cycles
        return {t: c / self.base.cycles[t] for t, c in cycles.items() if t in self.base.cycles}

    @property
    def decibels(self) -> float:
        """How much better than the module form it is."""
        return self.figures.sqnr_db - self.base.sqnr_db

    @property
    def recognised(self) -> bool:
        """Whether it costs what the module form costs, and is as good."""
        return not self.figures.refused and (
            self.decibels >= -DECIBELS
            and self.ratios.keys() == self.base.cycles.keys()
            and all(abs(ratio - 1) <= CYCLES for ratio in self.ratios.values())
        )

    @property
    def difference(self) -> str:
        """What is different: the refusal, or the operators more (+) and fewer (-)."""
        if self.figures.refused:
            return self.figures.refused.replace(f"{_ROOT}/", "")
        more = self.figures.operators - self.base.operators
        fewer = self.base.operators - self.figures.operators
        signs = [("+", more), ("-", fewer)]
        return " ".join(f"{s}{n} {op}" for s, ops in signs for op, n in sorted(ops.items()))


def load_spellings() -> Any:
    """Import the package test/spellings of this source tree."""
    tests = str(_ROOT / "test")
    if tests not in sys.path:
        sys.path.insert(0, tests)
    return importlib.import_module("spellings")


def measure(family: Any, spelling: Any, form: str, targets: Iterable[str] = TARGETS) -> Figures:
    """Compile one spelling in int8 and judge it."""
    from tosaic.api import compile_program, quantize_program
    from tosaic.errors import TosaicError
    from tosaic.stages import Options
    from tosaic.targets import target

    module = load_spellings().spelling
    net = family.net(spelling)
    samples = family.samples(spelling, module.CALIBRATION)
    held_out = family.samples(spelling, module.HELD_OUT)
    stage = "int8"
    try:
        program = module.exported(net, samples[0], form)
        program = quantize_program(program, samples[0], "int8", samples)
        stage = _PLAIN
        plain = compile_program(program, target(_PLAIN), Options())
        integer = torch.stack([torch.from_numpy(plain.run(*x)[0]) for x in held_out])
    except TosaicError as error:
        return Figures(refused=f"{stage}: {error}")
    except Exception as error:  # a raw exception is a finding, not the end of the run
        return Figures(refused=f"{stage}: raw {type(error).__name__}: {error}")
    with torch.no_grad():
        real = torch.stack([net(*x) for x in held_out])
    sqnr = float(load_models().sqnr_db(real, integer))
    cycles, refused = {}, []
    for name in targets:
        try:
            built = compile_program(program, target(name), Options(in_process=True))
        except TosaicError as error:
            refused.append(f"{name}: {error}")
        else:
            assert built.report.vela is not None
            cycles[name] = built.report.vela.cycles_total
    return Figures(sqnr, Counter(plain.report.operators), cycles, "; ".join(refused))


def rows(families: Iterable[str], forms: Iterable[str]) -> Iterator[Row]:
    """Yield a row for every spelling of `families` in every one of `forms`."""
    known = load_spellings().FAMILIES
    for name in families:
        family = known[name]
        base = measure(family, family.module_form, "exported")
        for spelling in family.spellings.values():
            for form in forms:
                is_base = spelling is family.module_form and form == "exported"
                figures = base if is_base else measure(family, spelling, form)
                yield Row(spelling, form, figures, base)


def line(row: Row) -> str:
    """Return `row` as one of a Markdown table."""
    ratios = [f"{row.ratios[t]:.3f}" if t in row.ratios else "-" for t in TARGETS]
    decibels = "-" if row.figures.operators == Counter() else f"{row.decibels:+.1f}"
    verdict = "yes" if row.recognised else "no"
    difference = "" if row.recognised else " ".join(row.difference.split()).replace("|", "\\|")
    s = row.spelling
    cells = [s.family, s.name, s.source, row.form, *ratios, decibels, verdict, difference]
    cells.append(s.reason(row.form))
    return f"| {' | '.join(cells)} |"


HEADER = """# Spellings

How models write the composites of this compiler, and whether each is recognised: compiled in int8,
its cycles within 2 % of the module form's (the first of its family) and its SQNR at most 0.5 dB
below. "core" is the program after `run_decompositions()`. "why" says of those that cannot have the
module form's ops what keeps them from it; a test holds that it is so. Measured by
`python -m tosaic.tools.bench.spellings --write docs/spellings.md`; the spellings are in
[test/spellings](../test/spellings).

| family | spelling | manner of | form | U55-128 | U85-256 | dB | recognised | difference | why |
|---|---|---|---|---|---|---|---|---|---|
"""


@click.command()
@click.option("--family", "families", multiple=True, help="Only these families.")
@click.option("--form", "forms", multiple=True, help="Only these forms; exported and core if none.")
@click.option("--write", type=click.Path(path_type=Path), help="The file to write the table to.")
def main(families: tuple[str, ...], forms: tuple[str, ...], write: Path | None) -> None:
    """Measure the spellings and print a line for each."""
    lines, recognised = [], 0
    for row in rows(families or load_spellings().FAMILIES, forms or ("exported", "core")):
        recognised += row.recognised
        lines.append(line(row))
        click.echo(lines[-1])
    total = f"{recognised} of {len(lines)} are recognised."
    click.echo(total)
    if write:
        write.write_text(HEADER + "\n".join(lines) + f"\n\n{total}\n")


if __name__ == "__main__":
    main()
