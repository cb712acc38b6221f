"""Kernels for the notebooks of a run: of this interpreter, private, and quick to start.

A stock ipykernel spends two seconds on imports before the first cell. Where the system can fork, a run
therefore keeps one process that has imported everything (`warm`), forks a process from it for each report,
and that one forks a real ipykernel before it opens any socket or thread. Elsewhere, or with the environment
variable `FUNNEL_STOCK_KERNEL=1`, the kernel is started as Jupyter does. Outputs are the same either way.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

STOCK = "FUNNEL_STOCK_KERNEL"
PR_SET_PDEATHSIG = 1
LONGEST = 85  # a socket's path may have 103 characters
SETTINGS = {
    # A process with threads must not be forked: linear algebra and Arrow's spare allocator would start some.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONHASHSEED": "0",
    "JUPYTER_PLATFORM_DIRS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the debugger, which a kernel always loads, writes a warning
}


def can_fork() -> bool:
    """Tell whether kernels are forked here: on Linux, unless `FUNNEL_STOCK_KERNEL` is set to 1."""
    return sys.platform == "linux" and os.environ.get(STOCK, "0") in ("", "0")


def start_warm() -> BaseContext:
    """Start the process that reports are forked from, without waiting for its imports; return its context.

    Where nothing can be forked the context starts fresh interpreters.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["funnel_lib.reporting.warm"])
    with settings():
        forkserver.ensure_running()
    return context


@contextmanager
def settings() -> Iterator[None]:
    """Set the environment that reports are made in, and put the caller's back afterwards."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def nameless_main() -> Iterator[None]:
    """Keep new processes from importing the caller's script, which may start a run when it is imported."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def end_with_parent() -> None:
    """End this process when the one that started it does, so that a killed run leaves nothing running."""
    parent = multiprocessing.parent_process()

    def follow(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        Thread(target=follow, args=(parent,), daemon=True).start()


def end_with(parent: int) -> None:
    """Let the system end this process when `parent`, which started it, ends: one that hangs in compiled code, too.

    Only Linux can do so; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended just before
        os._exit(1)


def bound_memory(size: int | None) -> None:
    """Let this process, and those that it starts, take `size` bytes more than it has now; as many as it likes for None.

    Who asks for more gets a MemoryError. What they ask for as data is counted, not the files that they map. Only
    Linux can do so; elsewhere nothing happens.
    """
    if size is None or sys.platform != "linux":
        return
    import resource

    told = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    has = int(told.partition("VmData:")[2].split()[0]) * 1024
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = has + size
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


class Waiting:
    """A forked process that waits for the order to become a kernel.

    It must be made before the process that makes it opens sockets or starts threads. It offers what
    jupyter_client asks of a started kernel's process.
    """

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        orders, self._send = multiprocessing.Pipe(duplex=False)
        self._process: BaseProcess = multiprocessing.get_context("fork").Process(
            target=_become_kernel, args=(orders, self._send), daemon=True
        )
        self._process.start()
        orders.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return int(self._process.pid or 0)

    def order(self, argv: list[str], folder: str, environment: dict[str, str]) -> None:
        """Let the process become a kernel with these arguments, working folder and environment."""
        self._send.send((argv, folder, environment))
        self._send.close()

    def poll(self) -> int | None:
        """Return the exit code, or None while the kernel lives."""
        return self._process.exitcode

    def wait(self) -> int | None:
        """Wait for the end and return the exit code."""
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """End the kernel."""
        self._process.terminate()

    def kill(self) -> None:
        """End the kernel at once."""
        self._process.kill()


def manager(waiting: Waiting | None, folder: Path) -> type[AsyncKernelManager]:
    """Return a manager class for one kernel of this interpreter, whatever kernels the user has installed.

    Its sockets and its IPython profile lie in `folder` (existing, empty), so that kernels that
    start together cannot collide and a user's start-up files change no report.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner

    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = KernelSpec(argv=argv, display_name="Python 3 (ipykernel)", language="python")

    class Forking(LocalProvisioner):
        process: Any  # a Waiting, or the Popen of a stock kernel

        async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
            if waiting is None:
                return await super().launch_kernel(cmd, **options)
            where = str(options.get("cwd") or Path.cwd())
            waiting.order(cmd[3:], where, options["env"])
            self.process, self.pid, self.pgid, self.cwd = waiting, waiting.pid, waiting.pid, where
            return self.connection_info

    class Private(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.transport = "ipc" if sys.platform != "win32" and len(str(folder)) < LONGEST else "tcp"
            self.connection_file = str(folder / "kernel.json")
            self._kernel_spec = spec
            self.provisioner = Forking(kernel_id="report", kernel_spec=spec, parent=self)

        async def _async_pre_start_kernel(self, **options: Any) -> Any:
            environment = {**os.environ, **SETTINGS, "IPYTHONDIR": str(folder / "ipython")}
            return await super()._async_pre_start_kernel(**{**options, "env": environment})

    return Private


def _become_kernel(orders: Connection, unused: Connection) -> None:
    """Wait for orders, then be an ipykernel, as `python -m ipykernel_launcher` would."""
    unused.close()
    os.setsid()
    end_with(os.getppid())
    try:
        argv, folder, environment = orders.recv()
    except EOFError:  # the report ended before it needed a kernel
        return
    orders.close()
    os.environ.update(environment)
    os.chdir(folder)
    from ipykernel.kernelapp import IPKernelApp

    launcher = find_spec("ipykernel_launcher")
    sys.argv = [str(launcher.origin) if launcher else "ipykernel_launcher", *argv]

    application: Any = IPKernelApp.instance(parent_handle=os.getppid())  # ends when its parent does
    application.initialize(argv)
    application.start()
