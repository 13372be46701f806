"""Where trials run: in this process, or side by side through Dask."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from tosaic.errors import InputError
from tosaic.tuning.trials import Figures, Study, run_trial


class Workers(Protocol):
    """Runs trials in any order."""

    def run(self, study: Study, recipes: Sequence[str]) -> Iterator[tuple[str, Figures]]:
        """Yield each recipe (TOML) with its figures as it is finished."""
        ...


class _Here:
    def run(self, study: Study, recipes: Sequence[str]) -> Iterator[tuple[str, Figures]]:
        for text in recipes:
            yield text, run_trial(study, text)


class _Dask:
    """A Dask cluster; the study goes to each worker once.

    A trial whose worker died runs again on another; one that kills every worker it is given to is a
    trial that failed.
    """

    def __init__(self, client: Any, distributed: Any) -> None:
        self._client = client
        self._distributed = distributed

    def run(self, study: Study, recipes: Sequence[str]) -> Iterator[tuple[str, Figures]]:
        cloudpickle = importlib.import_module("cloudpickle")
        _send_by_value(study.metric, cloudpickle)
        # A task's result, unlike data sent to workers, is made anew where its worker died. Packed
        # here: what Dask cannot unpack ends the worker, which then is waited for in vain.
        packed = cloudpickle.dumps(study)
        held = self._client.submit(cloudpickle.loads, packed, key=f"study-{study.key}")
        futures = {self._client.submit(run_trial, held, text, pure=False): text for text in recipes}
        for future in self._distributed.as_completed(futures):
            try:
                figures = future.result()
            except self._distributed.KilledWorker as error:
                figures = Figures(error=f"It ended the process it ran in: {error}")
            except (ImportError, AttributeError) as error:
                raise InputError(
                    f"The workers cannot load the model or the metric: {error}. Put the file that "
                    "defines them where the workers import from too (PYTHONPATH), or use workers=0."
                ) from error
            yield futures[future], figures


def _send_by_value(metric: Any, cloudpickle: Any) -> None:
    """Let a function of a file that was run, not imported, cross to workers with its code."""
    module = sys.modules.get(getattr(metric, "__module__", ""))
    if module is not None and module.__spec__ is None and module.__name__ != "__main__":
        cloudpickle.register_pickle_by_value(module)


def open_workers(count: int, scheduler: str | None) -> AbstractContextManager[Workers]:
    """Return a context with `count` local worker processes, or those of a Dask `scheduler`.

    A count of 0 runs all trials in this process, without Dask.

    Raises:
        InputError: `count` is negative, Dask is not installed or the scheduler does not answer.
    """
    if count < 0:
        raise InputError(f"workers={count} must be 0 (this process), or how many processes to run.")
    return _local() if count == 0 and scheduler is None else _cluster(count, scheduler)


@contextmanager
def _local() -> Iterator[Workers]:
    yield _Here()


@contextmanager
def _cluster(count: int, scheduler: str | None) -> Iterator[Workers]:
    distributed = _import_distributed()
    if scheduler is not None:
        try:
            client = distributed.Client(scheduler, timeout=20)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"No Dask scheduler answers at '{scheduler}': {error}. Start one (dask scheduler) "
                "and give the address that it prints, such as tcp://host:8786."
            ) from error
        with client:
            yield _Dask(client, distributed)
        return
    # A worker computes in one thread: torch's and MLIR's would only get in each other's way.
    with (
        distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield _Dask(client, distributed)


def _import_distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise InputError(
            "Running trials side by side needs Dask, which is not installed. Install it with: pip "
            "install 'tosaic[tune]'; or use workers=0, which runs them one after another."
        ) from error
