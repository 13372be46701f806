"""What is quantised, and how: a frozen value with a text form."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from tosaic.emit.files import read_bytes, write_text
from tosaic.errors import InputError

if TYPE_CHECKING:
    from torch import nn
    from torch.fx import Node

ACTIVATIONS = ("int8", "int16")
WEIGHTS = ("int8", "int4")
INPUTS = ("auto", "int8", "any")
RESIDUALS = ("auto", "int16")
OBSERVERS = ("auto", "minmax", "moving_average", "histogram", "percentile", "mse", "kl", "row_mse")
WEIGHT_OBSERVERS = ("auto", "minmax", "mse")
ROUNDINGS = ("auto", "nearest", "fitted", "learned")
_CHOICES = {
    "activations": ACTIVATIONS,
    "inputs": INPUTS,
    "residual": RESIDUALS,
    "weights": WEIGHTS,
    "observer": OBSERVERS,
    "weight_observer": WEIGHT_OBSERVERS,
    "rounding": ROUNDINGS,
}
_FLAGS = ("per_channel", "symmetric", "bias_correction", "equalisation", "migration")
_OVERRIDES = "override"


@dataclass(frozen=True)
class Scheme:
    """How one op is quantised; also the defaults of a recipe.

    `activations` is what the op writes: int8, or int16 (always symmetric, zero point 0). `inputs`
    is what it reads: "int8", or "any", which takes each input as its producer wrote it; "auto" is
    int8 for ops that write int8 and any for the others. `residual` is what the sums along a
    transformer's residual stream write, those that a layer norm or RMS norm reads, perhaps with
    more added, and those that read such a sum: "int16", or "auto", as all other ops. `weights` of
    convolutions and linear layers are symmetric: int8, or int4 (-7 to 7), per output channel unless
    `per_channel` is off. `symmetric` gives int8 activations the zero point 0.

    `observer` is how activation ranges are found: "minmax"; "moving_average" of minima and maxima
    over the calibration; from a histogram, "histogram" (least squared error, torchao's search),
    "mse" (least squared error over a grid of ranges), "kl" (least information lost) and
    "percentile" (the inner `percentile` per cent); "row_mse" is mse with errors measured against
    the variance of their row (the last dim). "auto" is minmax for int16; for int8 row_mse where a
    layer norm or RMS norm reads the tensor, else histogram. `headroom` widens the range by a
    fraction, by default 0.03 for int8 and 0.25 for int16: a few calibration inputs never show the
    whole range. `weight_observer` is "minmax" or "mse"; "auto" is minmax for int8, mse for int4,
    and for clustered weights what suits the values they share. `rounding` of weights is "nearest",
    or "fitted" for the least error of what a layer computes on the calibration data; "auto" is
    fitted where weights are int4, clustered or pruned, or activations int16. "learned" takes
    longer: layers are rounded in turn, each for what the rounded ones before it give, and their
    scales are searched too; where that does worse than fitted on calibration items left out, and
    for clustered and pruned weights, they are fitted instead. With
    `bias_correction`, biases take up the mean of what rounding the weights changes on the
    calibration data; layers without a bias get one, at no cost.

    `equalisation` and `migration` move scales per channel between layers where the float model
    stays the same, as far as that lowers the error on calibration data: `equalisation` between a
    convolution or linear layer and those that read it (through ReLU, pools, attention), `migration`
    between a layer norm or RMS norm and the layers that read it.

    For models that wait for flash: `clusters` is how many values the weights of a layer may have,
    0 for all of their dtype, and `sparsity` the share of them that is zero, the smallest ones.
    Ethos-U stores weights compressed, and such weights compress well.
    """

    activations: str = "int8"
    inputs: str = "auto"
    residual: str = "auto"
    weights: str = "int8"
    per_channel: bool = True
    symmetric: bool = False
    observer: str = "auto"
    percentile: float = 99.99
    headroom: float | None = None
    weight_observer: str = "auto"
    rounding: str = "auto"
    bias_correction: bool = True
    equalisation: bool = False
    migration: bool = False
    clusters: int = 0
    sparsity: float = 0.0

    @property
    def restricts_weights(self) -> bool:
        """Whether weights are clustered or pruned."""
        return self.clusters > 0 or self.sparsity > 0

    @property
    def weight_form(self) -> str:
        """How weights are stored, in words: "int8", "int8, 16 values, 50% zero"."""
        values = f", {self.clusters} values" if self.clusters else ""
        return self.weights + values + (f", {self.sparsity:.0%} zero" if self.sparsity else "")

    @property
    def fits_weights(self) -> bool:
        """Whether weights are rounded for the least error of what their layer computes.

        Where they are learned too, that comes first, and this is what it must not be worse than.
        """
        if self.rounding == "auto":
            narrow = self.weights == "int4" or self.activations == "int16"
            return narrow or self.restricts_weights
        return self.rounding in ("fitted", "learned")

    @property
    def learns_weights(self) -> bool:
        """Whether layers are rounded in turn."""
        return self.rounding == "learned" and not self.restricts_weights

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InputError: a value that does not exist.
        """
        for name in _SCHEME_FIELDS:
            check_setting(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Override:
    """Other settings for some ops: those that every given selector selects.

    Selectors: `module` is the path of a module, or a glob of paths ("layers.*.attention"); all ops
    inside are meant. `module_type` is a module's class, or its name. `op` is an op as PyTorch names
    it ("softmax", "conv2d", "mean.dim") or a glob. `where` takes an FX node and returns a bool.
    `leave_float` leaves the ops unquantised; every other field is as in `Scheme`, None to leave it.
    """

    module: str | None = None
    module_type: str | type[nn.Module] | None = None
    op: str | None = None
    where: Callable[[Node], bool] | None = None
    leave_float: bool = False
    activations: str | None = None
    inputs: str | None = None
    residual: str | None = None
    weights: str | None = None
    per_channel: bool | None = None
    symmetric: bool | None = None
    observer: str | None = None
    percentile: float | None = None
    headroom: float | None = None
    weight_observer: str | None = None
    rounding: str | None = None
    bias_correction: bool | None = None
    equalisation: bool | None = None
    migration: bool | None = None
    clusters: int | None = None
    sparsity: float | None = None

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InputError: a value that does not exist, nothing selected or nothing set.
        """
        if not self.selectors:
            raise InputError(
                "An override of a quantisation recipe selects no ops. Give it a module, "
                "module_type, op or where."
            )
        settings = self.settings
        for name, value in settings.items():
            check_setting(name, value)
        if self.leave_float == bool(settings):
            raise InputError(
                f"The override of {self.describe()} must either leave its ops in float "
                "(leave_float) or change how they are quantised; give it one of the two."
            )

    @property
    def selectors(self) -> dict[str, Any]:
        """The selectors that are given, by name."""
        return _given(self, _SELECTORS)

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `Scheme` that it changes."""
        return _given(self, _SCHEME_FIELDS)

    def describe(self) -> str:
        """Return the selectors as a user wrote them."""
        named = {k: getattr(v, "__name__", v) for k, v in self.selectors.items()}
        return ", ".join(f"{k}={v!r}" for k, v in named.items())


@dataclass(frozen=True)
class QuantRecipe(Scheme):
    """A `Scheme` for all ops, and overrides for some; of several that select an op, later ones win.

    ``QuantRecipe(activations="int16", overrides=(Override(op="matmul", activations="int8"),))``
    """

    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        """Check the fields, and take any sequence of overrides."""
        super().__post_init__()
        object.__setattr__(self, "overrides", tuple(self.overrides))
        wrong = next((o for o in self.overrides if not isinstance(o, Override)), None)
        if wrong is not None:
            raise InputError(
                f"The overrides of a recipe hold a {type(wrong).__name__}; use tosaic.Override."
            )

    def scheme(self, selected: Iterable[int] = ()) -> Scheme | None:
        """Return the settings of an op that the overrides of these numbers select; None is float.

        The numbers are in order.
        """
        values = {name: getattr(self, name) for name in _SCHEME_FIELDS}
        quantized = True
        for override in (self.overrides[n] for n in selected):
            quantized = not override.leave_float
            values.update(override.settings)
        return Scheme(**values) if quantized else None

    def to_toml(self) -> str:
        """Return the recipe as text that `from_toml` reads back to an equal value.

        Raises:
            InputError: an override selects by a function, which has no text form.
        """
        tables = [_override_table(o) for o in self.overrides]
        data = {k: v for k, v in _changed(self).items() if k != "overrides"}
        return tomli_w.dumps(data | ({_OVERRIDES: tables} if tables else {}))

    @classmethod
    def from_toml(cls, text: str, *, source: str = "The recipe") -> QuantRecipe:
        """Return the recipe in `text`; `source` names it in errors.

        Raises:
            InputError: not TOML, or a key or value that does not exist.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{source} is not valid TOML: {error}. Repair that line.") from error
        tables = data.pop(_OVERRIDES, [])
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            raise InputError(
                f"{source} has an '{_OVERRIDES}' that is no table. Write [[override]]."
            )
        _check_keys(source, data, (*_SCHEME_FIELDS, _OVERRIDES))
        known = [name for name in (*_SELECTORS, "leave_float", *_SCHEME_FIELDS) if name != "where"]
        for number, table in enumerate(tables, 1):
            _check_keys(f"{source}, override {number},", table, known)
        try:
            return cls(**data, overrides=tuple(Override(**t) for t in tables))
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write `to_toml()` to a file."""
        write_text(Path(path), self.to_toml())

    @classmethod
    def load(cls, path: str | Path) -> QuantRecipe:
        """Read a file that `save` wrote, or a person.

        Raises:
            InputError: there is no such file, or `from_toml` does not take it.
        """
        text = read_bytes(path).decode(errors="replace")
        return cls.from_toml(text, source=f"'{path}'")


_SCHEME_FIELDS = tuple(field.name for field in dataclasses.fields(Scheme))
_SELECTORS = ("module", "module_type", "op", "where")


def find_recipe(name: str) -> QuantRecipe:
    """Return the recipe called `name`, or the one in the file `name` where that ends in .toml.

    Raises:
        InputError: there is none.
    """
    if name.lower().endswith(".toml"):
        return QuantRecipe.load(name)
    if name not in RECIPES:
        raise InputError(
            f"There is no quantisation recipe named '{name}'.{near_hint(name, RECIPES)} The "
            f"recipes are: {', '.join(RECIPES)}; or give a .toml file."
        )
    return RECIPES[name]


def near_hint(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?" for the names most like `name`, "" where none is."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def check_setting(name: str, value: Any) -> None:
    """Refuse a value that field `name` of a `Scheme` cannot have.

    Raises:
        InputError: tells what it can have.
    """
    if name in _CHOICES:
        known = _CHOICES[name]
        if value not in known:
            raise InputError(
                f"{name}={value!r} is unknown.{near_hint(str(value), known)} Choose one of "
                f"{', '.join(known)}."
            )
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise InputError(f"{name}={value!r} must be true or false.")
    elif name == "headroom":
        if value is not None and not (_is_number(value) and 0 <= value < float("inf")):
            raise InputError(f"headroom={value} must be zero or more, as a fraction.")
    elif name == "clusters":
        if not (_is_number(value) and (value == 0 or 2 <= value <= 255) and value == int(value)):
            raise InputError(
                f"clusters={value} must be 0, for any number of values, or from 2 to 255."
            )
    elif name == "sparsity":
        if not (_is_number(value) and 0 <= value < 1):
            raise InputError(f"sparsity={value} must be zero or more, and below 1.")
    elif not (_is_number(value) and 50 < value <= 100):
        raise InputError(f"percentile={value} must be above 50 and at most 100.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_keys(source: str, table: dict[str, Any], known: Iterable[str]) -> None:
    unknown = next((key for key in table if key not in known), None)
    if unknown is not None:
        raise InputError(
            f"{source} has no setting '{unknown}'.{near_hint(unknown, known)} There are: "
            f"{', '.join(known)}."
        )


def _given(value: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if getattr(value, name) is not None}


def _changed(value: Any) -> dict[str, Any]:
    fields = dataclasses.fields(value)
    return {f.name: v for f in fields if (v := getattr(value, f.name)) != f.default}


def _override_table(override: Override) -> dict[str, Any]:
    if override.where is not None:
        raise InputError(
            "A recipe whose override selects by a function (where) cannot be saved. Select by "
            "module, module_type or op, or build the recipe in Python."
        )
    table = _changed(override)
    if isinstance(override.module_type, type):
        table["module_type"] = override.module_type.__name__
    return table


RECIPES = {
    "int8": QuantRecipe(),
    "a8w8": QuantRecipe(),
    "a16w8": QuantRecipe(activations="int16"),
    "a8w4": QuantRecipe(weights="int4"),
    "a16w4": QuantRecipe(activations="int16", weights="int4"),
    # int8 but for the sums of residual branches: their errors add up from block to block.
    "transformer": QuantRecipe(residual="int16"),
}
