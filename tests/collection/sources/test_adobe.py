import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import adobe
from funnel_lib.errors import DataError

SOURCE = {"system": "adobe", "files": "**/*"}
NAMES = [
    "hit_time_gmt", "post_visid_high", "post_visid_low", "post_cust_visid", "hitid_high", "hitid_low", "visit_num",
    "visit_start_time_gmt", "post_page_event", "post_event_list", "post_product_list", "duplicate_purchase",
    "post_currency", "post_pagename", "exclude_hit", "hit_source", "post_evar1",
]  # fmt: skip
EVENTS = "1\tPurchase\n2\tProduct View\n12\tCart Addition\n100\tInstance of eVar1\n200\tNewsletter sign-up\n"
Exports = Callable[..., Export]


def hit(at: int, number: int, **more: str) -> str:
    row = {"hit_time_gmt": str(1_772_323_200 + at), "post_visid_high": "3312", "post_visid_low": "9987654321",
           "hitid_high": "77", "hitid_low": str(number), "visit_num": "2", "visit_start_time_gmt": "1772323200",
           "post_page_event": "0", "post_currency": "EUR", "exclude_hit": "0", "hit_source": "1", **more}  # fmt: skip
    return "\t".join(row.get(name, "") for name in NAMES) + "\n"


def members(hits: str, names: list[str] = NAMES) -> dict[str, bytes]:
    return {"hit_data.tsv": hits.encode(), "column_headers.tsv": "\t".join(names).encode() + b"\n",
            "event.tsv": EVENTS.encode(), "browser.tsv": b"1\tX\n"}  # fmt: skip


def zipped(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return held.getvalue()


def read(export: Exports, files: dict[str, bytes], **source: Any) -> Batch:
    made = export({**SOURCE, **source}, files)
    (batch,) = adobe.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


HITS = (
    hit(0, 1, post_pagename="Home")
    + hit(5, 2, post_event_list="12,100,200", post_product_list="shoes;Runner;1;0")
    + hit(
        9, 3, post_event_list="1,2", post_product_list="shoes;Runner;2;59.90,hats;Cap^, red;1;10", post_cust_visid="u7"
    )
    + hit(12, 4, post_event_list="1", post_product_list="shoes;Runner;2;59.90", duplicate_purchase="1")
    + hit(13, 5, post_page_event="100")
    + hit(14, 6, exclude_hit="3")
    + hit(15, 7, hit_source="7")
)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_daily_feed_in_one_archive(export: Exports, pack: Callable[..., bytes]):
    batch = read(export, {"shop_2026-03-01.zip": pack(members(HITS))})
    assert batch.read == {"shop_2026-03-01.zip/hit_data.tsv": 7}
    assert shown(batch.rows, "event_id", "user_id", "event", "amount", "currency") == [
        ["77-1", "3312-9987654321", "page_view", None, "EUR"],
        ["77-2", "3312-9987654321", "cart_add", None, "EUR"],
        ["77-3", "3312-9987654321", "purchase", "69.9", "EUR"],  # the price of a product is that of all its pieces
        ["77-4", "3312-9987654321", "page_view", None, "EUR"],  # the same purchase again
        ["77-5", "3312-9987654321", "link", None, "EUR"],
    ]
    assert batch.rows["ts"].iloc[1].isoformat() == "2026-03-01T00:00:05+00:00"
    assert batch.rows["session_id"].iloc[0] == "3312-9987654321.2.1772323200"
    assert [json.loads(text).get("events") for text in batch.rows["properties"].fillna("{}")] == [
        None, "Cart Addition, Newsletter sign-up", "Purchase, Product View", "Purchase", None
    ]  # fmt: skip
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[6, "excluded_hit"], [7, "excluded_hit"]]
    assert shown(batch.derived["identities"], "user_id", "value", "kind") == [["u7", "3312-9987654321", "anonymous"]]


def test_lookups_and_a_manifest_in_files_of_their_own(export: Exports):
    data = zipped({"hit_data.tsv": HITS.encode()})
    rest = {name: text for name, text in members("").items() if name != "hit_data.tsv"}
    manifest = "Datafeed-Manifest-Version: 1.0\nLookup-Files: 1\nData-Files: 1\nTotal-Records: 7\n\n"
    manifest += (
        f"Data-File: 01-shop_2026-03-01.zip\nMD5-Digest: {hashlib.md5(data).hexdigest()}\nFile-Size: {len(data)}\n"
    )
    files = {"01-shop_2026-03-01.zip": data, "shop_2026-03-01-lookup_data.tar.gz": tarred(rest),
             "shop_2026-03-01.txt": manifest.encode()}  # fmt: skip
    assert len(read(export, files).rows) == 5
    with pytest.raises(DataError, match="not as its manifest says") as error:
        read(export, {**files, "01-shop_2026-03-01.zip": zipped({"hit_data.tsv": b"x"})})
    assert "01-shop_2026-03-01.zip" in str(error.value.found)


def test_an_unpacked_feed_with_columns_in_another_order_and_more_of_them(export: Exports):
    names = [*reversed(NAMES), "post_prop1"]
    rows = "".join("\t".join([*reversed(line.split("\t")), "p"]) + "\n" for line in HITS.splitlines())
    batch = read(export, members(rows, names))
    assert batch.rows["event"].tolist() == ["page_view", "cart_add", "purchase", "page_view", "link"]


def test_escapes_stand_for_what_they_hide(export: Exports):
    page = {"post_pagename": "a\\\tb\\\nc\\\\d\\te"}
    batch = read(export, members(hit(0, 1, **page) + hit(1, 2)))
    assert json.loads(batch.rows["properties"].iloc[0])["page"] == "a\tb\nc\\d\te"
    assert batch.rows[LINE].tolist() == [1, 3]


def test_latin_letters_and_truncated_rows(export: Exports):
    files = members("")
    files["hit_data.tsv"] = hit(0, 1, post_pagename="Menü").encode("latin-1") + b"1772323201\t3312\n"
    batch = read(export, files)
    assert json.loads(batch.rows["properties"].iloc[0])["page"] == "Menü"
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[2, "wrong_fields"]]


def test_hits_without_names_of_columns_and_without_a_needed_one_are_refused(export: Exports):
    with pytest.raises(DataError, match="Nothing names the columns"):
        read(export, {"a.zip": zipped({"hit_data.tsv": HITS.encode()})})
    with pytest.raises(DataError, match="lacks the column 'hit_time_gmt'"):
        read(export, {"a.zip": zipped(members(HITS, ["a", *NAMES[1:]]))})
