"""A PostgreSQL server of one's own, for as long as it is needed: a temporary folder, a free port, loopback only.

`python tests/integration/postgres.py measure 3000000` measures what reading so many events from one costs.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from funnel_lib.connection import connect
from funnel_lib.conversion.engine.database import DatabaseSource
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Funnel, Step

PASSWORD = "only-for-this-test"
INSTALL = "apt-get install -y --no-install-recommends postgresql"


@dataclass(frozen=True)
class Server:
    """A running server; `pid` is that of its first process."""

    port: int
    pid: int
    host: str = "127.0.0.1"
    user: str = "postgres"
    database: str = "postgres"

    @property
    def address(self) -> str:
        return f"postgres://{self.user}:{PASSWORD}@{self.host}:{self.port}/{self.database}"

    @property
    def parameters(self) -> dict[str, object]:
        """What psycopg and Ibis need to connect."""
        return {"host": self.host, "port": self.port, "user": self.user, "password": PASSWORD}


def programs() -> Path:
    """Return the folder with `initdb` and `postgres`; the newest version where there are several."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = shutil.which("postgres")
    folders = [*([Path(found).resolve().parent] if found else []), *folders]
    usable = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not usable:
        raise RuntimeError(f"This test needs a PostgreSQL server, which is not installed: {INSTALL}")
    return usable[-1]


@contextmanager
def server(*settings: str) -> Iterator[Server]:
    """Start a server with further `settings` (such as `work_mem=64MB`); stop it, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="funnel-postgres-"))
    try:
        _initialise(folder)
        process, port = _start(folder, settings)
        try:
            yield Server(port, process.pid)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_nobody_special(folder: Path) -> dict[str, object]:
    """Return how to run a program that refuses to be root, and give it the folder."""
    calm = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "Asia/Shanghai"}}
    if os.geteuid() != 0:
        return calm
    name = "postgres" if _exists("postgres") else "nobody"
    shutil.chown(folder, name)
    return {**calm, "user": name, "extra_groups": []}


def _exists(user: str) -> bool:
    import pwd

    return any(entry.pw_name == user for entry in pwd.getpwall())


def _initialise(folder: Path) -> None:
    as_user = _as_nobody_special(folder)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)  # in a folder that only its owner can enter
    command = [programs() / "initdb", "--pgdata", folder / "data", "--username", "postgres", "--encoding", "UTF8"]
    command += ["--locale", "C.UTF-8", "--auth", "scram-sha-256", "--pwfile", secret, "--no-sync"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **as_user)
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr or done.stdout}")


def _start(folder: Path, settings: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], int]:
    as_user = _as_nobody_special(folder)
    for _ in range(5):  # a free port may be taken by another before the server has it
        port = _free_port()
        command = [programs() / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=64MB"]
        for setting in settings:
            command += ["-c", setting]
        with (folder / "server.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **as_user)
        if _answers(process, folder, port):
            return process, port
        _stop(process)
    raise RuntimeError(f"The PostgreSQL server does not start: {(folder / 'server.log').read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(process: subprocess.Popen[bytes], folder: Path, port: int) -> bool:
    """Wait until the server says that it is ready; False where it has ended or takes too long."""
    deadline = time.monotonic() + 60
    state = folder / "data" / "postmaster.pid"
    while process.poll() is None and time.monotonic() < deadline:
        lines = state.read_text().splitlines() if state.exists() else []
        if len(lines) >= 8 and lines[3] == str(port) and lines[7].strip() == "ready":
            return True
        time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its children; they end with it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended, nothing is lost
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def peak(address: str, table: str) -> None:
    """Write how many journeys a table has, and how many MB reading them took at most beyond what was there before."""
    source = _source(address, table, rows_at_once=50_000)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    journeys = sum(len(part) for part in source.journeys(Plan(source.funnel), None, None))
    sys.stdout.write(f"{journeys} {(getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024}")


def measure(rows: str) -> None:
    """Write what reading so many events costs, as a table; by the kind of unit, without and with an index."""
    sys.stdout.write(
        "| unit | index | rows sent | bytes sent | server CPU s | fetch CPU s | journeys CPU s | wall s | peak MB |\n"
    )
    sys.stdout.write("|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
    with server("shared_buffers=256MB", "work_mem=64MB") as running:
        for kind in ("text", "bigint"):
            _fill(running, kind, int(rows))
            for index in ("", "(user_id, ts)", "(user_id, ts) INCLUDE (event)"):
                if index:
                    _run(running, f"CREATE INDEX ON {kind}_events {index}", f"VACUUM ANALYZE {kind}_events")
                done = [_child("cost", running.address, f"{kind}_events", how) for how in ("fetch", "journeys")]
                with _counting(running.port) as (port, seen):
                    _child("cost", running.address.replace(str(running.port), str(port)), f"{kind}_events", "fetch")
                fetch, whole = done
                sent = f"{'number' if kind == 'bigint' else kind} | {index or 'none'} | {fetch[0]:,.0f} | {seen[0]:,}"
                spent = f"{whole[1]:.1f} | {fetch[2]:.1f} | {whole[2] - fetch[2]:.1f} | {whole[3]:.1f} | {whole[4]:.0f}"
                sys.stdout.write(f"| {sent} | {spent} |\n")


def cost(address: str, table: str, how: str) -> None:
    """Write rows (or journeys), the server's and our own CPU seconds, seconds, and our peak in MB."""
    source = _source(address, table)
    source.names  # noqa: B018 - loads what is loaded once
    backend = source._view.get_backend().con.info.backend_pid
    before, own, start = _cpu(backend), time.process_time(), time.monotonic()
    plan = Plan(source.funnel)
    parts = source._pieces(plan, None, None) if how == "fetch" else source.journeys(plan, None, None)
    found = sum(len(part) for part in parts)
    spent = (_cpu(backend) - before, time.process_time() - own, time.monotonic() - start)
    sys.stdout.write(f"{found} {spent[0]} {spent[1]} {spent[2]} {getrusage(RUSAGE_SELF).ru_maxrss / 1024}")


