"""Recipes as values: text form, messages, and which ops an override selects."""

import pytest
import torch
from torch import nn

from tosaic.errors import InputError
from tosaic.quantizer import Override, QuantRecipe, TosaQuantizer, find_recipe
from tosaic.reports.explain import explain

MIXED = QuantRecipe(
    activations="int16",
    headroom=0.1,
    bias_correction=False,
    migration=True,
    overrides=(
        Override(module="head.*", weights="int4", per_channel=False, residual="int16"),
        Override(op="softmax", leave_float=True),
        Override(module="body", equalisation=True, rounding="learned"),
    ),
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(self.body(x).mean((2, 3))), 1)


IMAGE = (torch.randn(1, 3, 6, 6),)


def decided(recipe: QuantRecipe) -> dict[str, tuple[str, str, str]]:
    reports = explain(Net().eval(), IMAGE, quantize=recipe)
    return {r.name: (r.how, r.writes, r.weights) for r in reports}


def test_text_form_reads_back(tmp_path):
    MIXED.save(tmp_path / "recipe.toml")
    assert QuantRecipe.load(tmp_path / "recipe.toml") == MIXED
    assert find_recipe(str(tmp_path / "recipe.toml")) == MIXED
    assert QuantRecipe.from_toml(QuantRecipe().to_toml()) == QuantRecipe()
    kind = QuantRecipe(overrides=(Override(module_type=nn.Linear, activations="int16"),))
    assert QuantRecipe.from_toml(kind.to_toml()).overrides[0].module_type == "Linear"


class Stream(nn.Module):
    """Two residual branches, the second norm behind a view; and a sum that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.inner = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + self.inner[0](x + 1.0)
        z = y + self.inner[1](self.norms[0](y.view(4, 8)).view(2, 2, 8))
        return z + self.norms[1](z)


def test_residual_stream():
    reports = explain(Stream(), (torch.randn(2, 2, 8),), quantize="transformer")
    sums = {r.name: r.writes for r in reports if r.name.startswith("add")}
    assert sums == {"add": "int8", "add_1": "int16", "add_2": "int16", "add_3": "int16"}
    # An accumulator that such a sum reads is not rounded to int8 before it.
    assert {r.writes for r in reports if r.name.startswith("linear")} == {"int16"}
    assert {r.writes for r in reports if r.name.startswith("layer_norm")} == {"int8"}
    plain = explain(Stream(), (torch.randn(2, 2, 8),), quantize="int8")
    assert {r.writes for r in plain} == {"int8"}


class Embedded(nn.Module):
    """Embeddings added one after the other, then a norm behind each branch, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ParameterList(torch.randn(4, 8) for _ in range(3))
        self.norm, self.inner = nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for table in self.tables:
            x = x + table
        x = self.norm(x)
        return self.norm(x + self.inner(x))


def test_sums_of_embeddings_are_of_the_residual_stream():
    reports = explain(Embedded(), (torch.randn(2, 4, 8),), quantize="transformer")
    sums = [r.writes for r in reports if r.name.startswith("add")]
    assert sums == ["int16"] * 4


def test_recipes_are_values():
    assert hash(MIXED) == hash(QuantRecipe.from_toml(MIXED.to_toml()))
    assert find_recipe("int8") == find_recipe("a8w8") == QuantRecipe() == TosaQuantizer().recipe
    assert find_recipe("a16w4") == QuantRecipe(activations="int16", weights="int4")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("weigths = 'int4'", "has no setting 'weigths'. Did you mean weights"),
        ("weights = 'int3'", "weights='int3' is unknown. Did you mean int"),
        ("headroom = -1", "headroom=-1 must be zero or more"),
        ("percentile = 10", "percentile=10 must be above 50"),
        ("symmetric = 1", "symmetric=1 must be true or false"),
        ("equalisation = 'on'", "equalisation='on' must be true or false"),
        ("equalization = true", "Did you mean equalisation"),
        ("rounding = 'leaned'", "rounding='leaned' is unknown. Did you mean learned"),
        ("observer = ", "is not valid TOML"),
        ("override = 3", "that is no table. Write [[override]]"),
        ("[[override]]\nop = 'add'", "must either leave its ops in float"),
        ("[[override]]\nweights = 'int4'", "selects no ops"),
        ("[[override]]\nop = 'add'\nfloat = true", "override 1, has no setting 'float'"),
    ],
)
def test_bad_text(text, told):
    with pytest.raises(InputError) as error:
        QuantRecipe.from_toml(text, source="'my.toml'")
    assert told in str(error.value) and "'my.toml'" in str(error.value)


