"""Google Analytics 4: the BigQuery export saved as JSON lines (optionally gzip) or Parquet, one object per event.

A row becomes an event; from the same rows follow the people's attributes (user properties), the links between
the browser's id and the login id, and the variants that people saw. Numbers may be written as texts, as
BigQuery does. What is no complete object is set aside line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.collection import ga4_tables, layouts, linking
from funnel_lib.collection.batch import FILE, RAW, REASONS, ROW, Batch, Sieve, rejected
from funnel_lib.collection.blocks import Block, Piece, gathered, pieces, side_by_side
from funnel_lib.collection.channels import classify, known, unclassified
from funnel_lib.collection.clean import people, screen
from funnel_lib.collection.files import Export, format_of
from funnel_lib.collection.keys import ANONYMOUS, LOGIN
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.reading import is_json_lines
from funnel_lib.collection.rest.systems.ga4 import API
from funnel_lib.collection.values import PERSONAL, is_time_name, numbers, times
from funnel_lib.errors import DataError
from funnel_lib.schema import (
    AMOUNT,
    CAMPAIGN,
    CHANNEL,
    CURRENCY,
    DEVICE,
    EVENT,
    EVENT_ID,
    PROPERTIES,
    SESSION_ID,
    SOURCE,
    TS,
    USER_ID,
)  # fmt: skip

BATCH_BYTES = 24 << 20
"""Unpacked text that is read at a time, from as many files as it takes; this bounds the memory."""
_TABLES = (".csv", ".tsv", ".xlsx")
_VALUE = '{"string_value":"VARCHAR","int_value":"VARCHAR","float_value":"VARCHAR","double_value":"VARCHAR"}'
_PAIRS = f'[{{"key":"VARCHAR","value":{_VALUE}}}]'
_SHAPE = (
    '{"event_date":"VARCHAR","event_timestamp":"VARCHAR","event_name":"VARCHAR","user_id":"VARCHAR",'
    '"user_pseudo_id":"VARCHAR","batch_page_id":"VARCHAR","batch_ordering_id":"VARCHAR","batch_event_index":"VARCHAR",'
    f'"event_params":{_PAIRS},"user_properties":{_PAIRS},'
    '"device":{"category":"VARCHAR","browser":"VARCHAR","user_agent":"VARCHAR","web_info":{"browser":"VARCHAR"}},'
    '"traffic_source":{"name":"VARCHAR","medium":"VARCHAR","source":"VARCHAR"},'
    '"collected_traffic_source":{"manual_campaign_name":"VARCHAR","manual_medium":"VARCHAR","manual_source":"VARCHAR",'
    '"gclid":"VARCHAR"},'
    '"ecommerce":{"purchase_revenue":"VARCHAR"}}'
)
_WORK = ("_place", "_login", "_pseudo", "_shown", "_late", "_medium", "_origin", "_click")
_RESERVED = (
    "ga_session_id",
    "ga_session_number",
    "value",
    "currency",
    "exp_variant_string",
    *sorted(PERSONAL),
)
_NO_CAMPAIGN = ["(direct)", "(organic)", "(referral)", "(not set)", ""]
_EXPORT_DAY = r"(?:^|/)events_(?:intraday_|fresh_)?([0-9]{8})"
_VARIANT = r"[^-]+-(?P<experiment>.+)-(?P<variant>[^-]+)"
_ANY = "coalesce({0}.string_value, {0}.int_value, {0}.double_value, {0}.float_value)"
_NUMBER = "coalesce({0}.int_value, {0}.double_value, {0}.float_value)"
_PARAM = "list_filter(event_params, lambda p: p.key = '{0}')[1].value"
_JSON_NUMBER = r"-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?"
_MEMBER = f"""to_json(p.key) || ':' || CASE WHEN regexp_full_match({_NUMBER.format("p.value")}, '{_JSON_NUMBER}')
    THEN {_NUMBER.format("p.value")} ELSE coalesce(to_json({_ANY.format("p.value")})::VARCHAR, 'null') END"""
# Where this very visit came from; the other one is where the person came from the first time.
_OWN = "coalesce(collected_traffic_source.manual_source, collected_traffic_source.manual_medium) IS NOT NULL"
_FIELDS = f"""
SELECT line, event_date, event_timestamp, nullif(event_name, '') AS event, nullif(user_pseudo_id, '') AS pseudo,
    nullif(user_id, '') AS login, {_ANY.format("session")} AS session_id,
    md5(concat_ws('|', coalesce(nullif(user_pseudo_id, ''), user_id), event_timestamp, event_name,
        coalesce(batch_page_id, '-'), coalesce(batch_ordering_id, '-'), coalesce(batch_event_index, '-')))[:16]
        AS event_id,
    coalesce(ecommerce.purchase_revenue, {_ANY.format("price")}) AS amount, {_ANY.format("money")} AS currency,
    CASE WHEN {_OWN} THEN collected_traffic_source.manual_campaign_name ELSE traffic_source.name END AS campaign,
    CASE WHEN {_OWN} THEN collected_traffic_source.manual_medium ELSE traffic_source.medium END AS medium,
    CASE WHEN {_OWN} THEN collected_traffic_source.manual_source ELSE traffic_source.source END AS origin,
    nullif(collected_traffic_source.gclid, '') AS gclid,
    device.category AS device, coalesce(device.web_info.browser, device.browser) AS browser,
    device.user_agent AS user_agent, {_ANY.format("shown")} AS shown,
    '{{' || array_to_string(list_transform(list_filter(event_params, lambda p: p.key NOT IN {_RESERVED}),
        lambda p: {_MEMBER}), ',') || '}}' AS properties
    , user_properties
