"""What a spelling is: a function of tensors and named weights, put between layers of a host net.

The first spelling of a family is its module form: PyTorch's own operator, against which the others
are judged. All have the same weights, hosts and inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

Inputs = tuple[Tensor, ...]
CALIBRATION, HELD_OUT = range(16), range(100, 132)
# How a program reaches the compiler: as exported, without in-place ops, in core ATen.
FORMS = ("exported", "functional", "core")


@dataclass(frozen=True)
class Spelling:
    """One way to write what `family` computes; `source` says whose manner it is.

    `takes` are the places of its arguments among the family's inputs. `differs` is why it cannot
    have the module form's ops, "" where it has them, and `differs_in` are the forms it holds for.
    """

    family: str
    name: str
    source: str
    function: Callable[..., Tensor]
    takes: tuple[int, ...] = (0,)
    differs: str = ""
    differs_in: tuple[str, ...] = FORMS

    def reason(self, form: str) -> str:
        """Return why it differs in `form`, "" where it does not."""
        return self.differs if form in self.differs_in else ""


class Written(nn.Module):
    """A spelling's function with the weights it reads."""

    def __init__(self, function: Callable[..., Tensor], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.function = function
        for name, value in weights.items():
            self.register_parameter(name, nn.Parameter(value.clone(), requires_grad=False))

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs, **dict(self.named_parameters()))


@dataclass
class Family:
    """Spellings of one function: `host(piece)` is the net around it, `inputs(seed)` one sample."""

    name: str
    host: Callable[[nn.Module], nn.Module]
    inputs: Callable[[int], Inputs]
    weights: Callable[[], Mapping[str, Tensor]] = dict
    spellings: dict[str, Spelling] = field(default_factory=dict)

    def spelling(
        self,
        source: str,
        *,
        takes: tuple[int, ...] = (0,),
        differs: str = "",
        differs_in: tuple[str, ...] = FORMS,
    ) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
        """Enter the decorated function under its name."""

        def enter(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
            name = function.__name__
            assert name not in self.spellings, name
            self.spellings[name] = Spelling(
                self.name, name, source, function, takes, differs, differs_in
            )
            return function

        return enter

    @property
    def module_form(self) -> Spelling:
        return next(iter(self.spellings.values()))

    def net(self, spelling: Spelling) -> nn.Module:
        """Return the host around `spelling`, its weights the same for all of the family."""
        piece = Written(spelling.function, self.weights())
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return self.host(piece).eval()

    def samples(self, spelling: Spelling, seeds: range) -> list[Inputs]:
        """Return what `spelling` takes of the samples of `seeds`."""
        return [tuple(self.inputs(seed)[place] for place in spelling.takes) for seed in seeds]


class Side(nn.Module):
    """Several spellings of one family side by side: one output each, inputs shared."""

    def __init__(self, family: Family, spellings: list[Spelling]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(family.net(s) for s in spellings)
        self.takes = sorted({place for s in spellings for place in s.takes})
        self.places = [[self.takes.index(place) for place in s.takes] for s in spellings]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            net(*(inputs[place] for place in places))
            for net, places in zip(self.nets, self.places, strict=True)
        )


def exported(net: nn.Module, inputs: Inputs, form: str) -> ExportedProgram:
    """Return `net` exported in one of `FORMS`."""
    with torch.no_grad():
        program = torch.export.export(net, inputs, strict=False)
    if form == "functional":
        return program.run_decompositions({})
    return program.run_decompositions() if form == "core" else program


class Between(nn.Module):
    """A linear layer or 1x1 convolution before the piece and one behind it."""

    def __init__(self, before: nn.Module, piece: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.piece, self.after = before, piece, after

    def forward(self, x: Tensor, *rest: Tensor) -> Tensor:
        return self.after(self.piece(self.before(x), *rest))


DIM, TOKENS, CHANNELS, SIZE = 32, 16, 16, 8


def between_linears(piece: nn.Module) -> nn.Module:
    return Between(nn.Linear(DIM, DIM), piece, nn.Linear(DIM, DIM))


def between_convolutions(piece: nn.Module) -> nn.Module:
    return Between(nn.Conv2d(CHANNELS, CHANNELS, 1), piece, nn.Conv2d(CHANNELS, CHANNELS, 1))


def structured(seed: int, *shape: int) -> Tensor:
    """Return a sample with an offset and a pattern of its own, so that outputs differ by sample.

    Rows are up to four times larger and smaller than others, as tokens are, so that what a norm is
    computed from spans more than 8 bits.
    """
    rng = torch.Generator().manual_seed(seed)
    pattern = torch.randn(shape[-1], generator=rng) * torch.rand(*shape[:-1], 1, generator=rng)
    size = 4 ** (2 * torch.rand(*shape[:-1], 1, generator=rng) - 1)
    noise = torch.randn(*shape, generator=rng)
    return size * (noise + 2 * pattern + torch.randn(1, generator=rng))


def rows(seed: int) -> Inputs:
    return (structured(seed, 1, TOKENS, DIM),)


def image(seed: int) -> Inputs:
    return (structured(seed, 1, CHANNELS, SIZE, SIZE),)


def drawn(seed: int, *shape: int, around: float = 0.0, spread: float = 0.2) -> Tensor:
    """Return weights, the same each time."""
    rng = torch.Generator().manual_seed(seed)
    return around + spread * torch.randn(*shape, generator=rng)
