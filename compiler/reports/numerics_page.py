"""The numerics of a model as one HTML page: verdict, plots and table, with nothing to fetch."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tosaic.errors import InputError
from tosaic.reports.numerics import Numerics, format_numerics
from tosaic.reports.numerics_layers import LayerNumerics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMES = 40  # of layers along an axis
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px }
th, td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
th { position: sticky; top: 0; background: #fff }
.text { text-align: left }
.broken td { background: #fde0dd }
.first td { background: #fbb4ae; font-weight: 600 }
svg { max-width: 100%; height: auto }
.verdict { font-size: 17px; border-left: 4px solid #c33; padding-left: 1rem }
.sound { border-color: #393 }
"""
_COLUMNS = (
    *("layer", "ops", "module", "from", "dtype", "fake, dB", "integers, dB", "plain, dB"),
    *(
        "alone, dB",
        "weights, dB",
        "error, LSB",
        "off by, steps",
        "saturated",
        "range used",
        "cause",
    ),
)
_TEXT_COLUMNS = 5


def html_page(report: Numerics, title: str) -> str:
    """Return `report` as an HTML document named `title`.

    Raises:
        InputError: matplotlib, which draws, is not installed.
    """
    parts = [
        _verdict(report),
        _section("Signal to noise by layer", _ratios(report)),
        _section("Use of the range", _ranges(report)),
    ]
    shown = report.first or min(report.layers, key=lambda layer: layer.local_db)
    parts.append(_section(f"Float and integers in '{shown.name}'", _values(shown)))
    parts += ["<h2>Layers</h2>", _table(report)]
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{name}</h1>\n"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _verdict(report: Numerics) -> str:
    kind = "verdict" if report.first is not None else "verdict sound"
    first, *caveats = format_numerics(report).splitlines()
    lines = [f'<p class="{kind}">{html.escape(first)}</p>']
    lines += [f"<p>{html.escape(text)}</p>" for text in caveats]
    lines.append(
        f"<p>{report.samples} input(s); target {html.escape(report.target)}, run by "
        f"{html.escape(report.executor)}. Ratios are of signal to noise against float, with the "
        "mean over the inputs taken off. 'alone' is a layer whose inputs are right: a fall there "
        "is its own fault; a fall only of the others comes from the layers before.</p>"
    )
    return "\n".join(lines)


def _section(title: str, figure: Figure) -> str:
    return f"<h2>{html.escape(title)}</h2>\n{_svg(figure)}"


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "The HTML report is drawn by matplotlib, which is not installed. Install it: "
            "pip install 'tosaic[report]'; or use --json."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure) -> str:
    from matplotlib import rc_context  # noqa: PLC0415

    buffer = io.StringIO()
    # Text as text, and the same file for the same report.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tosaic"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _ratios(report: Numerics) -> Figure:
    figure = _figure(12, 4.5)
    axes = figure.subplots()
    layers = report.layers
    places = range(len(layers))
    for label, style, values in (
        ("alone", "k:", [layer.local_db for layer in layers]),
        ("fake quantisation", "C0o-", [layer.fake_db for layer in layers]),
        ("integers", "C1x--", [layer.integer_db for layer in layers]),
    ):
        axes.plot(places, [_drawn(v) for v in values], style, label=label, markersize=4)
    for place, layer in enumerate(layers):
        if layer.cause or layer is report.first:
            axes.axvspan(place - 0.5, place + 0.5, color="C3", alpha=0.2)
    axes.set_ylabel("dB")
    axes.grid(alpha=0.3)
    axes.legend()
    _name_layers(axes, layers)
    return figure


def _ranges(report: Numerics) -> Figure:
    figure = _figure(12, 4)
    axes = figure.subplots()
    places = range(len(report.layers))
    used = [100 * layer.range_used for layer in report.layers]
    beyond = [100 * layer.saturated for layer in report.layers]
    axes.bar(places, used, color="C0", alpha=0.6, label="of the range used")
    axes.bar(places, beyond, color="C3", label="of the values beyond it")
    axes.set_ylabel("%")
    axes.set_ylim(0, 100)
    axes.legend()
    _name_layers(axes, report.layers)
    return figure


def _values(layer: LayerNumerics) -> Figure:
    figure = _figure(12, 4.5)
    left, right = figure.subplots(1, 2)
    reference, integer = zip(*layer.points, strict=True)
    left.plot(reference, integer, ".", markersize=3, alpha=0.6)
    ends = [min(reference), max(reference)]
    left.plot(ends, ends, "k-", linewidth=0.5)
    left.set_xlabel("float")
    left.set_ylabel("integers")
    right.hist([reference, integer], bins=60, label=["float", "integers"], histtype="step")
    for limit in layer.limits:
        right.axvline(limit, color="C3", linestyle="--")
    right.plot([], [], "C3--", label=f"what {layer.dtype} holds")
    right.set_yscale("log")
    right.set_xlabel("value")
    right.set_ylabel("how often")
    right.legend()
    return figure


def _name_layers(axes, layers: Sequence[LayerNumerics]) -> None:  # type: ignore[no-untyped-def]
    step = math.ceil(len(layers) / _MOST_NAMES)
    places = range(0, len(layers), step)
    names = [layers[place].name for place in places]
    axes.set_xticks(list(places), names, rotation=60, ha="right", fontsize=8)
    axes.set_xlim(-0.5, len(layers) - 0.5)


def _table(report: Numerics) -> str:
    head = "".join(
        f"<th{_text(place)}>{html.escape(name)}</th>" for place, name in enumerate(_COLUMNS)
    )
    rows = []
    for layer in report.layers:
        kind = "first" if layer is report.first else "broken" if layer.cause else ""
        cells = "".join(
            f"<td{_text(place)}>{html.escape(cell)}</td>"
            for place, cell in enumerate(_cells(layer))
        )
        rows.append(f'<tr class="{kind}">{cells}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "</tbody></table>"


def _cells(layer: LayerNumerics) -> list[str]:
    ratios = (
        *(layer.fake_db, layer.integer_db, layer.integer_plain_db, layer.local_db),
        layer.weights_db,
    )
    return [
        *(layer.name, " + ".join(layer.ops), layer.module, layer.where, layer.dtype),
        *(f"{ratio:.1f}" for ratio in ratios),
        f"{layer.error_lsb:.1f}",
        str(layer.integer_lsb),
        f"{100 * layer.saturated:.2f} %",
        f"{100 * layer.range_used:.0f} %",
        layer.cause,
    ]


def _text(place: int) -> str:
    return ' class="text"' if place < _TEXT_COLUMNS or place == len(_COLUMNS) - 1 else ""


def _drawn(ratio: float) -> float:
    """Return what to plot: a gap where there is no noise, or no signal."""
    return ratio if math.isfinite(ratio) else math.nan
