"""What is measured of each quantised layer, and which one breaks first, and why.

A layer is judged by itself first: from inputs that are right, how much of what it should give is
lost to its weights, to values beyond its range, to rounding, and to integer arithmetic. What it
loses because its inputs are wrong already is the fault of those before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from tosaic.reports.numerics_graph import QuantizedTensor

# A layer breaks where, by itself, it is this noisy and one cause makes it this much noisier than
# its number of bits would. Healthy layers of int8 lose 3 to 9 dB (ranges cover more than the data
# at hand; values near 0 are rarer than a scale allows for), a scale that is wrong by 8 loses 18.
_POOR_DB = 30.0
_AVOIDABLE_DB = 13.0
# A layer with weights of b bits has about 6 b - 6 dB (b = 8: 42, Gaussian weights, a scale for each
# channel) if nothing is wrong.
_WEIGHT_MARGIN_DB = 20.0
# What has less signal than this is of no use whatever the cause.
_USELESS_DB = 10.0
# A channel that reaches less than this far into the weights' range has lost three bits of them.
_SHORT_REACH = 1 / 8
_NOTHING = 1e-12  # of a power: what float64 makes of a difference of equal ones
_ON_GRID = 1e-3  # of a step: what float32 makes of a value that is stored
_POINTS_PER_RUN = 256
_MOST_POINTS = 2048


@dataclass(frozen=True)
class LayerNumerics:
    """One quantised activation in float, fake-quantised and as the integer program has it.

    Ratios of signal to noise are in dB, against float: `plain` ones take the whole as signal, the
    others only what differs from sample to sample (where nothing does, from element to element).
    The noise is always counted whole. They are infinite where there is none.

    Attributes:
        name: The op that computes it, as in the exported program.
        ops: The ops since other quantised values, by PyTorch's names.
        module, file, line: Where the user's source has the layer.
        dtype: ``int8``, ``int16`` or ``uint8``.
        scale, zero_point: ``real = scale * (stored - zero_point)``.
        fake_db, fake_plain_db: Of the PT2E graph.
        integer_db, integer_plain_db: Of the compiled program.
        local_db: Of the layer by itself: its inputs in float, its weights and output quantised,
            and what the program's integers lose beyond that.
        weights_db: Of the layer by itself with only its weights (and bias) quantised.
        error_lsb: The largest error of the program against float, in units of `scale`.
        integer_lsb: The largest difference, in steps, of the program from what fake quantisation
            makes of the program's own inputs to this layer.
        saturated: Share of the layer's values, from inputs in float, beyond the range, in 0..1.
        range_used: Share of the stored range between the least and the largest integer seen.
        cause: Why the layer breaks: "saturation", "dead range", "outlier channels", "weights",
            "mismatched scales" or "integer arithmetic"; empty where it does not.
        points: Some (float, integer program's) values.
    """

    name: str
    ops: tuple[str, ...]
    module: str
    file: str
    line: int
    dtype: str
    scale: float
    zero_point: int
    limits: tuple[float, float]
    fake_db: float
    fake_plain_db: float
    integer_db: float
    integer_plain_db: float
    local_db: float
    weights_db: float
    error_lsb: float
    integer_lsb: int
    saturated: float
    range_used: float
    cause: str = ""
    reason: str = ""
    points: tuple[tuple[float, float], ...] = field(default=(), repr=False)

    @property
    def where(self) -> str:
        """The place in the user's source, as ``file:line``."""
        return f"{self.file}:{self.line}" if self.file else ""


@dataclass(frozen=True)
class Values:
    """One sample's values of a quantised activation; tensors of one shape.

    `reference` is float; `given` what the layer makes of float inputs before it is quantised to
    `local`; `fake_given` and `fake` are the same in the PT2E graph. `integer` is the program's and
    `expected` what fake quantisation makes of the program's inputs to this layer.
    """

    reference: Tensor
    given: Tensor
    local: Tensor
    fake_given: Tensor
    fake: Tensor
    integer: Tensor
    expected: Tensor


class Statistics:
    """Sums over samples of one activation's values and errors."""

    def __init__(self, tensor: QuantizedTensor) -> None:
        """Start with no samples."""
        self._tensor = tensor
        self._samples = 0
        self._total: Tensor | None = None
        self._power = dict.fromkeys(
            ("signal", "fake", "integer", "weights", "saturation", "rounding", "arithmetic"), 0.0
        )
        self._given_by_reference = 0.0
        self._elements = self._nonzero = self._saturated = 0
        self._rounds = False
        self._low, self._high = math.inf, -math.inf
        self._least, self._largest = math.inf, -math.inf
        self._error_lsb, self._integer_lsb = 0.0, 0
        self._points: list[tuple[float, float]] = []

    def add(self, values: Values) -> None:
        """Count one sample in."""
        written, read = self._tensor.written, self._tensor.read
        reference, given = values.reference.double(), values.given.double()
        local, integer = read.dequantize(values.local), read.dequantize(values.integer)
        self._samples += 1
        self._total = reference if self._total is None else self._total + reference
        low, high = written.limits
        beyond = (given < low) | (given > high)
        lost = (local - given).square()
        steps = values.integer.double() - values.expected.double()
        self._count("signal", reference.square())
        self._count("fake", (read.dequantize(values.fake) - reference).square())
        self._count("integer", (integer - reference).square())
        self._count("weights", (given - reference).square())
        self._count("saturation", lost[beyond])
        self._count("rounding", lost[~beyond])
        self._count("arithmetic", (steps * read.scale).square())
        self._given_by_reference += float((given * reference).sum())
        # What only moves stored values, with their parameters, has nothing to round.
        kept = written.dequantize(values.fake)
        self._rounds |= bool(((kept - values.fake_given).abs() > _ON_GRID * written.scale).any())
        self._elements += reference.numel()
        self._nonzero += int(reference.count_nonzero())
        self._saturated += int(beyond.sum())
        self._low = min(self._low, float(reference.min()))
        self._high = max(self._high, float(reference.max()))
        self._least = min(self._least, float(values.integer.min()))
        self._largest = max(self._largest, float(values.integer.max()))
        self._error_lsb = max(
            self._error_lsb, float((integer - reference).abs().max()) / read.scale
        )
        self._integer_lsb = max(self._integer_lsb, int(steps.abs().max()))
        self._points += _some(reference, integer, _MOST_POINTS - len(self._points))

    def result(self) -> LayerNumerics:
        """Return what was measured, and whether the layer breaks by itself."""
        tensor, written, power = self._tensor, self._tensor.written, self._power
        cause = self._cause()
        return LayerNumerics(
            tensor.name,
            tensor.ops,
            tensor.module,
            tensor.file,
            tensor.line,
            tensor.dtype,
            written.scale,
            written.zero_point,
            written.limits,
            self._decibels(power["fake"]),
            _ratio(power["signal"], power["fake"]),
            self._decibels(power["integer"]),
            _ratio(power["signal"], power["integer"]),
            self._decibels(sum(self._lost.values())),
            self._decibels(power["weights"]),
            self._error_lsb,
            self._integer_lsb,
            self._saturated / max(self._elements, 1),
            self._range_used,
            cause,
            self._reason(cause) if cause else "",
            tuple(self._points),
        )

    def _count(self, part: str, squares: Tensor) -> None:
        self._power[part] += float(squares.sum())

    def _decibels(self, noise: float) -> float:
        return _ratio(self._varying, noise)

    @property
    def _lost(self) -> dict[str, float]:
        """The noise of the layer by itself, by cause."""
        causes = ("weights", "saturation", "rounding", "arithmetic")
        rounding = ("saturation", "rounding")
        return {c: self._power[c] if self._rounds or c not in rounding else 0.0 for c in causes}

    @property
    def _varying(self) -> float:
        """The signal: what differs from sample to sample, else from element to element."""
        if self._total is None:
            return 0.0
        mean, whole = self._total / self._samples, self._power["signal"]
        between = whole - self._samples * float(mean.square().sum())
        if between > _NOTHING * whole:
            return between
        return max(whole - self._elements * float(mean.mean().square()), 0.0)

    @property
    def _attainable(self) -> float:
        """The noise of rounding with a scale that just covers the values seen; 0 is exact."""
        levels = self._tensor.written.high - self._tensor.written.low
        step = (max(self._high, 0.0) - min(self._low, 0.0)) / levels
        return self._nonzero * step**2 / 12

    @property
    def _range_used(self) -> float:
        written = self._tensor.written
        return (self._largest - self._least + 1) / (written.high - written.low + 1)

    def _cause(self) -> str:
        parts, tensor = self._lost, self._tensor
        if not self._varying or self._decibels(sum(parts.values())) > _POOR_DB:
            return ""
        much = self._attainable * 10 ** (_AVOIDABLE_DB / 10)
        if tensor.read != tensor.written and parts["rounding"] > much:
            return "mismatched scales"
        bits = tensor.weights.bits if tensor.weights is not None else 8
        coarse = self._decibels(parts["weights"]) < 6 * bits - _WEIGHT_MARGIN_DB
        worst = max(parts, key=lambda part: parts[part])
        if worst == "weights":
            return "" if not coarse else "outlier channels" if self._short else "weights"
        if parts["saturation"] + parts["rounding"] + parts["arithmetic"] < much:
            return ""
        names = {"saturation": "saturation", "rounding": "dead range"}
        return names.get(worst, "integer arithmetic")

    @property
    def _short(self) -> int:
        """How many channels of weights reach nowhere near the range that all share."""
        weights = self._tensor.weights
        return sum(reach < _SHORT_REACH for reach in weights.reach) if weights else 0

    def _reason(self, cause: str) -> str:
        """Return a sentence: what is seen, and what may help."""
        tensor, dtype = self._tensor, self._tensor.dtype
        low, high = tensor.written.limits
        if cause == "saturation":
            return (
                f"it saturates: {_percent(self._saturated / self._elements)} of its values lie "
                f"beyond [{low:.4g}, {high:.4g}], which is what {dtype} with scale "
                f"{tensor.written.scale:.4g} holds; in float they go from {self._low:.4g} to "
                f"{self._high:.4g}. Calibrate with inputs that reach these values, or with an "
                "observer that covers them (observer='minmax')"
            )
        if cause == "dead range":
            return (
                f"its values take up {_percent(self._range_used)} of the range of {dtype}: they go "
                f"from {self._low:.4g} to {self._high:.4g} and the scale covers [{low:.4g}, "
                f"{high:.4g}]. Look for outliers in the calibration data, or for an op that shares "
                "its scale with a wider one; int16 for this layer is a way out"
            )
        if cause == "mismatched scales":
            return (
                f"it is written with scale {tensor.written.scale:.4g} and zero point "
                f"{tensor.written.zero_point}, and read with {tensor.read.scale:.4g} and "
                f"{tensor.read.zero_point}. Both must be the same: the graph was edited, or the "
                "quantiser has a fault"
            )
        if cause == "integer arithmetic":
            return (
                f"the compiled integers differ by up to {self._integer_lsb} steps from fake "
                "quantisation of the same inputs, where 1 or 2 are usual. That is the compiler's "
                "fault, not the recipe's; please report it with the model"
            )
        if cause == "outlier channels":
            weights = tensor.weights
            assert weights is not None
            return (
                f"one scale for all weights leaves {self._short} of {len(weights.reach)} channels "
                f"less than 1/8 of the {weights.bits} bits, because other channels are so much "
                "larger. Quantise the weights per channel"
            )
        gain = self._given_by_reference / self._power["signal"]
        if not 2 / 3 < gain < 3 / 2:
            return (
                f"with its weights as stored, it gives {gain:.3g} times what it should: the scale "
                "of the weights is wrong, or they saturate"
            )
        bits = f"{tensor.weights.bits} bits are" if tensor.weights is not None else "they are"
        return (
            f"its weights lose too much ({self._decibels(self._power['weights']):.1f} dB): {bits} "
            "too few for them, or their scales do not fit. Give this layer wider weights"
        )


def first_useless(layers: Sequence[LayerNumerics]) -> tuple[LayerNumerics, str] | None:
    """Return the first layer whose signal is lost although none breaks by itself, and why.

    None where all are of use.
    """
    bad = (n for n, x in enumerate(layers) if -math.inf < x.integer_db < _USELESS_DB)
    index = next(bad, None)
    if index is None:
        return None
    before = sorted(layers[: index + 1], key=lambda layer: layer.local_db)[:3]
    told = ", ".join(f"'{layer.name}' ({layer.local_db:.1f} dB)" for layer in before)
    return layers[index], (
        f"errors of {index + 1} requantisations add up: no layer before it breaks by itself. Those "
        f"that lose most by themselves are {told}; give them int16, or the whole model a recipe "
        "with more bits"
    )


def _some(reference: Tensor, integer: Tensor, room: int) -> list[tuple[float, float]]:
    stride = max(reference.numel() // _POINTS_PER_RUN, 1)
    pairs = zip(
        reference.flatten()[::stride].tolist(), integer.flatten()[::stride].tolist(), strict=True
    )
    return list(pairs)[: max(room, 0)]


def _ratio(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0.0 else -math.inf


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"
