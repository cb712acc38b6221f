"""Calling a system's REST interface through dlt's REST client: paging, retries, waiting, new tokens, faults.

dlt brings the session (time-outs, retries with growing pauses, Retry-After) and the paginators. Added here are
what it cannot know: that a token must be renewed in the middle, that an answer of status 200 can be a fault, that
credentials go to one server only and into no message.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from funnel_lib.collection.rest.api import Api, Job, Stream
from funnel_lib.collection.rest.auth import Place
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.credentials import Hidden
from funnel_lib.collection.rest.library import library
from funnel_lib.collection.rest.paging import paginator
from funnel_lib.errors import ConfigError, DataError, FunnelError

ATTEMPTS = 5
LONGEST_WAIT = 300
"""Seconds; a system that asks to wait longer (a day's limit is used up) ends the fetch, which can go on later."""
_BLOCK = 1 << 20
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_TEXT = 200


class Client:
    """Sends the calls of one source.

    Parameters
    ----------
    api : the interface.
    hidden : the credentials.
    options : the workbook's options of the interface.
    server : its address, where it is another than the interface's own.
    sleep : waits some seconds.
    clock : tells the time (UTC).

    Raises
    ------
    ConfigError : dlt is not installed, or the server is not reached through TLS.
    """

    def __init__(
        self, api: Api, hidden: Hidden, options: Mapping[str, str], *, server: str | None = None,
        sleep: Callable[[float], None], clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self.api, self.hidden, self.options, self.sleep, self.clock = api, hidden, options, sleep, clock
        self.server = (server or api.server).rstrip("/")
        _check_address(self.server, hidden)
        self._dlt = library()
        session = self._dlt.Client(
            raise_for_status=False, status_codes=(), request_max_attempts=ATTEMPTS, retry_condition=_again
        ).session
        session.send.retry.sleep = sleep
        config = self._dlt.RuntimeConfiguration(dlthub_telemetry=False)
        self._rest = self._dlt.RESTClient(f"{self.server}/", session=session, config=config)
        self._logins = 0

    def pages(self, stream: Stream, ask: Ask) -> Iterator[list[Row]]:
        """Yield the rows of each answer.

        Raises
        ------
        DataError : the system refuses, fails again and again, or answers something else than was documented.
        """
        request = stream.request(ask)
        with self._told(stream.name):
            if stream.job is not None:
                request = self._report(stream.job, request, ask)
            asked: set[str] = set()
            for page in self._rest.paginate(
                **_parts(request), auth=self._authorise, paginator=paginator(stream.paging, self._dlt.paginators),
                data_selector=stream.select, hooks={"response": [self._checking(stream.empty)]}, allow_redirects=False,
            ):  # fmt: skip
                rows = [row for row in page if row is not None]
                if not all(isinstance(row, dict) for row in rows):
                    raise self._fault("The interface's answer holds no rows where they should be.", stream.select)
                if page.paginator.has_next_page:
                    self._is_new(page.request, asked)
                yield stream.shape(rows, page.response.json(), ask)
                self.sleep(self.api.pause)

    def download(self, stream: Stream, ask: Ask, target: Path) -> bool:
        """Write the file that answers into `target`; False where there is none.

        Raises
        ------
        DataError : as `pages`; or the file is cut off every time.
        """
        request = stream.request(ask)
        for attempt in range(ATTEMPTS):
            try:
                with self._told(stream.name):
                    return self._downloaded(request, stream, target)
            except _CutError as cut:
                fault = cut.fault
            self.sleep(2.0**attempt)
        raise fault

    def send(self, request: Request, *, place: Place | None = None) -> Any:
        """Send one call and return the JSON that answers; no credentials go with it but those that `place` puts.

        Raises
        ------
        DataError : the system refuses, or fails again and again.
        """
        if "://" in request.path:
            _check_address(request.path, self.hidden)

        def auth(call: Any) -> Any:
            if place is not None:
                self._check_server(call)
                place(call, self.hidden.values, self.clock())
            return call  # without this, `requests` would look into the user's .netrc

        return self._asked(request, auth, login=True)

    def _asked(self, request: Request, auth: Callable[[Any], Any], *, login: bool = False) -> Any:
        hooks = {"response": [self._checking(frozenset(), login=login)]}
        return self._rest.request(**_parts(request), auth=auth, hooks=hooks, allow_redirects=False).json()

    # Reports that are ordered, and files.

    def _report(self, job: Job, request: Request, ask: Ask) -> Request:
        order, waited = self._asked(request, self._authorise), 0.0
        while True:
            state = job.ready(self._asked(job.look(ask, order), self._authorise))
            if isinstance(state, str):
                raise self._fault("The system could not make the report.", state)
            if state:
                return job.fetch(ask, order)
            if waited >= job.longest:
                raise self._fault("The report is not ready.", f"still being made after {waited:.0f} seconds")
            self.sleep(job.wait)
            waited += job.wait

    def _downloaded(self, request: Request, stream: Stream, target: Path) -> bool:
        hooks = {"response": [self._checking(stream.empty, file=True)]}
        try:
            answer = self._rest.request(
                **_parts(request), auth=self._authorise, hooks=hooks, stream=True, allow_redirects=False
            )
        except self._dlt.IgnoreResponseException:
            return False
        try:
            with answer, target.open("wb") as file:
                for block in answer.iter_content(_BLOCK):
                    file.write(block)
        except self._dlt.RequestException as error:
            raise _CutError(self._fault("The file was cut off.", type(error).__name__)) from None
        if stream.file == ".zip" and not zipfile.is_zipfile(target):
            raise _CutError(self._fault("The file that came is no whole zip.", f"{target.stat().st_size:,} bytes"))
        return True

    # Faults.

    def _checking(self, empty: frozenset[int], *, login: bool = False, file: bool = False) -> Callable[..., None]:
        """Return what looks at each answer: a passing fault is raised so that it is tried again."""

        def check(response: Any, *_: Any, **__: Any) -> None:
            status = response.status_code
            if status in empty or status == 304:
                raise self._dlt.IgnoreResponseException
            if status == 429 or status >= 500:
                raise self._passing(response, f"HTTP {status}")
            if status in (401, 403) or (login and status >= 400):
                raise self._refused(response)
            if status >= 300:
                raise self._fault("The system refuses the call.", f"HTTP {status} {_said(response)}")
            if file:
                return
            try:
                answer = response.json()
            except (ValueError, RecursionError):
                raise self._passing(response, "no complete JSON") from None
            if (fault := self.api.fault(answer)) is not None:
                raise self._passing(response, fault)

        return check

    def _passing(self, response: Any, what: str) -> Exception:
        error: Exception = self._dlt.HTTPError(self.hidden.mask(what), response=response)
        error.again = _seconds(response) <= LONGEST_WAIT  # type: ignore[attr-defined]
        return error

    def _refused(self, response: Any) -> ConfigError:
        needs = ", ".join(self.api.auth.needs)
        return ConfigError(
            "The system refuses the credentials.", where=self.server,
            found=self._shown(f"HTTP {response.status_code} {_said(response)}"),
            allowed=f"valid credentials ({needs}) with the right to read", do="Renew them, or ask for the right.",
        )  # fmt: skip

    def _fault(self, what: str, found: object) -> DataError:
        return DataError(
            what, where=self.server, found=self._shown(found),
            do="Try again later; what was fetched so far is kept, and the next fetch goes on from there.",
        )  # fmt: skip

    def _shown(self, found: object) -> str:
        """Return a short text without credentials; a half one would not be recognised, so it is cut afterwards."""
        return self.hidden.mask(str(found).strip())[:_LONGEST_TEXT]

    @contextmanager
    def _told(self, stream: str) -> Iterator[None]:
        """Turn what a library raises into an error without credentials; its own text may hold addresses."""
        try:
            yield
        except FunnelError as error:
            error.where = f"{error.where} ({self.api.system}, {stream})"
            raise
        except self._dlt.RequestException as error:
            response = getattr(error, "response", None)
            wait = 0 if response is None else _seconds(response)
            found = str(error) if response is not None else f"{type(error).__name__}: the connection failed"
            if wait > LONGEST_WAIT:
                found = f"{found}; the system asks to wait {wait:.0f} seconds"
            fault = self._fault(f"The system {self.api.system} does not answer as it should.", found)
            fault.where = f"{self.server} ({self.api.system}, {stream})"
            raise fault from None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            fault = self._fault("The interface's answer is not as documented.", f"{type(error).__name__} in {stream}")
            raise fault from None

    def _is_new(self, request: Any, asked: set[str]) -> None:
        """Refuse to ask the same twice: a cursor that stands still would never end."""
        mark = repr((request.url, request.params, request.json))
        if mark in asked:
            raise self._fault("The interface's pages go round in a circle.", "the same call follows again")
        asked.add(mark)

    # Credentials.

    def _authorise(self, call: Any) -> Any:
        """Put the credentials into a prepared call (the form of authentication that `requests` knows)."""
        self._check_server(call)
        if self.api.auth.login is not None and not self._logins:
            self._log_in()
        self._place(call)
        call.register_hook("response", self._renewed)
        return call

    def _check_server(self, call: Any) -> None:
        here, there = urlsplit(self.server), urlsplit(call.url)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise self._fault("The interface points to another server; credentials are not sent there.", there.netloc)

    def _place(self, call: Any) -> None:
        self.api.auth.place(call, self.hidden.values, self.clock())
        call.login = self._logins

    def _log_in(self) -> None:
        login = self.api.auth.login
        if login is None:
            return
        try:
            with self._told("login"):
                self.hidden.add(login(self.send, self.hidden.values, self.options))
        except DataError as fault:
            raise ConfigError(
                "The login brought no token.", where=fault.where, found=fault.found,
                allowed=f"valid credentials ({', '.join(self.api.auth.needs)})",
                do="Check the credentials and the address of the login.",
            ) from None  # fmt: skip
        self._logins += 1

    def _renewed(self, response: Any, **sending: Any) -> Any:
        """Answer a refusal once with a new token."""
        if self.api.auth.login is None or not self._is_refusal(response, streamed=bool(sending.get("stream"))):
            return response
        call = response.request.copy()
        if response.request.login == self._logins:
            self._log_in()
        self._place(call)
        response.close()
        again = response.connection.send(call, **sending)
        again.history.append(response)
        again.request = call
        return again

    def _is_refusal(self, response: Any, *, streamed: bool) -> bool:
        if response.status_code == 401 or streamed or response.status_code != 200:
            return bool(response.status_code == 401)
        try:
            return self.api.fault(response.json()) is not None
        except (ValueError, RecursionError):
            return False


class _CutError(Exception):
    """A file did not come whole; it is fetched again."""

    def __init__(self, fault: DataError) -> None:
        super().__init__()
        self.fault = fault


def _parts(request: Request) -> dict[str, Any]:
    """Return a call as dlt takes it; it is changed from page to page, so it gets copies."""
    return {
        "path": request.path, "method": request.method, "params": dict(request.params) or None,
        "json": copy.deepcopy(dict(request.json)) if request.json is not None else None,
        "data": dict(request.form) if request.form is not None else None, "headers": dict(request.headers) or None,
    }  # fmt: skip


def _again(_response: Any, error: BaseException | None) -> bool:
    return bool(getattr(error, "again", False))


def _seconds(response: Any) -> float:
    """Return how long the system asks to wait; zero where it says nothing in seconds."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if text.isdigit() else 0.0


def _said(response: Any) -> str:
    """Return what the system says about a refusal, in one line."""
    return " ".join(response.text.split())


def _check_address(address: str, hidden: Hidden) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise ConfigError(
        "Credentials are sent only over a secured connection.", where="api.server", found=hidden.mask(address),
        allowed="an address that begins with https://", do="Correct the address.",
    )  # fmt: skip
