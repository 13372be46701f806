"""The search for a recipe: sensitivities first, then the recipes they promise most of.

Two things are taken to add up over layers: noise (the inverse of the signal-to-noise ratio) and
cost. One trial per layer and choice finds what each adds. The recipes on the lower hull of noise
over cost then follow without any trial: for each exchange rate of the two, every layer takes its
own best choice. They are tried, since in truth nothing adds up exactly; and from the best of them
steps go on to neighbours that differ in one or two layers, until none is better.

What is tried never depends on which trial was finished first, so a search gives the same result
with any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tosaic.errors import InputError
from tosaic.quantizer.recipe import QuantRecipe
from tosaic.tuning.choices import Choice, State, Unit, recipe_of
from tosaic.tuning.trials import Figures

_PATH = 12  # recipes of the hull that are tried
_TOGETHER = 4  # neighbours that are tried together
_PATIENCE = 2  # rounds of neighbours without a better one before the search ends
_RATES = 400

Trials = Callable[[Sequence[str], Callable[[], Figures | None]], dict[str, Figures]]


@dataclass(frozen=True)
class Goal:
    """What is wanted: quality within a budget, or with `floor` the least cost of that quality.

    `axis` is the cost that counts, `budget` the most of each cost that is limited.
    """

    axis: str
    budget: Mapping[str, int] = field(default_factory=dict)
    floor: float | None = None

    def rank(self, figures: Figures) -> tuple[float, ...]:
        """Return a key by which the best figures come first."""
        if figures.error:
            return (math.inf,)
        cost = figures.cost(self.axis)
        if self.floor is not None:
            return (self.excess(figures), cost, -figures.quality, -figures.sqnr_db)
        return (self.excess(figures), -figures.quality, -figures.sqnr_db, cost)

    def excess(self, figures: Figures) -> float:
        """Return by how much `figures` miss the limits, 0.0 where they keep them."""
        over = sum(max(0.0, figures.cost(name) / most - 1) for name, most in self.budget.items())
        if self.floor is not None and figures.quality < self.floor:
            over += self.floor - figures.quality
        return over


def noise(figures: Figures) -> float:
    """Return the power of the noise as a share of the signal's."""
    return math.inf if figures.error else 10 ** (-figures.sqnr_db / 10)


@dataclass(frozen=True)
class _Effect:
    """What one choice for one unit changes, against the base."""

    noise: float
    costs: Mapping[str, int]


_Step = tuple[Unit, Choice, float, Mapping[str, int]]  # what is added: noise, costs