FROM (SELECT *, {_PARAM.format("ga_session_id")} AS session, {_PARAM.format("value")} AS price,
        {_PARAM.format("currency")} AS money, {_PARAM.format("exp_variant_string")} AS shown
    FROM (SELECT line, unnest(from_json(text, ?)) FROM objects))
"""  # noqa: S608 - made of constants
_IDENTITIES = f"""
SELECT file AS {FILE}, user_id, value, kind, holder, min(ts) AS first_seen FROM (
    SELECT file, login AS user_id, pseudo AS value, '{ANONYMOUS}' AS kind, '{LOGIN}' AS holder, ts FROM kept
    WHERE login IS NOT NULL AND pseudo IS NOT NULL
    UNION ALL SELECT file, user_id, 'gclid:' || click, 'gclid',
        CASE WHEN pseudo IS NULL THEN '{LOGIN}' ELSE '{ANONYMOUS}' END, ts FROM kept WHERE click IS NOT NULL
) GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 - made of constants
_KEPT = {
    "file": FILE, "line": "_place", "user_id": USER_ID, "ts": TS, "login": "_login", "pseudo": "_pseudo",
    "click": "_click",
}  # fmt: skip
"""Columns of the events that stay, as the two queries on them know them."""
_ATTRIBUTES = f"""
SELECT file, user_id, key, arg_max(value, (ts, line)) AS value, min(ts) AS since, max(ts) AS newest FROM (
    SELECT file, user_id, ts, line, pair.key AS key, {_ANY.format("pair.value")} AS value
    FROM (SELECT line, unnest(user_properties) AS pair FROM parsed) JOIN kept USING (line))
WHERE value IS NOT NULL AND key NOT IN ('user_id', 'first_seen') AND key[1] != '_'
GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 - made of constants


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read the files in their order, in batches of about `BATCH_BYTES`.

    Raises
    ------
    DataError : a file is damaged, or neither JSON lines nor Parquet nor a table of people's events.
    """
    # The threads are ours, one for each batch: each asks in a session of its own.
    with duckdb.connect(config={"threads": 1}) as database:
        make = partial(_batch, export=export, database=database)
        for table, group in groupby(paths, lambda path: path.suffix.lower() in _TABLES):
            if table:
                for path in group:
                    yield from ga4_tables.read(path, export)
            else:
                found = (piece for path in group for piece in _pieces(path, export.relative(path)))
                yield from side_by_side(make, gathered(found, BATCH_BYTES))