def test_bad_names():
    with pytest.raises(InputError, match=r"no quantisation recipe named 'a16w9'\. Did you mean"):
        find_recipe("a16w9")
    with pytest.raises(InputError, match=r"Cannot read 'none.toml'"):
        find_recipe("none.toml")
    with pytest.raises(InputError, match="cannot be saved"):
        QuantRecipe(overrides=(Override(where=lambda n: True, leave_float=True),)).to_toml()
    with pytest.raises(InputError, match="must either"):
        Override(op="add", leave_float=True, weights="int4")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ({"module": "head"}, {"linear", "linear_1"}),
        ({"module": "head.1"}, {"linear_1"}),
        ({"module": "*.0"}, {"conv2d", "linear"}),
        ({"module_type": "Linear"}, {"linear", "linear_1"}),
        ({"module_type": nn.Conv2d}, {"conv2d"}),
        ({"op": "aten.linear"}, {"linear", "linear_1"}),
        ({"op": "mean.dim"}, {"mean"}),
        ({"op": "lin*", "module": "head.0"}, {"linear"}),
        ({"where": lambda node: node.name.endswith("_1")}, {"linear_1"}),
    ],
)
def test_selectors(selector, names):
    found = decided(QuantRecipe(overrides=(Override(**selector, leave_float=True),)))
    assert {name for name, (how, _, _) in found.items() if how == "float"} == names


def test_clustered_weights_are_told():
    found = decided(QuantRecipe(clusters=16, overrides=(Override(module="body", sparsity=0.5),)))
    assert found["conv2d"][2] == "int8, 16 values, 50% zero"
    assert found["linear"][2] == "int8, 16 values"


def test_later_overrides_win():
    recipe = QuantRecipe(
        overrides=(
            Override(module="head", leave_float=True),
            Override(module="head.1", activations="int16", weights="int4"),
        )
    )
    found = decided(recipe)
    assert found["linear"][0] == "float"
    assert found["linear_1"] == ("weighted", "int16", "int4")
    assert found["conv2d"] == ("weighted", "int8", "int8")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (Override(module="haed", weights="int4"), "Did you mean head"),
        (Override(module_type="Conv3d", weights="int4"), "Did you mean Conv2d"),
        (Override(op="softmx", leave_float=True), "Did you mean softmax"),
        (Override(module="head", op="conv2d", weights="int4"), "all of its selectors together"),
        (Override(where=lambda node: False, leave_float=True), "selects no op"),
    ],
)
def test_an_override_that_selects_nothing(override, told):
    with pytest.raises(InputError) as error:
        decided(QuantRecipe(overrides=(override,)))
    assert told in str(error.value)


def test_ops_read_what_they_can():
    recipe = QuantRecipe(
        activations="int16",
        overrides=(
            Override(module="head.0", activations="int8"),
            Override(op="mean", inputs="int8"),
        ),
    )
    reads = {r.name: (r.reads, r.writes) for r in explain(Net().eval(), IMAGE, quantize=recipe)}
    assert reads["mean"] == (("int8",), "int16")
    assert reads["linear"] == (("int8",), "int8")  # an int8 op narrows what it reads
    assert reads["linear_1"] == (("int8",), "int16")  # an int16 op takes what it gets
