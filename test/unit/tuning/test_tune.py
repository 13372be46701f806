"""`tosaic.tune`: the search on made-up figures, and small models through all of it."""

import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import tosaic
from tosaic.errors import InputError
from tosaic.quantizer import Override, QuantRecipe
from tosaic.tools import user_model
from tosaic.tuning import workers as workers_module
from tosaic.tuning.choices import Choice, Unit, find_units, recipe_of, setting
from tosaic.tuning.search import Goal, Search
from tosaic.tuning.trials import Figures, Store
from tosaic.tuning.tune import Progress, TuneResult

UNITS = [Unit(f"layer{n}", "linear", True) for n in range(6)]
# What each layer costs and how noisy it is, by choice; no two layers alike.
COST = {"w8": 100, "c16": 60, "w4": 50}
NOISE = {"w8": 1, "c16": 12, "w4": 20}


class Additive:
    """Figures that add up over layers, for recipes as text; counts what it is asked."""

    def __init__(self, twist: float = 0.0) -> None:
        self.asked: list[str] = []
        self.twist = twist

    def __call__(
        self, texts: Sequence[str], best: Callable[[], Figures | None]
    ) -> dict[str, Figures]:
        self.asked += texts
        return {text: self.figures(text) for text in texts}

    def figures(self, text: str) -> Figures:
        recipe = QuantRecipe.from_toml(text)
        choices = {unit.module: self.name(recipe) for unit in UNITS}
        for override in recipe.overrides:
            assert override.module is not None
            choices[override.module] = self.name(override)
        noise = cost = 0.0
        for n, choice in enumerate(choices.values(), 1):
            noise += n * n * NOISE[choice]
            cost += (7 - n) * COST[choice]
        # Not quite additive: cheap layers disturb one another.
        noise *= 1 + self.twist * sum(c != "w8" for c in choices.values())
        ratio = -noise / 1000
        sqnr = -10 * math.log10(noise / 1e4)
        return Figures(quality=ratio, sqnr_db=sqnr, cycles=round(cost), flash=round(cost))

    def name(self, settings: QuantRecipe | Override) -> str:
        if settings.weights == "int4":
            return "w4"
        return "c16" if settings.clusters else "w8"


def search(trials: Additive, goal: Goal, most: int = 200) -> Search:
    made = Search(
        QuantRecipe(),
        UNITS,
        ("w8", "w4", "c16"),
        ("a8",),
        goal.axis,
        goal.budget or None,
        goal.floor,
        trials,
        most,
    )
    made.run()
    return made