def _pieces(path: Path, file: str) -> Iterator[Piece]:
    kind = format_of(path)
    if kind == "parquet":
        first = 1
        yield Piece(file, first, b"")  # a file without rows counts as read
        for rows in ga4_tables.objects(path):
            yield Piece(file, first, b"\n".join(rows))
            first += len(rows)
        return
    if kind != "text":
        raise DataError(
            "The file holds no JSON lines.", where=path, found=f"{kind} data",
            allowed="the BigQuery export saved as newline-delimited JSON (also gzip) or Parquet",
            do="Export the table as JSON.",
        )  # fmt: skip
    is_json_lines(path)
    yield from pieces(path, file)


def _batch(found: Sequence[Piece], *, export: Export, database: duckdb.DuckDBPyConnection) -> Batch:
    block = Block.of(found)
    with database.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        parsed = block.objects(connection, _FIELDS, _SHAPE)
        sieve = _events(parsed.drop_columns("user_properties").to_pandas(), block, export)
        places = sieve.rows["_place"].to_numpy()
        held, broken = places[~sieve.open], np.delete(np.arange(len(block.rule)), places)
        kept, aside = sieve.split()
        aside = aside.assign(**{RAW: block.origin(held)[RAW].array})
        connection.register("parsed", parsed.select(["line", "user_properties"]))
        connection.register("kept", pa.table({new: kept[name] for new, name in _KEPT.items()}))
        attributes = connection.sql(_ATTRIBUTES).to_arrow_table().to_pandas()
        met = connection.sql(_IDENTITIES).to_arrow_table().to_pandas()
    rule = pd.Series(block.rule[broken], dtype="str").replace("", "broken_json")
    faulty = block.origin(broken).assign(rule=rule, reason=rule.map(REASONS))
    users, keys = _users(attributes, export)
    derived = {
        "identities": pd.concat([met.assign(**{SOURCE: export.name}), keys], ignore_index=True),
        "exposures": _exposures(kept), "users": users,
    }  # fmt: skip
    origins = pd.DataFrame({"source": kept["_origin"], "medium": kept["_medium"]})
    late = kept.loc[kept["_late"], FILE].value_counts()
    return Batch(
        "events", kept.drop(columns=list(_WORK)), rejected(pd.concat([rejected(faulty), aside])), block.counts(),
        derived=derived, remarks={(str(file), "late"): int(rows) for file, rows in late.items()},
        unclassified=unclassified(origins, kept[CHANNEL]),
    )  # fmt: skip


def _events(fields: pd.DataFrame, block: Block, export: Export) -> Sieve:
    """Return the rows as canonical events (and columns to work with), broken ones set aside, all without RAW."""
    origin = block.place(fields["line"].to_numpy())
    text = {name: fields[name].astype("str") for name in fields if name != "line"}
    micros, amount = _plain_numbers(text["event_timestamp"]), numbers(text["amount"])
    micros = micros.where(micros.between(0, 9e15))
    person = text["pseudo"].fillna(text["login"])
    rows = {
        EVENT_ID: text["event_id"], USER_ID: person, EVENT: text["event"], TS: _instants(micros),
        SOURCE: pd.Series(export.name, index=fields.index, dtype="str"), SESSION_ID: person + "." + text["session_id"],
        AMOUNT: amount, CURRENCY: text["currency"],
        CHANNEL: classify(_traits(text), known(tuple(export.workbook.channels))),
        CAMPAIGN: text["campaign"].mask(text["campaign"].isin(_NO_CAMPAIGN)), DEVICE: text["device"],
        PROPERTIES: text["properties"].mask(text["properties"] == "{}"),
        "_place": fields["line"], "_login": text["login"], "_pseudo": text["pseudo"], "_shown": text["shown"],
        "_medium": text["medium"], "_origin": text["origin"], "_click": text["gclid"],
    }  # fmt: skip
    day = _export_day(origin[FILE], text["event_date"], export)
    rows["_late"] = (day - rows[TS]) > export.workbook.cleaning.late_after
    # Events are told apart by their key; what their lines hold is asked for where one is set aside.
    rest: dict[str, Any] = {
        RAW: pd.Series(None, index=origin.index, dtype="str"),
        ROW: np.zeros(len(origin), dtype=np.uint64),
    }
    sieve = Sieve(pd.DataFrame(rows).join(origin.assign(**rest)))
    stamp = text["event_timestamp"]
    sieve.reject(
        stamp.notna() & micros.isna(),
        "unreadable_time",
        "event_timestamp is not a time in microseconds",
        stamp,
    )
    sieve.reject(
        text["amount"].notna() & amount.isna(),
        "unreadable_number",
        "The amount is not a number",
        text["amount"],
    )
    screen(sieve, "events", export, agents=(text["browser"], text["user_agent"]))
    sieve.reject(rows[TS] >= day + timedelta(days=2), "future", "The event lies after the day of its export", rows[TS])
    return sieve


