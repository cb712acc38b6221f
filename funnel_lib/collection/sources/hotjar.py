"""Hotjar: the answers to a survey, as its CSV or Excel, or as rows of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection import layouts, surveys
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.hotjar import API

_RESPONSES = Layout(
    "surveys",
    {
        "response_id": ("Number", "Response ID", "ID", "id"),
        "user_id": ("User ID", "User attribute: user_id", "Hotjar User ID", "User", "hotjar_user_id"),
        "ts": ("Date Submitted", "Created", "created_time"),
        surveys.ANSWERS: ("answers",),
        "_country": ("Country",),
        "_page": ("Source URL", "Page URL", "response_origin_url"),
        "_device": ("Device",),
        "_browser": ("Browser",),
        "_os": ("OS", "Operating System"),
        "_recording": ("Recording", "Recording URL", "Hotjar Recording"),
        "_visitor": ("Hotjar User ID", "User"),
        "_tags": ("Tags",),
    },
    ["response_id", "ts"],
    further=True,
)
_ADVICE = "Export the responses of the survey as CSV or Excel, with Number and Date Submitted."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read responses into the table `surveys`, a row per answer; see `surveys.read`.

    The person is the site's own user id where the survey passes it on, otherwise Hotjar's id of the visitor.

    Raises
    ------
    DataError : a file is damaged or lacks the number or the date of the responses.
    """
    return surveys.read(paths, export, [_RESPONSES], advice=_ADVICE)


SYSTEM = Offer(
    name="hotjar",
    title="Hotjar",
    reads=read,
    fills=("surveys",),
    files="The responses of a survey, as CSV or Excel.",
    confirmed="The rows of the interface by two independent clients. The header texts of the export are not "
    "confirmed; every column that is not known counts as a question.",
    aliases=layouts.aliases([_RESPONSES]),
    api=API,
)
