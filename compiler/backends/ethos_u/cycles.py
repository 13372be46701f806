"""Cycles of a Vela compile by layer, by kind of op and by line of the user's source."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from tosaic.backends.ethos_u.vela import VelaLayer, VelaResult
from tosaic.dialects.locations import SourceSite

K = TypeVar("K", bound=Hashable)


def cycles_by_operator(result: VelaResult) -> dict[str, tuple[int, int]]:
    """Return (cycles, number of layers) per Vela operator, most cycles first."""
    return _grouped(result.layers, lambda layer: layer.operator)


def cycles_by_site(result: VelaResult) -> dict[SourceSite, tuple[int, int]]:
    """Return (cycles, number of layers) per place in the user's source, most cycles first."""
    return _grouped(result.layers, lambda layer: layer.site)


def format_cycles(result: VelaResult, *, top: int = 20) -> str:
    """Return the report as text: totals, then kinds of op, then the `top` slowest layers."""
    target = result.target
    total = sum(layer.cycles for layer in result.layers) or 1
    lines = [
        f"{target.name} ({target.device}): {result.cycles_total:,} cycles, {result.macs:,} MACs",
        f"SRAM {result.sram_kib:.1f} KiB, DRAM {result.dram_kib:.1f} KiB, "
        f"flash {result.flash_kib:.1f} KiB",
        "",
    ]
    kinds = [
        [kind, f"{count}", f"{cycles:,}", f"{100 * cycles / total:.1f} %"]
        for kind, (cycles, count) in cycles_by_operator(result).items()
    ]
    lines += _table(["operator", "layers", "cycles", "share"], kinds, left=1)
    slowest = sorted(result.layers, key=lambda layer: -layer.cycles)[:top]
    rows = [
        [
            layer.operator,
            str(layer.site),
            f"{layer.cycles:,}",
            f"{100 * layer.cycles / total:.1f} %",
            f"{layer.macs:,}",
            f"{layer.mac_utilisation:.1f} %",
        ]
        for layer in slowest
        if layer.cycles
    ]
    lines += ["", *_table(["operator", "from", "cycles", "share", "MACs", "MAC use"], rows, left=2)]
    return "\n".join(lines) + "\n"


def _grouped(
    layers: Sequence[VelaLayer], key: Callable[[VelaLayer], K]
) -> dict[K, tuple[int, int]]:
    sums: dict[K, tuple[int, int]] = {}
    for layer in layers:
        cycles, count = sums.get(key(layer), (0, 0))
        sums[key(layer)] = cycles + layer.cycles, count + 1
    return dict(sorted(sums.items(), key=lambda item: -item[1][0]))


def _table(header: list[str], rows: Sequence[list[str]], *, left: int) -> list[str]:
    """Return aligned lines; the first `left` columns are text, the rest numbers."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]

    def line(row: list[str]) -> str:
        cells = [
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return [line(header), "  ".join("-" * width for width in widths), *map(line, rows)]
