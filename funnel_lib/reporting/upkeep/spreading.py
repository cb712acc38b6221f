"""Reports on other machines: any executor of `concurrent.futures` makes them, and this one publishes them.

A worker must be able to read the workbook's folder under the same path; it writes nowhere but into a folder of its
own, and its report comes back as bytes. So a worker that dies has published nothing, and whoever takes its place makes
the same report.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from funnel_lib.errors import ConfigError
from funnel_lib.reporting import execute, kernels
from funnel_lib.reporting.execute import Order, Outcome

Delivery = tuple[Outcome, Mapping[str, bytes]]


def make_all(
    orders: Iterable[Order], executor: Executor, *, started: Callable[[Order], None]
) -> Iterator[tuple[Order, Outcome]]:
    """Carry out the orders on an executor and yield each as it ends, its files in the order's folder.

    A worker that is lost is a failed report and stops nothing, unless the executor itself has the report made again.
    """
    waiting = {}
    for order in orders:
        waiting[executor.submit(delivered, order)] = order
        started(order)
    try:
        for future in as_completed(waiting):
            order, fault = waiting[future], future.exception()
            if fault is not None:
                yield order, Outcome("failed", 0.0, f"The worker of this report was lost: {fault}")
                continue
            outcome, files = future.result()
            for name, content in files.items():
                (order.log if name == execute.LOG else order.folder / name).write_bytes(content)
            yield order, outcome
    finally:
        for future in waiting:
            future.cancel()


def delivered(order: Order) -> Delivery:
    """Carry out an order in a process of its own and return what became of it with its files.

    The process is a new interpreter: a worker may have threads, and may not be allowed children of another kind.
    """
    begun = monotonic()
    with TemporaryDirectory(prefix="funnel-", ignore_cleanup_errors=True) as place, kernels.settings():
        folder, private = Path(place) / "report", Path(place) / "k"
        folder.mkdir()
        private.mkdir()
        mine = replace(order, folder=folder, private=private, fork=kernels.can_fork())
        result = Path(place) / "outcome"
        (Path(place) / "order").write_bytes(pickle.dumps(mine))
        command = [sys.executable, "-m", __name__, str(Path(place) / "order"), str(result)]
        try:
            with mine.log.open("wb") as log:
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=order.limits.report, check=False
                ).returncode
        except subprocess.TimeoutExpired:
            reason = f"The report took longer than {order.limits.report} seconds and was ended."
            return Outcome("failed", monotonic() - begun, reason), {}
        if not result.is_file():
            reason = f"The process of this report ended with code {code}; it may have run out of memory."
            return Outcome("failed", monotonic() - begun, reason), {}
        outcome: Outcome = pickle.loads(result.read_bytes())  # noqa: S301 - written by our own process just now
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        if mine.log.stat().st_size:
            files[execute.LOG] = mine.log.read_bytes()
        return outcome, files


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Give an executor on the Dask cluster whose scheduler listens at `address`, such as ``tcp://host:8786``.

    Raises
    ------
    ConfigError : the extra is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            "Reports on a cluster need Dask.", where="--scheduler", found="no package distributed",
            do='Install the extra: pip install "funnel-lib[dask]"',
        ) from error  # fmt: skip
    try:
        client: Any = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            "The scheduler cannot be reached.", where="--scheduler", found=address, allowed="tcp://host:port",
            do="Start it with dask scheduler, or correct the address.",
        ) from error  # fmt: skip
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()


def main(order: Path, result: Path) -> None:
    """Carry out the order in a file and write what became of it into another."""
    kernels.end_with(os.getppid())
    asked: Order = pickle.loads(order.read_bytes())  # noqa: S301 - written by our own process just now
    kernels.bound_memory(asked.limits.memory)
    part = result.with_suffix(".part")
    part.write_bytes(pickle.dumps(execute.make(asked)))
    os.replace(part, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