def every_figure(trials: Additive) -> list[Figures]:
    """Those of all recipes there are."""
    out = []
    for number in range(3 ** len(UNITS)):
        names = [("w8", "w4", "c16")[number // 3**n % 3] for n in range(len(UNITS))]
        state = {unit: Choice(name, "a8") for unit, name in zip(UNITS, names, strict=True)}
        out.append(trials.figures(recipe_of(QuantRecipe(), Choice("w8", "a8"), state).to_toml()))
    return out


@pytest.mark.parametrize("most_cost", [1150, 1400, 1500, 1700, 1900])
def test_best_within_a_budget(most_cost: int) -> None:
    trials = Additive()
    found = search(trials, Goal("cycles", {"cycles": most_cost}))
    best = found.seen[found.best()]
    allowed = [f for f in every_figure(trials) if f.cycles <= most_cost]
    assert best.cycles <= most_cost
    assert best.quality == max(f.quality for f in allowed)
    assert len(trials.asked) == len(set(trials.asked)) < 80


@pytest.mark.parametrize("floor", [-0.3, -0.6, -1.2])
def test_cheapest_above_a_floor(floor: float) -> None:
    trials = Additive()
    found = search(trials, Goal("flash", {}, floor))
    best = found.seen[found.best()]
    least = min(f.flash for f in every_figure(trials) if f.quality >= floor)
    assert best.quality >= floor and best.flash <= 1.02 * least


def test_what_does_not_add_up_is_found_by_trying() -> None:
    trials = Additive(twist=0.3)
    found = search(trials, Goal("cycles", {"cycles": 1500}))
    best = found.seen[found.best()]
    allowed = [f for f in every_figure(trials) if f.cycles <= 1500]
    assert best.cycles <= 1500
    assert best.sqnr_db >= max(f.sqnr_db for f in allowed) - 0.3


def test_no_more_trials_than_allowed() -> None:
    trials = Additive()
    search(trials, Goal("cycles", {"cycles": 1500}), most=7)
    assert len(trials.asked) == 3 + 7


def test_the_least_excess_where_nothing_fits() -> None:
    found = search(Additive(), Goal("cycles", {"cycles": 10}))
    assert found.seen[found.best()].cycles == 21 * 50


def test_a_trial_that_fails_is_never_best() -> None:
    class Failing(Additive):
        def figures(self, text: str) -> Figures:
            return super().figures(text) if "int4" not in text else Figures(error="no")

    found = search(Failing(), Goal("cycles", {"cycles": 1500}))
    assert found.seen[found.best()].cycles <= 1500
    assert any(f.error for f in found.seen.values())


# --- whole ---------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 128)
        self.second = nn.Linear(128, 128)
        self.last = nn.Linear(128, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x).relu()
        return self.last(y + self.second(y).relu())


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


INPUTS = torch.randn(12, 64, generator=torch.Generator().manual_seed(1)).split(1)


def tuned(net: nn.Module, folder: Path | None = None, **options: object) -> TuneResult:
    return tosaic.tune(
        net,
        INPUTS[:1],
        calibration=INPUTS[:4],
        data=[(x, None) for x in INPUTS],
        weights=("w8", "c16"),
        activations=("a8",),
        budget={"cycles": 24_000},
        folder=folder,
        **{"trials": 6, **options},
    )


def same(a: TuneResult, b: TuneResult) -> bool:
    def timeless(result: TuneResult) -> list[object]:
        trials = (result.best, result.base, *result.trials)
        return [(t.recipe, replace(t.figures, seconds=0.0)) for t in trials]

    return timeless(a) == timeless(b)


@pytest.fixture(scope="module")
def result(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    return tuned(net, tmp_path_factory.mktemp("trials"))


def test_units(net: nn.Module) -> None:
    program = torch.export.export(net, INPUTS[:1])
    units = find_units(program, QuantRecipe())
    assert units == [Unit(name, "linear", True) for name in ("first", "second", "last")]


def test_result(net: nn.Module, result: TuneResult, tmp_path: Path) -> None:
    base, best = result.base.figures, result.best.figures
    assert base.cycles > 24_000 >= best.cycles and result.is_within
    assert best.sqnr_db > 10
    assert result.front[0].figures.cycles <= best.cycles
    qualities = [trial.figures.quality for trial in result.front]
    assert qualities == sorted(qualities)
    # What the search says of a recipe is what compiling with it gives.
    program = tosaic.compile(
        net,
        INPUTS[:1],
        target="ethos-u55-128",
        quantize=result.recipe,
        calibration=INPUTS[:4],
    )
    assert program.report.vela is not None
    assert program.report.vela.cycles_total == best.cycles
    judged = tosaic.evaluate(
        net,
        [(x, None) for x in INPUTS],
        INPUTS[:1],
        quantize=result.recipe,
        calibration=INPUTS[:4],
    )
    assert judged.forms["integer"].sqnr_db == pytest.approx(best.sqnr_db, abs=1e-6)
    files = result.save(tmp_path)
    assert [file.name for file in files] == ["recipe.toml", "trials.json", "pareto.svg"]
    assert QuantRecipe.load(files[0]) == result.recipe
    picture = files[2].read_text()
    assert picture.startswith("<?xml") and "cycles per inference" in picture


def test_an_interrupted_search_goes_on(
    net: nn.Module, result: TuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(net, tmp_path, progress=stop)
    files = list(tmp_path.rglob("*.json"))
    assert len(files) == 3
    ran = []
    run_trial = workers_module.run_trial
    monkeypatch.setattr(
        workers_module, "run_trial", lambda study, text: ran.append(text) or run_trial(study, text)
    )
    reports: list[Progress] = []
    again = tuned(net, tmp_path, progress=reports.append)
    assert same(again, result)
    assert len(ran) == len(result.trials) - 3
    assert reports[-1].resumed == 3 and reports[-1].done == len(result.trials)
    assert all(report.seconds_left >= 0 for report in reports)
    # Nothing is left to do; and another study finds nothing of this one.
    ran.clear()
    assert same(tuned(net, tmp_path), result) and not ran
    files[0].write_text("{")
    with pytest.raises(InputError, match="is not a finished trial"):
        tuned(net, tmp_path)


def test_other_studies_are_others(tmp_path: Path) -> None:
    Store(tmp_path, "a").put("x", Figures(quality=1.0))
    assert Store(tmp_path, "a").get("x") == Figures(quality=1.0)
    assert Store(tmp_path, "b").get("x") is None
    assert Store(tmp_path, "a").get("y") is None


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_any_number_of_workers(net: nn.Module, result: TuneResult, count: int) -> None:
    assert same(tuned(net, workers=count), result)


@pytest.mark.slow
def test_a_metric_of_a_file_that_is_no_module(net: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def spread(outputs, labels):\n    return outputs.max() - outputs.min()\n")
    metric = user_model.load_value(f"{file}:spread", "--metric")
    found = tuned(net, workers=1, metric=metric, trials=1)
    assert found.metric == "spread"
    assert not any(trial.figures.error for trial in found.trials)
    assert all(trial.figures.quality > 0 for trial in found.trials)


@pytest.mark.slow
def test_a_metric_that_workers_cannot_import(
    net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spread(outputs: np.ndarray, _: object) -> float:
        return float(outputs.max() - outputs.min())

    module = ModuleType("only_here")
    module.__spec__ = ModuleSpec("only_here", None)  # as if imported
    module.spread = spread
    spread.__module__, spread.__qualname__ = "only_here", "spread"
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(InputError, match=r"workers cannot load .*only_here"):
        tuned(net, workers=1, metric=spread, trials=1)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(net: nn.Module, result: TuneResult, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    killed = []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        ids = list(client.run(os.getpid).values())

        def kill(progress: Progress) -> None:
            if progress.done in (2, 5):
                killed.append(ids.pop())
                os.kill(killed[-1], signal.SIGKILL)

        address = cluster.scheduler_address
        found = tuned(net, tmp_path, scheduler=address, progress=kill)
    assert len(killed) == 2
    assert same(found, result)
    assert len(list(tmp_path.rglob("*.json"))) == len(result.trials)


def test_cortex_m_has_flash_and_sram(net: nn.Module) -> None:
    found = tosaic.tune(
        net,
        INPUTS[:1],
        calibration=INPUTS[:4],
        data=[(x, None) for x in INPUTS],
        target="cortex-m55",
        weights=("w8", "w4"),
        activations=("a8",),
        budget={"flash": 24_000},
        trials=4,
    )
    assert found.axis == "flash" and found.best.figures.flash <= 24_000 < found.base.figures.flash
    assert found.base.figures.sram > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"target": "tosa-1.0-int"}, "has no device, so no recipe costs more"),
        ({"budget": {"cycle": 3}}, "no budget of 'cycle'"),
        ({"budget": {"cycles": 0}}, "The budget of cycles is 0"),
        ({"target": "cortex-m4", "budget": {"cycles": 9}}, "choose from flash, sram"),
        ({"weights": ("w8", "w3")}, "no choice 'w3' for a layer"),
        ({"weights": ("a8",)}, "'a8' is not a choice of weights"),
        ({"activations": ()}, "There are no activations to choose from"),
        ({"metric": "top1"}, "top1 needs a class number per sample"),
        ({"metric": "top3"}, "no metric named 'top3'"),
        ({"trials": 0}, "trials=0 must be 1 or more"),
        ({"workers": -1}, "workers=-1 must be 0"),
        ({"calibration": []}, "Tuning needs calibration data"),
        ({"data": []}, "data set is empty"),
        ({"scheduler": "nowhere"}, "No Dask scheduler answers at 'nowhere'"),
    ],
)
def test_bad_options(net: nn.Module, options: dict[str, object], told: str) -> None:
    arguments = {"calibration": INPUTS[:1], "data": [(INPUTS[0], None)], **options}
    with pytest.raises(InputError) as error:
        tosaic.tune(net, INPUTS[:1], **arguments)  # type: ignore[arg-type]
    assert told in str(error.value)


def test_missing_packages(monkeypatch: pytest.MonkeyPatch, result: TuneResult) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with (
        pytest.raises(InputError, match=r"pip install 'tosaic\[tune\]'; or use workers=0"),
        workers_module.open_workers(1, None),
    ):
        pass
    with pytest.raises(InputError, match=r"pip install 'tosaic\[report\]'"):
        result.save("nowhere")


def test_choices() -> None:
    assert setting("c7")["clusters"] == 7 and setting("p40")["sparsity"] == 0.4
    kept = QuantRecipe(observer="mse", overrides=(Override(op="add", leave_float=True),))
    recipe = recipe_of(kept, Choice("w4", "a8"), {UNITS[0]: Choice("c16", "a16")})
    assert recipe.observer == "mse" and recipe.weights == "int4"
    assert recipe.overrides == (
        Override(op="add", leave_float=True),
        Override(module="layer0", op="linear", weights="int8", clusters=16, activations="int16"),
    )