class Search:
    """One search; `run` is called once.

    Attributes:
        goal: What is wanted; where no budget is given it is the base's cost, known once that ran.
        seen: The figures of every recipe (TOML) that was tried, in order.
        most: How many recipes are tried at most.
    """

    def __init__(
        self,
        base: QuantRecipe,
        units: Sequence[Unit],
        weights: Sequence[str],
        activations: Sequence[str],
        axis: str,
        budget: Mapping[str, int] | None,
        floor: float | None,
        trials: Trials,
        most: int,
    ) -> None:
        """Prepare a search for the least of cost `axis` or the best quality; see `tosaic.tune`."""
        self._base = base
        self._units = units
        self._default = Choice(weights[0], activations[0])
        self._weights = weights
        self._activations = activations
        self._budget = budget
        self._trials = trials
        self._left = most
        self._effects: dict[tuple[Unit, str], _Effect] = {}
        self._states: dict[str, dict[Unit, Choice]] = {}
        self.goal = Goal(axis, budget or {}, floor)
        self.seen: dict[str, Figures] = {}
        self.most = most + len(self.uniform)

    @property
    def uniform(self) -> dict[str, str]:
        """The recipes that treat all layers alike, by name ("w4 a8"), the base first."""
        return {
            f"{w} {a}": recipe_of(self._base, Choice(w, a), {}).to_toml()
            for w in self._weights
            for a in self._activations
        }

    def run(self) -> None:
        """Search.

        Raises:
            InputError: the base recipe does not compile.
        """
        self._try(self.uniform.values(), counted=False)
        start = self.seen[self._text({})]
        if start.error:
            raise InputError(f"The recipe to start from does not compile: {start.error}")
        if self._budget is None and self.goal.floor is None:
            self.goal = Goal(self.goal.axis, {self.goal.axis: start.cost(self.goal.axis)})
        self._measure_effects()
        self._walk(self._hull())
        self._improve()

    def best(self) -> str:
        """Return the best recipe that was tried."""
        return min(self.seen, key=lambda text: (self.goal.rank(self.seen[text]), text))

    def _try(self, texts: Iterable[str], *, counted: bool = True) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self.seen]
        if counted:
            new = new[: max(0, self._left)]
            self._left -= len(new)
        if new:
            self.seen.update(
                self._trials(new, lambda: self.seen.get(self.best()) if self.seen else None)
            )

    def _text(self, state: State) -> str:
        return recipe_of(self._base, self._default, state).to_toml()

    def _measure_effects(self) -> None:
        """Try each choice for each unit alone."""
        alone = {
            (unit, name): self._text({unit: self._with(self._default, name)})
            for unit in self._units
            for name in self._options(unit)
        }
        self._try(alone.values())
        start = self.seen[self._text({})]
        for key, text in alone.items():
            figures = self.seen.get(text)
            if figures is None or figures.error:
                continue
            costs = {
                name: figures.cost(name) - start.cost(name)
                for name in {self.goal.axis, *self.goal.budget}
            }
            self._effects[key] = _Effect(noise(figures) - noise(start), costs)

    def _options(self, unit: Unit) -> list[str]:
        """The names of choices for `unit` beside those of the base."""
        return [*(self._weights[1:] if unit.weighted else ()), *self._activations[1:]]

    def _with(self, choice: Choice, name: str) -> Choice:
        if name in self._activations:
            return Choice(choice.weights, name)
        return Choice(name, choice.activations)

    def _choices(self, unit: Unit) -> Iterator[tuple[Choice, float, dict[str, int]]]:
        """Yield every choice for `unit` with the noise and costs it adds to the base."""
        names = [self._weights if unit.weighted else self._weights[:1], self._activations]
        for weights in names[0]:
            for activations in names[1]:
                parts = [
                    self._effects.get((unit, name))
                    for name, base in (
                        (weights, self._default.weights),
                        (activations, self._default.activations),
                    )
                    if name != base
                ]
                known = [part for part in parts if part is not None]
                if len(known) == len(parts):
                    costs = {
                        name: sum(part.costs[name] for part in known)
                        for name in {self.goal.axis, *self.goal.budget}
                    }
                    yield Choice(weights, activations), sum(p.noise for p in known), costs

    def _hull(self) -> list[dict[Unit, Choice]]:
        """Return the states of least noise plus cost, for rates of exchange from low to high."""
        options = {unit: list(self._choices(unit)) for unit in self._units}
        start = self.seen[self._text({})]
        scale = noise(start) / max(1, start.cost(self.goal.axis))
        states: dict[str, dict[Unit, Choice]] = {}
        for step in range(_RATES):
            rate = scale * 10 ** (8 * step / _RATES - 4)
            state = {
                unit: min(found, key=lambda c: (c[1] + rate * c[2][self.goal.axis], c[0].weights))[
                    0
                ]
                for unit, found in options.items()
            }
            states.setdefault(self._text(state), state)
        return list(states.values())

    def _walk(self, states: Sequence[dict[Unit, Choice]]) -> None:
        """Try states of the hull: some over its length, and those around the limit."""
        self._states.update({self._text(state): state for state in states})
        self._states.setdefault(self._text({}), {unit: self._default for unit in self._units})
        count = len(states)
        spread = (
            [states[round(n * (count - 1) / (_PATH - 1))] for n in range(_PATH)] if count else []
        )
        self._try(map(self._text, spread))
        for _ in range(2):  # between the two neighbours on either side of the limit
            kept = [n for n, s in enumerate(states) if self._excess(s) == 0.0]
            missed = [n for n, s in enumerate(states) if self._excess(s) not in (None, 0.0)]
            near = [
                n
                for k in kept
                for m in missed
                if not any(min(k, m) < x < max(k, m) for x in (*kept, *missed))
                for n in range(min(k, m) + 1, max(k, m))
            ]
            step = max(1, len(near) // _TOGETHER)
            self._try(self._text(states[n]) for n in near[::step])

    def _excess(self, state: State) -> float | None:
        figures = self.seen.get(self._text(state))
        return None if figures is None else self.goal.excess(figures)

    def _improve(self) -> None:
        """Step from the best state to neighbours as long as that helps."""
        waited = 0
        while self._left > 0 and waited < _PATIENCE:
            tried = [text for text in self._states if text in self.seen]
            best = min(tried, key=lambda text: (self.goal.rank(self.seen[text]), text))
            near = self._neighbours(self._states[best], self.seen[best])
            if not near:
                return
            self._states.update({self._text(state): state for state in near})
            self._try(map(self._text, near))
            rank = self.goal.rank(self.seen[best])
            better = any(
                self.goal.rank(self.seen[text]) < rank
                for text in map(self._text, near)
                if text in self.seen
            )
            waited = 0 if better else waited + 1

    def _neighbours(self, state: dict[Unit, Choice], figures: Figures) -> list[dict[Unit, Choice]]:
        """Return the untried states one or two changes away that promise most."""
        steps = list(self._steps(state))
        moves: list[tuple[_Step, ...]] = [(step,) for step in steps]
        moves += [(a, b) for n, a in enumerate(steps) for b in steps[n + 1 :] if a[0] != b[0]]
        ranked = sorted(moves, key=lambda move: self._promise(figures, move))
        out: list[dict[Unit, Choice]] = []
        for move in ranked:
            if len(out) == _TOGETHER or self._promise(figures, move)[0] == math.inf:
                break
            near = state | {unit: choice for unit, choice, _, _ in move}
            if self._text(near) not in self.seen:
                out.append(near)
        return out

    def _steps(self, state: Mapping[Unit, Choice]) -> Iterator[_Step]:
        """Yield every single change of `state`."""
        for unit in self._units:
            options = list(self._choices(unit))
            now = next((o for o in options if o[0] == state[unit]), None)
            if now is None:
                continue
            for choice, added, costs in options:
                if choice != now[0]:
                    less = {name: value - now[2][name] for name, value in costs.items()}
                    yield unit, choice, added - now[1], less

    def _promise(self, figures: Figures, move: Sequence[_Step]) -> tuple[float, ...]:
        """Return a key by which moves that should lead to the best figures come first."""
        added = sum(step[2] for step in move)
        costs = {
            name: figures.cost(name) + sum(step[3][name] for step in move)
            for name in {self.goal.axis, *self.goal.budget}
        }
        excess = sum(max(0.0, costs[name] / most - 1) for name, most in self.goal.budget.items())
        cost = costs[self.goal.axis]
        if self.goal.floor is None:
            return (excess, added, cost)
        saved = figures.cost(self.goal.axis) - cost
        if saved <= 0:
            # Nothing is saved: of use only to come back above the floor.
            return (excess, added, cost) if self.goal.excess(figures) else (math.inf, added, cost)
        return (excess, added / saved, cost)