def _source(address: str, table: str, **options: int) -> DatabaseSource:
    steps = [Step(name, event=name) for name in "ABCDE"]
    return DatabaseSource(connect(address, table), Funnel(steps=steps, window="7d"), **options)


def _fill(running: Server, kind: str, rows: int) -> None:
    """Make a table of events in order of time: ten kinds of event, of which five are steps; ten for each unit."""
    unit = "'user-' || lpad((random() * units)::int::text, 9, '0')" if kind == "text" else "(random() * units)::bigint"
    made = (
        f"CREATE TABLE {kind}_events AS SELECT {unit} AS user_id, chr(65 + floor(random() * 10)::int) AS event,"
        f" timestamptz '2026-01-01' + n * interval '90 days' / {rows} AS ts, repeat('x', 60) AS page"
        f" FROM generate_series(1, {rows}) AS n, (SELECT {rows} / 10 AS units) AS known"
    )
    _run(running, made, f"VACUUM ANALYZE {kind}_events")


def _run(running: Server, *statements: str) -> None:
    import psycopg

    with psycopg.connect(running.address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(*command: str) -> list[float]:
    done = subprocess.run([sys.executable, __file__, *command], stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


@contextmanager
def _counting(port: int) -> Iterator[tuple[int, list[int]]]:
    """Pass one connection on to the server, and count the bytes that it sends."""
    seen = [0]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pass_on() -> None:
            near, _ = listener.accept()
            with near, socket.create_connection(("127.0.0.1", port)) as far:
                ends = {near: far, far: near}
                while True:
                    for end in select.select([*ends], [], [])[0]:
                        data = end.recv(1 << 20)
                        if not data:
                            return
                        ends[end].sendall(data)
                        seen[0] += len(data) * (end is far)

        thread = threading.Thread(target=pass_on, daemon=True)
        thread.start()
        yield listener.getsockname()[1], seen
        thread.join()


if __name__ == "__main__":
    {"peak": peak, "cost": cost, "measure": measure}[sys.argv[1]](*sys.argv[2:])
