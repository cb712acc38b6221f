"""Amplitude: the Export API, which answers with a zip of gzipped JSON lines; it is kept as it comes."""

from __future__ import annotations

from datetime import timedelta

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import Auth, basic
from funnel_lib.collection.rest.calls import Ask, Request


def _export(ask: Ask) -> Request:
    """Ask for a day, by the time of upload (UTC); both hours are included."""
    return Request("api/2/export", params={"start": f"{ask.first:%Y%m%d}T00", "end": f"{ask.last:%Y%m%d}T23"})


API = Api(
    system="amplitude",
    server="https://amplitude.com",
    auth=Auth(needs=("api_key", "secret_key"), place=basic("{api_key}", "{secret_key}")),
    streams=(
        # 404 says that no event was uploaded in these hours.
        Stream(
            "export",
            _export,
            every="day",
            utc=True,
            overlap=timedelta(hours=4),
            file=".zip",
            empty=frozenset([204, 404]),
        ),
    ),
    pause=1.0,
    title="Export API 2",
    sure="Vendor's reference. Of the European service: server https://analytics.eu.amplitude.com.",
)