def _plain_numbers(text: pd.Series[Any]) -> pd.Series[Any]:
    """Return what `numbers` does, at once where all texts are plain numbers, as they nearly always are."""
    try:
        return pd.Series(pc.cast(pa.array(text, pa.string()), pa.float64()).to_numpy(), index=text.index)
    except pa.ArrowInvalid:
        return numbers(text)


def _instants(micros: pd.Series[Any]) -> pd.Series[Any]:
    whole = micros.fillna(0).astype("int64").to_numpy().astype("datetime64[us]")
    return pd.Series(whole, index=micros.index).dt.tz_localize("UTC").mask(micros.isna())


def _export_day(file: pd.Series[Any], event_date: pd.Series[Any], export: Export) -> pd.Series[Any]:
    """Return the first instant of the day that the export is for: by the file's name, else by the row."""
    matches = {name: re.search(_EXPORT_DAY, name) for name in file.unique()}
    named = file.map({name: match[1] for name, match in matches.items() if match})
    codes, texts = pd.factorize(named.astype("str").fillna(event_date))
    known = times(pd.Series(texts, dtype="str"), export.zone)
    return known.reindex(codes).set_axis(file.index)


def _traits(text: Mapping[Any, pd.Series[Any]]) -> pd.DataFrame:
    return pd.DataFrame({"source": text["origin"], "medium": text["medium"], "gclid": text["gclid"]})


def _exposures(kept: pd.DataFrame) -> pd.DataFrame:
    """Return who saw which variant first when: “TOOL-EXPERIENCE-VARIANT” of the impressions."""
    impression = (kept[EVENT] == "experience_impression") & kept["_shown"].notna()
    shown = kept.loc[impression, [FILE, USER_ID, "_shown", TS]]
    parts = shown["_shown"].str.extract(f"^{_VARIANT}$").astype("str")
    seen = shown.join(parts).dropna(subset=["experiment"]).rename(columns={USER_ID: "unit_id"})
    return seen.groupby([FILE, "unit_id", "experiment", "variant"]).agg({TS: "min"}).reset_index()


def _users(attributes: pd.DataFrame, export: Export) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row per file and person with the newest value of each user property, and the links they tell.

    Who changed last comes last.
    """
    who = ["file", USER_ID]
    wide = attributes.set_index([*who, "key"])["value"].unstack("key").rename_axis(columns=None)  # noqa: PD010
    times_ = attributes.groupby(who).agg({"since": "min", "newest": "max"}).sort_values("newest", kind="stable")
    users = wide.loc[times_.index].astype("str").reset_index().rename(columns={"file": FILE})
    for name in [str(name) for name in users if is_time_name(str(name))]:
        users[name] = times(users[name], export.zone)
    keys = linking.keys(users, export)
    owner = pd.Series(ANONYMOUS, index=users.index, dtype="str")
    links = linking.links(users.assign(since=times_["since"].array), keys, owner, "since", export)
    return people(users.astype({USER_ID: "str"}), export.workbook.cleaning), links


SYSTEM = Offer(
    name="ga4",
    title="Google Analytics 4",
    reads=read,
    fills=("events", "users", "identities", "exposures"),
    files="The BigQuery export saved as JSON lines (also gzip) or Parquet; or the CSV of an exploration with a row for "
    "each person, event and hour.",
    confirmed="Names and units of the columns by public references of the schema; that BigQuery writes whole numbers "
    "as texts is not confirmed, so both are read; neither are the header texts of explorations.",
    aliases=layouts.aliases([ga4_tables.EXPLORED]),
    api=API,
)
