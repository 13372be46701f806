"""Spellings of LSTM and GRU: cells by hand, over a few steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spellings.spelling import Between, Family, Inputs, drawn, structured

SIZE, STEPS = 16, 4


def host(piece: nn.Module) -> nn.Module:
    return Between(nn.Linear(SIZE, SIZE), piece, nn.Linear(SIZE, SIZE))


def sequence(seed: int) -> Inputs:
    return (structured(seed, 1, STEPS, SIZE),)


def _weights(gates: int) -> dict[str, Tensor]:
    return {
        "w": drawn(1, gates * SIZE, SIZE),
        "u": drawn(2, gates * SIZE, SIZE),
        "b": drawn(3, gates * SIZE),
        "c": drawn(4, gates * SIZE),
    }


LSTM = Family("lstm_cell", host, sequence, lambda: _weights(4))
GRU = Family("gru_cell", host, sequence, lambda: _weights(3))
FAMILIES = (LSTM, GRU)
spelling = LSTM.spelling


@spelling(
    "torch",
    differs="core ATen adds the gates of a step at once, and takes two sigmoids together",
    differs_in=("core",),
)
def module(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    zero = torch.zeros(1, 1, SIZE)
    return torch.lstm(x, (zero, zero), (w, u, b, c), True, 1, 0.0, False, False, True)[0]


@spelling("torch")
def module_cell(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    state = (torch.zeros(1, SIZE), torch.zeros(1, SIZE))
    outputs = []
    for step in range(STEPS):
        state = torch.lstm_cell(x[:, step], state, w, u, b, c)
        outputs.append(state[0])
    return torch.stack(outputs, 1)


@spelling("hand")
def chunked(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h, cell = torch.zeros(1, SIZE), torch.zeros(1, SIZE)
    outputs = []
    for step in range(STEPS):
        gates = F.linear(x[:, step], w, b) + F.linear(h, u, c)
        i, f, g, o = gates.chunk(4, 1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(cell)
        outputs.append(h)
    return torch.stack(outputs, 1)


@spelling("hand")
def split_in_front(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h, cell = torch.zeros(1, SIZE), torch.zeros(1, SIZE)
    given = F.linear(x, w, b + c)
    outputs = []
    for step in given.unbind(1):
        i, f, g, o = torch.split(step + h @ u.t(), SIZE, dim=-1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        h = o.sigmoid() * cell.tanh()
        outputs.append(h.unsqueeze(1))
    return torch.cat(outputs, 1)


@spelling("hand", differs="a layer of input and state at each step, not one of all inputs")
def joined(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h, cell = torch.zeros(1, SIZE), torch.zeros(1, SIZE)
    outputs = []
    for step in range(STEPS):
        both = torch.cat([x[:, step, :], h], dim=1)
        i, f, g, o = F.linear(both, torch.cat([w, u], 1), b + c).chunk(4, dim=1)
        cell = cell * torch.sigmoid(f) + torch.tanh(g) * torch.sigmoid(i)
        h = torch.tanh(cell) * torch.sigmoid(o)
        outputs.append(h)
    return torch.stack(outputs, dim=1)


@spelling("keras-like")
def apart(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h, cell = torch.zeros(1, SIZE), torch.zeros(1, SIZE)
    (wi, wf, wg, wo), (ui, uf, ug, uo) = w.chunk(4), u.chunk(4)
    (bi, bf, bg, bo), (ci, cf, cg, co) = b.chunk(4), c.chunk(4)
    outputs = []
    for step in range(STEPS):
        now = x[:, step]
        i = torch.sigmoid(F.linear(now, wi, bi) + F.linear(h, ui, ci))
        f = torch.sigmoid(F.linear(now, wf, bf) + F.linear(h, uf, cf))
        g = torch.tanh(F.linear(now, wg, bg) + F.linear(h, ug, cg))
        o = torch.sigmoid(F.linear(now, wo, bo) + F.linear(h, uo, co))
        cell = f * cell + i * g
        h = o * torch.tanh(cell)
        outputs.append(h)
    return torch.stack(outputs, 1)


spelling_gru = GRU.spelling


@spelling_gru(
    "torch", differs="core ATen adds gates of rank 2 to gates of rank 3", differs_in=("core",)
)
def module_gru(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    zero = torch.zeros(1, 1, SIZE)
    return torch.gru(x, zero, (w, u, b, c), True, 1, 0.0, False, False, True)[0]


@spelling_gru("torch")
def module_gru_cell(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h = torch.zeros(1, SIZE)
    outputs = []
    for step in range(STEPS):
        h = torch.gru_cell(x[:, step], h, w, u, b, c)
        outputs.append(h)
    return torch.stack(outputs, 1)


@spelling_gru("hand")
def chunked_gru(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h = torch.zeros(1, SIZE)
    outputs = []
    for step in range(STEPS):
        given, kept = F.linear(x[:, step], w, b), F.linear(h, u, c)
        (r, z, n), (hr, hz, hn) = given.chunk(3, 1), kept.chunk(3, 1)
        r, z = torch.sigmoid(r + hr), torch.sigmoid(z + hz)
        n = torch.tanh(n + r * hn)
        h = (1 - z) * n + z * h
        outputs.append(h)
    return torch.stack(outputs, 1)


@spelling_gru("hand")
def split_gru(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h = torch.zeros(1, SIZE)
    outputs = []
    for step in F.linear(x, w, b).unbind(1):
        r, z, n = step.split(SIZE, -1)
        hr, hz, hn = torch.addmm(c, h, u.t()).split(SIZE, -1)
        reset, update = (r + hr).sigmoid(), (z + hz).sigmoid()
        n = (n + reset * hn).tanh()
        h = n + update * (h - n)
        outputs.append(h)
    return torch.stack(outputs, 1)


@spelling_gru("keras-like")
def apart_gru(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h = torch.zeros(1, SIZE)
    (wr, wz, wn), (ur, uz, un) = w.chunk(3), u.chunk(3)
    (br, bz, bn), (cr, cz, cn) = b.chunk(3), c.chunk(3)
    outputs = []
    for step in range(STEPS):
        now = x[:, step]
        r = torch.sigmoid(F.linear(now, wr, br) + F.linear(h, ur, cr))
        z = torch.sigmoid(F.linear(now, wz, bz) + F.linear(h, uz, cz))
        n = torch.tanh(F.linear(now, wn, bn) + r * F.linear(h, un, cn))
        h = z * h + (1 - z) * n
        outputs.append(h)
    return torch.stack(outputs, 1)
