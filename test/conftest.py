"""Tests depend neither on time nor on luck: seeds of random numbers, and of drawn cases.

PyTorch, numpy and `random` start every test, shared fixture and test module from a seed made of its
name, whatever ran before. Drawn cases (hypothesis, test/generated) are the same in every run,
unless the variable TOSAIC_SEED has a number: then they are drawn from it. Every process computes in
one thread: sums have one order, and workers do not wait for one another.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import zlib
from collections.abc import Iterator

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, by processes below too

import numpy as np
import torch

SEED = os.environ.get("TOSAIC_SEED")

hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("drawn", deadline=None, database=None)
hypothesis.settings.load_profile("drawn" if SEED else "fixed")


@contextlib.contextmanager
def seeded(name: str) -> Iterator[None]:
    """Start all random numbers from a seed made of `name`; the states are put back at the end."""
    seed = zlib.crc32(name.encode())
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if SEED and config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = SEED


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    with seeded(collector.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Iterator[None]:
    if fixturedef.scope == "function":
        return (yield)  # part of its test
    with seeded(f"{fixturedef.baseid}::{fixturedef.argname}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with seeded(item.nodeid):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SEED:
        terminalreporter.write_line(f"Cases were drawn from TOSAIC_SEED={SEED}.")


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Scratch files of the compiler and its tools are in pytest's folder, not in a shared one."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("scratch"))
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
