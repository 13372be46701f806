"""Random PyTorch programs: a seed gives a program, as text that can be read and run.

A program grows by one expression at a time over what it has. What eager PyTorch refuses is not
taken, so that no shape or dtype has to be worked out here. Most are small and odd: ranks 0 to 6,
dims of 1, broadcasting, views, writes in place, values used twice or never, inputs and constants
among the outputs.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST = 200  # elements of a value
DTYPES = (torch.float32, torch.int64, torch.bool, torch.uint8)


@dataclass(frozen=True)
class Step:
    """One statement: ``v = text`` with ``{0}``, ``{1}`` … for the values it reads."""

    text: str
    reads: tuple[int, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it changes a value in place."""
        return "_(" in self.text


@dataclass(frozen=True)
class Program:
    """Values are numbered: `inputs`, then `weights`, then what each of `steps` gives."""

    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def name(self, value: int) -> str:
        """Return what value number `value` is called in the text."""
        first, second = len(self.inputs), len(self.inputs) + len(self.weights)
        if value < first:
            return f"x{value}"
        return f"self.w{value - first}" if value < second else f"v{value - second}"

    def body(self) -> list[str]:
        """Return the statements of ``forward``."""
        before = len(self.inputs) + len(self.weights)
        lines = [
            f"{self.name(before + n)} = {step.text.format(*map(self.name, step.reads))}"
            for n, step in enumerate(self.steps)
        ]
        return [*lines, f"return {', '.join(map(self.name, self.outputs))},"]

    def module(self) -> nn.Module:
        """Return the program as a module in eval mode."""
        names = ", ".join(["self", *(f"x{n}" for n in range(len(self.inputs)))])
        text = f"def forward({names}):\n" + "".join(f"    {line}\n" for line in self.body())
        scope: dict[str, Any] = {"torch": torch, "F": F}
        exec(compile(text, "<generated>", "exec"), scope)
        module = type("Generated", (nn.Module,), {"forward": scope["forward"]})()
        for n, weight in enumerate(self.weights):
            setattr(module, f"w{n}", nn.Parameter(weight.clone(), requires_grad=False))
        return module.eval()

    def run(self, inputs: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Return what eager PyTorch computes; `inputs` stay as they are."""
        given = [x.clone() for x in (self.inputs if inputs is None else inputs)]
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return [y.clone() for y in self.module()(*given)]

    def script(self, tail: str) -> str:
        """Return a script of its own that makes ``model`` and ``inputs``, then does `tail`."""
        names = ", ".join(["self", *(f"x{n}" for n in range(len(self.inputs)))])
        weights = [
            f"        self.w{n} = nn.Parameter({_literal(w)})\n" for n, w in enumerate(self.weights)
        ]
        given = "".join(f"{_literal(x)}, " for x in self.inputs)
        init = ["    def __init__(self):\n        super().__init__()\n", *weights, "\n"]
        return (
            "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\nimport tosaic\n"
            "\n\nclass Model(nn.Module):\n"
            + "".join(init if weights else [])
            + f"    def forward({names}):\n"
            + "".join(f"        {line}\n" for line in self.body())
            + f"\n\nmodel = Model().eval()\ninputs = ({given})"
            + f"\n{tail}\n"
        )


def _literal(x: Tensor) -> str:
    text = f"torch.tensor({x.flatten().tolist()}, dtype={x.dtype})"
    return f"{text}.reshape({tuple(x.shape)})"


# --- what a program is made of -------------------------------------------------------------------

Values = list[Tensor]


@dataclass
class _Maker:
    """Draws steps over the values there are."""

    rng: random.Random
    values: Values = field(default_factory=list)

    def pick(self, wanted: Callable[[Tensor], bool] = lambda x: True) -> int:
        """Return a value's number; new ones are drawn more often, so that programs get deep."""
        fitting = [n for n, x in enumerate(self.values) if wanted(x)]
        if not fitting:
            raise LookupError
        return fitting[max(self.rng.randrange(len(fitting)) for _ in range(2))]

    def real(self) -> int:
        return self.pick(lambda x: x.dtype == torch.float32)

    def dim(self, x: int, *, end: bool = False) -> int:
        rank = self.values[x].ndim + end
        return self.rng.randrange(-rank, rank) if rank else self.rng.choice((0, -1))

    def shape(self, count: int) -> tuple[int, ...]:
        """Return a shape of `count` elements."""
        dims = []
        while count > 1:
            factor = self.rng.choice([n for n in range(1, count + 1) if count % n == 0])
            dims.append(factor)
            count //= factor
        dims += [1] * self.rng.randrange(3)
        self.rng.shuffle(dims)
        return tuple(dims[:6]) if len(dims) <= 6 else (self.rng.choice(dims),)


def _drawn_shape(rng: random.Random) -> tuple[int, ...]:
    rank = rng.choice((0, 1, 2, 2, 3, 3, 4, 4, 5, 6))
    return tuple(
        rng.choice((1, 1, 2, 3, 4, 5, 7) if rank < 5 else (1, 1, 2, 3)) for _ in range(rank)
    )


def _drawn(rng: random.Random, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(rng.randrange(2**32))
    if dtype == torch.float32:
        return torch.randn(shape, generator=generator)
    low, high = {torch.int64: (-4, 8), torch.uint8: (0, 256), torch.bool: (0, 2)}[dtype]
    return torch.randint(low, high, shape, generator=generator).to(dtype)


_UNARY = [
    "relu", "neg", "abs", "sigmoid", "tanh", "erf", "sin", "cos", "square", "floor", "ceil",
    "round", "trunc", "sign", "frac", "isnan", "isinf", "logical_not", "expm1", "atan",
]  # fmt: skip
_UNARY_NN = [
    "gelu", "silu", "hardswish", "hardsigmoid", "hardtanh", "relu6", "leaky_relu", "elu",
    "softplus", "mish", "selu", "logsigmoid", "softsign", "celu",
]  # fmt: skip
_GUARDED = ("{0}.abs().add(0.5).sqrt()", "{0}.abs().add(0.5).rsqrt()", "{0}.abs().add(0.5).log()",
            "{0}.clamp(max=3.0).exp()",
            "{0}.abs().add(0.5).reciprocal()", "{0}.abs().log1p()")  # fmt: skip
_BINARY = [
    "add", "sub", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge",
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
]  # fmt: skip
_WITH_NUMBER = ("{0} + 1.5", "{0} + 2", "{0} * 3", "{0} * 0.37", "2 - {0}", "{0} / 2", "{0} ** 2",
                "{0} > 0.31", "{0} <= 1", "{0} == 1", "{0} + True", "{0}.clamp(-1, 1)",
                "{0}.clamp(min=0.2)", "~({0} > 0.1)", "{0} // 2", "{0} % 3", "-{0}")  # fmt: skip
_REDUCTIONS = ["sum", "mean", "amax", "amin", "prod", "any", "all", "argmax", "argmin", "logsumexp"]
_ALONG = ["softmax", "log_softmax", "cumsum"]
_CASTS = (".float()", ".long()", ".bool()", ".to(torch.uint8)", ".to(torch.int32)", ".clone()",
          ".detach()", ".contiguous()", ".type_as({0})")  # fmt: skip
_CONSTANTS = ("torch.tensor(1.5)", "torch.ones(2, 1)", "torch.arange(3)", "torch.zeros(1, 3)",
              "torch.full((3, 1), 0.25)", "torch.eye(3)", "torch.tensor([True, False, True])",
              "torch.linspace(-1, 1, 5)")  # fmt: skip


def _unary(m: _Maker) -> Step:
    kind = m.rng.randrange(4)
    if kind == 0:
        return Step(f"torch.{m.rng.choice(_UNARY)}({{0}})", (m.pick(),))
    if kind == 1:
        return Step(f"F.{m.rng.choice(_UNARY_NN)}({{0}})", (m.real(),))
    if kind == 2:
        return Step(m.rng.choice(_GUARDED), (m.real(),))
    return Step(m.rng.choice(_WITH_NUMBER), (m.pick(),))


def _binary(m: _Maker) -> Step:
    a, b = m.pick(), m.pick()
    kind = m.rng.randrange(8)
    if kind == 0:
        c = m.pick(lambda x: x.dtype == torch.bool)
        return Step("torch.where({2}, {0}, {1})", (a, b, c))
    if kind == 1:
        return Step("{0} / ({1}.abs() + 0.5)", (a, b))
    if kind == 2:
        return Step(f"torch.add({{0}}, {{1}}, alpha={m.rng.choice((2, -1))})", (a, b))
    return Step(f"torch.{m.rng.choice(_BINARY)}({{0}}, {{1}})", (a, b))


def _reduction(m: _Maker) -> Step:
    x = m.pick()
    if m.rng.random() < 0.25:
        return Step(f"{{0}}.{m.rng.choice(_ALONG)}({m.dim(x)})", (x,))
    name = m.rng.choice(_REDUCTIONS)
    if m.rng.random() < 0.2 and name != "logsumexp":
        return Step(f"{{0}}.{name}()", (x,))
    keep = ", keepdim=True" if m.rng.random() < 0.5 else ""
    if m.rng.random() < 0.2:
        return Step(
            f"{{0}}.{m.rng.choice(('max', 'min'))}({m.dim(x)}{keep})[{m.rng.randrange(2)}]", (x,)
        )
    if m.rng.random() < 0.3 and m.values[x].ndim > 1:
        dims = m.rng.sample(range(m.values[x].ndim), 2)
        return Step(f"{{0}}.{name}({tuple(dims)}{keep})", (x,))
    return Step(f"{{0}}.{name}({m.dim(x)}{keep})", (x,))


def _view(m: _Maker) -> Step:
    x = m.pick()
    value, rng = m.values[x], m.rng
    rank, d = value.ndim, m.dim(x)
    size = value.shape[d] if rank else 1
    start = rng.randrange(max(size, 1))
    order = list(range(rank))
    rng.shuffle(order)
    padding = [rng.randrange(3) for _ in range(2 * max(1, min(rank, rng.randrange(1, 3))))]
    wide = tuple(rng.choice((s, 3 if s == 1 else s)) for s in value.shape)
    repeats = [rng.choice((1, 1, 2)) for _ in range(rank + rng.randrange(2))]
    return Step(
        rng.choice(
            (
                f"{{0}}.reshape({m.shape(value.numel())})",
                f"{{0}}.permute({tuple(order)})",
                f"{{0}}.transpose({d}, {m.dim(x)})",
                f"{{0}}.unsqueeze({m.dim(x, end=True)})",
                f"{{0}}.squeeze({d})",
                "{0}.squeeze()",
                "{0}.flatten()",
                f"{{0}}.flatten({min(1, max(rank - 1, 0))})",
                f"{{0}}.expand({(rng.choice((1, 2)), *wide)})",
                f"{{0}}.narrow({d}, {start}, {rng.randrange(1, size - start + 1) if size else 0})",
                f"{{0}}.select({d}, {start})",
                f"{{0}}[..., {start}:]",
                f"{{0}}[:, ::{rng.choice((1, 2))}]",
                "{0}[..., None]",
                f"{{0}}.flip({d})",
                f"{{0}}.roll({rng.choice((1, -1, 2))}, {d})",
                f"{{0}}.chunk(2, {d})[{rng.randrange(2)}]",
                f"{{0}}.unbind({d})[{start}]",
                f"F.pad({{0}}, {padding})",
                f"{{0}}.repeat({repeats})",
                "{0}.mT",
                f"torch.tril({{0}}, {rng.choice((-1, 0, 1))})",
                f"torch.triu({{0}}, {rng.choice((-1, 0, 1))})",
                f"{{0}}.diagonal({rng.choice((-1, 0, 1))})",
                "{0}.view_as({0})",
            )
        ),
        (x,),
    )


def _joined(m: _Maker) -> Step:
    a = m.pick()
    like = m.values[a]
    others = [m.pick(lambda x: x.ndim == like.ndim) for _ in range(m.rng.randrange(1, 3))]
    names = ", ".join(f"{{{n}}}" for n in range(1 + len(others)))
    what = "stack" if m.rng.random() < 0.4 else "cat"
    return Step(f"torch.{what}([{names}], {m.dim(a, end=what == 'stack')})", (a, *others))


def _indexed(m: _Maker) -> Step:
    x = m.pick()
    d, rng = m.dim(x), m.rng
    size = m.values[x].shape[d] if m.values[x].ndim else 1
    places = [rng.randrange(-size, size) for _ in range(rng.randrange(1, 4))] if size else [0]
    mask = [n for n, v in enumerate(m.values) if v.dtype == torch.bool]
    index = [n for n, v in enumerate(m.values) if v.dtype == torch.int64]
    forms: list[Step] = [
        Step(f"{{0}}[{places}]", (x,)),
        Step(f"{{0}}.index_select({d}, torch.tensor({[p % max(size, 1) for p in places]}))", (x,)),
    ]
    if mask:
        forms.append(
            Step(f"{{0}}.masked_fill({{1}}, {rng.choice((0, -1.5, 2))})", (x, rng.choice(mask)))
        )
    if index:
        i = rng.choice(index)
        forms += [
            Step(f"torch.gather({{0}}, {d}, {{1}}.abs() % {max(size, 1)})", (x, i)),
            Step(f"{{0}}[{{1}}.abs() % {m.values[x].shape[0] if m.values[x].ndim else 1}]", (x, i)),
            Step("F.one_hot({0}.abs() % 4, 4)", (i,)),
        ]
    return rng.choice(forms)


def _in_place(m: _Maker) -> Step:
    """On a copy, a view of one, or whatever there is."""
    x, y = m.pick(), m.pick()
    text = m.rng.choice(
        ("add_(1)", "mul_(2)", "relu_()", "neg_()", "zero_()", "fill_(1)", "clamp_(-1, 1)",
         "add_({1})", "mul_({1})", "copy_({1})", "sub_({1}, alpha=2)", "masked_fill_({0} > 0, 0.5)")
    )  # fmt: skip
    part = m.rng.choice(("", "", "[..., 0]", "[..., :1]", "[:1]", ".flatten()", ".squeeze()"))
    return Step(f"{{0}}{part}.{text}", (x, y) if "{1}" in text else (x,))


def _cast(m: _Maker) -> Step:
    return Step("{0}" + m.rng.choice(_CASTS), (m.pick(),))


def _constant(m: _Maker) -> Step:
    if m.rng.random() < 0.4:
        like = m.rng.choice(("zeros_like({0})", "ones_like({0})", "full_like({0}, 2)"))
        return Step(f"torch.{like}", (m.pick(),))
    return Step(m.rng.choice(_CONSTANTS))


def _layer(m: _Maker) -> Step:
    """What has weights, and pools; weights are any values that fit."""
    x = m.real()
    value, rng = m.values[x], m.rng
    rank = value.ndim
    last = value.shape[-1] if rank else 0
    w = m.pick(lambda v: v.dtype == torch.float32 and v.ndim == 2 and v.shape[1] == last)
    forms = ["F.linear({0}, {1})", "{0} @ {1}.mT", "{0} @ {0}.mT",
             "torch.matmul({0}, {0}.transpose(-1, -2))"]  # fmt: skip
    if rank in (3, 4):
        forms += ["F.avg_pool1d({0}, 2, 1)" if rank == 3 else "F.avg_pool2d({0}, 2, 1)",
                  "F.max_pool1d({0}, 2)" if rank == 3 else "F.max_pool2d({0}, 2, 2)",
                  f"F.adaptive_avg_pool{rank - 2}d({{0}}, 1)",
                  "F.scaled_dot_product_attention({0}, {0}, {0})",
                  "F.interpolate({0}, scale_factor=2)"]  # fmt: skip
    return Step(rng.choice(forms), (x, w))


def _norm(m: _Maker) -> Step:
    x = m.real()
    shape = m.values[x].shape[-1:]
    return Step(
        m.rng.choice((f"F.layer_norm({{0}}, {tuple(shape)})", "F.normalize({0}, dim=-1)")), (x,)
    )


def _convolution(m: _Maker) -> Step:
    x = m.pick(lambda v: v.dtype == torch.float32 and v.ndim == 4)
    channels = m.values[x].shape[1]
    w = m.pick(lambda v: v.dtype == torch.float32 and v.ndim == 4 and v.shape[1] in (1, channels))
    kernel = m.values[w]
    groups = channels if kernel.shape[1] == 1 else 1
    pad = max(kernel.shape[2:]) - 1
    options = m.rng.choice(
        (f"padding={pad}", f"padding={pad}, stride=2", f"padding={pad}, dilation=1")
    )
    return Step(f"F.conv2d({{0}}, {{1}}, {options}, groups={groups})", (x, w))


FAMILIES: dict[str, Callable[[_Maker], Step]] = {
    "unary": _unary,
    "binary": _binary,
    "reduction": _reduction,
    "view": _view,
    "joined": _joined,
    "indexed": _indexed,
    "in_place": _in_place,
    "cast": _cast,
    "constant": _constant,
    "layer": _layer,
    "norm": _norm,
    "convolution": _convolution,
}
_WEIGHTS = {"unary": 4, "binary": 4, "view": 4, "layer": 3, "reduction": 2}  # how often; else 1


def _ran(step: Step, values: Values) -> Tensor | None:
    """Return what eager PyTorch makes of `step`, None where it refuses or nothing is left."""
    names = [f"v{n}" for n in range(len(step.reads))]
    scope = {
        "torch": torch,
        "F": F,
        **dict(zip(names, (values[n] for n in step.reads), strict=True)),
    }
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            made = eval(step.text.format(*names), scope)
    except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError):
        return None
    if not isinstance(made, Tensor) or made.dtype not in (*DTYPES, torch.int32):
        return None
    if not 0 < made.numel() <= LARGEST or made.ndim > 6:
        return None
    finite = made.dtype != torch.float32 or bool(made.abs().lt(1e3).all())
    return made if finite else None


def draw(seed: str, families: Sequence[str] = tuple(FAMILIES)) -> Program:
    """Return the program of `seed`, of steps of `families`."""
    rng = random.Random(seed)
    dtypes = [torch.float32, *rng.choices(DTYPES, (6, 2, 1, 1), k=rng.randrange(3))]
    shapes = [_drawn_shape(rng)]
    for _ in dtypes[1:]:
        shapes.append(rng.choice((shapes[0], shapes[0][-1:], _drawn_shape(rng))))
    inputs = [_drawn(rng, *pair) for pair in zip(dtypes, shapes, strict=True)]
    last = shapes[0][-1] if shapes[0] else 3
    around = [(rng.choice((1, 3, 4)), last), (1, last), (rng.choice((1, 2)), 1, 3, 3)]
    weights = [_drawn(rng, torch.float32, s) for s in rng.sample(around, rng.randrange(3))]
    maker = _Maker(rng, [x.clone() for x in (*inputs, *weights)])
    steps: list[Step] = []
    frequency = [_WEIGHTS.get(name, 1) for name in families]
    wanted = rng.randrange(2, 9)
    for _ in range(20 * wanted):
        if len(steps) == wanted:
            break
        try:
            step = FAMILIES[rng.choices(families, frequency)[0]](maker)
        except LookupError:
            continue
        kept = [v.clone() for v in maker.values] if step.writes else None
        made = _ran(step, maker.values)
        if made is not None:
            steps.append(step)
            maker.values.append(made)
        elif kept is not None:
            return draw(seed + "'", families)  # a write that failed half way: drawn anew
    first = len(inputs) + len(weights)
    read = {n for step in steps for n in step.reads}
    constant = {*range(len(inputs), first)}
    for n, step in enumerate(steps, first):
        if constant.issuperset(step.reads):
            constant.add(n)
    ends = [n for n in range(first, len(maker.values)) if n not in read and rng.random() < 0.7]
    outputs = [*ends, *rng.choices(range(len(maker.values)), k=rng.choice((0, 0, 1, 2)))]
    if rng.random() < 0.8:  # a target of integers refuses whole programs for one in float
        outputs = [n for n in outputs if n not in constant]
    outputs = outputs or [len(maker.values) - 1]
    return Program(tuple(inputs), tuple(weights), tuple(steps), tuple(outputs))


# --- smaller programs that fail as well ----------------------------------------------------------


def _without(program: Program, value: int) -> Program:
    """Return `program` with the result of a step, as it was when made, for an input."""
    inputs, weights = len(program.inputs), len(program.weights)
    place = value - inputs - weights
    made = replace(program, steps=program.steps[: place + 1], outputs=(value,)).run()[0]

    def moved(n: int) -> int:
        if n == value:
            return inputs
        return n + 1 if inputs <= n < value else n

    steps = [
        Step(s.text, tuple(map(moved, s.reads))) for n, s in enumerate(program.steps) if n != place
    ]
    return Program(
        (*program.inputs, made), program.weights, tuple(steps), tuple(map(moved, program.outputs))
    )


def _pruned(program: Program) -> Program:
    """Return `program` without inputs, weights and steps that nothing reads; writes stay."""
    before = len(program.inputs) + len(program.weights)
    needed = set(program.outputs)
    for n in reversed(range(len(program.steps))):
        step = program.steps[n]
        if before + n in needed or step.writes:
            needed |= {before + n, *step.reads}
    order = sorted(needed)
    number = {old: new for new, old in enumerate(order)}
    first = len(program.inputs)
    return Program(
        tuple(x for n, x in enumerate(program.inputs) if n in needed),
        tuple(w for n, w in enumerate(program.weights, first) if n in needed),
        tuple(
            Step(s.text, tuple(number[r] for r in s.reads))
            for n, s in enumerate(program.steps, before)
            if n in needed
        ),
        tuple(number[n] for n in program.outputs),
    )


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Return a smaller program that `fails` as well; each candidate is tried, until none does."""

    def candidates(given: Program) -> list[Program]:
        before = len(given.inputs) + len(given.weights)
        outputs = (
            [replace(given, outputs=(n,)) for n in given.outputs] if len(given.outputs) > 1 else []
        )
        unwritten = [
            replace(given, outputs=(n,))
            for n in range(before, before + len(given.steps))
            if given.outputs != (n,)
        ]
        cut = [_without(given, n) for n in reversed(range(before, before + len(given.steps)))]
        made = [_pruned(c) for c in (*outputs, *unwritten, *cut)]
        return [c for c in made if _size(c) < _size(given)]

    best = program
    while True:
        smaller = next((c for c in candidates(best) if fails(c)), None)
        if smaller is None:
            return best
        best = smaller


def _size(program: Program) -> tuple[int, ...]:
    values = (*program.inputs, *program.weights)
    return len(program.steps), len(program.outputs), len(values)
