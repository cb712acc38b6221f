"""Google Analytics 4: the BigQuery export saved as JSON lines (optionally gzip) or Parquet, one object per event.

A row becomes an event; from the same rows follow the people's attributes (user properties), the links between
the browser's id and the login id, and the variants that people saw. Numbers may be written as texts, as
BigQuery does. What is no complete object is set aside line by line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.collection import ga4_tables, layouts, linking
from funnel_lib.collection.batch import FILE, LINE, LONGEST_RAW, RAW, REASONS, ROW, Batch, Sieve, rejected
from funnel_lib.collection.channels import classify, known, unclassified
from funnel_lib.collection.clean import people, screen
from funnel_lib.collection.files import Export, format_of, opened
from funnel_lib.collection.keys import ANONYMOUS, LOGIN
from funnel_lib.collection.lines import parts
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
    FIRST_SEEN,
    PROPERTIES,
    SESSION_ID,
    SOURCE,
    TS,
    USER_ID,
)  # fmt: skip

BATCH_BYTES = 48 << 20
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
FROM (SELECT *, {_PARAM.format("ga_session_id")} AS session, {_PARAM.format("value")} AS price,
        {_PARAM.format("currency")} AS money, {_PARAM.format("exp_variant_string")} AS shown
    FROM parsed) ORDER BY line
"""  # noqa: S608 - made of constants
_PARSE = """
CREATE TEMP TABLE parsed AS
SELECT line, unnest(from_json(text, ?)) FROM lines WHERE text[1] = '{' AND json_valid(text)
"""
_ATTRIBUTES = f"""
SELECT file, user_id, key, arg_max(value, (ts, line)) AS value, min(ts) AS since, max(ts) AS newest FROM (
    SELECT file, user_id, ts, line, pair.key AS key, {_ANY.format("pair.value")} AS value
    FROM (SELECT line, unnest(user_properties) AS pair FROM parsed) JOIN kept USING (line))
WHERE value IS NOT NULL AND key NOT IN ('user_id', 'first_seen') AND key[1] != '_'
GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 - made of constants


@dataclass
class _Lines:
    """Lines of one or more files that are read together: the file, number and bytes of each."""

    files: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    rules: dict[int, str] = field(default_factory=dict)
    size: int = 0

    def add(self, file: str, numbers: list[int], texts: list[bytes], rule: str) -> None:
        if rule:
            self.rules |= dict.fromkeys(range(len(self.texts), len(self.texts) + len(texts)), rule)
        self.files += [file] * len(texts)
        self.numbers += numbers
        self.texts += texts
        self.counts[file] = self.counts.get(file, 0) + len(texts)
        self.size += sum(map(len, texts))


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read the files in their order, in batches of about `BATCH_BYTES`.

    Raises
    ------
    DataError : a file is damaged, or neither JSON lines nor Parquet nor a table of people's events.
    """
    lines = _Lines()
    for path in paths:
        if path.suffix.lower() in _TABLES:
            yield from ga4_tables.read(path, export)
            continue
        for numbers_, texts, rule in _blocks(path):
            lines.add(export.relative(path), numbers_, texts, rule)
            if lines.size >= BATCH_BYTES:
                yield _batch(lines, export)
                lines = _Lines()
    if lines.counts:
        yield _batch(lines, export)


def _blocks(path: Path) -> Iterator[tuple[list[int], list[bytes], str]]:
    """Yield the lines that hold anything, with their numbers, a megabyte at a time; and the rule that a line breaks."""
    kind = format_of(path)
    if kind == "parquet":
        first = 1
        yield [], [], ""  # a file without rows counts as read
        for rows in ga4_tables.objects(path):
            yield list(range(first, first + len(rows))), rows, ""
            first += len(rows)
        return
    if kind != "text":
        raise DataError(
            "The file holds no JSON lines.", where=path, found=f"{kind} data",
            allowed="the BigQuery export saved as newline-delimited JSON (also gzip) or Parquet",
            do="Export the table as JSON.",
        )  # fmt: skip
    is_json_lines(path)
    first = 1
    yield [], [], ""
    with opened(path, part=True) as file:
        for part, rule in parts(file):
            lines = (part.removeprefix(codecs.BOM_UTF8) if first == 1 else part).removesuffix(b"\n").split(b"\n")
            texts = [line.strip() for line in lines]
            numbers_ = [number for number, text in enumerate(texts, first) if text or rule]
            yield numbers_, [text for text in texts if text or rule], rule
            first += len(lines)


def _batch(lines: _Lines, export: Export) -> Batch:
    origin, rule, texts = _origin(lines)
    table = pa.table({"line": np.arange(len(texts)), "text": pc.if_else(pa.array(rule == ""), texts, None)})
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # DuckDB gives each batch of rows to one thread.
        connection.register("lines", pa.Table.from_batches(table.to_batches(max_chunksize=8192), table.schema))
        connection.execute(_PARSE, [_SHAPE])
        fields = connection.sql(_FIELDS).to_arrow_table().to_pandas()
        rule[np.setdiff1d(np.flatnonzero(rule == ""), fields["line"])] = "broken_json"
        sieve = _events(fields, origin.loc[fields["line"]].reset_index(drop=True), export)
        kept, aside = sieve.split()
        connection.register(
            "kept", pa.table({"file": kept[FILE], "line": kept["_place"], USER_ID: kept[USER_ID], TS: kept[TS]})
        )
        attributes = connection.sql(_ATTRIBUTES).to_arrow_table().to_pandas()
    broken = origin[rule != ""].assign(rule=rule[rule != ""])
    broken["reason"] = broken["rule"].map(REASONS)
    users, keys = _users(attributes, export)
    derived = {
        "identities": pd.concat([_identities(kept, export), keys], ignore_index=True), "exposures": _exposures(kept),
        "users": users,
    }  # fmt: skip
    origins = pd.DataFrame({"source": kept["_origin"], "medium": kept["_medium"]})
    late = kept.loc[kept["_late"], FILE].value_counts()
    return Batch(
        "events", kept.drop(columns=list(_WORK)), rejected(pd.concat([rejected(broken), aside])), lines.counts,
        derived=derived, remarks={(str(file), "late"): int(rows) for file, rows in late.items()},
        unclassified=unclassified(origins, kept[CHANNEL]),
    )  # fmt: skip


def _origin(lines: _Lines) -> tuple[pd.DataFrame, npt.NDArray[np.object_], pa.Array]:
    """Return where each line comes from, which of them are no text, and the texts."""
    rule: npt.NDArray[np.object_] = np.full(len(lines.texts), "", dtype=object)
    rule[list(lines.rules)] = list(lines.rules.values())
    try:
        texts = pa.array(lines.texts, type=pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        decoded = [line.decode("utf-8", "replace") for line in lines.texts]
        other = [text.encode() != line for text, line in zip(decoded, lines.texts, strict=True)]
        rule[np.array(other) & (rule == "")] = "bad_encoding"
        texts = pa.array(decoded, type=pa.string())
    columns = {
        FILE: pd.Series(lines.files, dtype="str"),
        LINE: pd.Series(lines.numbers, dtype="int64"),
        RAW: pc.utf8_slice_codeunits(texts, 0, LONGEST_RAW).to_pandas().astype("str"),
        ROW: pd.Series(np.zeros(len(texts)), dtype="uint64"),  # events are told apart by their key
    }
    return pd.DataFrame(columns), rule, texts


def _events(fields: pd.DataFrame, origin: pd.DataFrame, export: Export) -> Sieve:
    """Return the rows as canonical events (and columns to work with), broken ones set aside."""
    text = {name: fields[name].astype("str") for name in fields if name != "line"}
    micros, amount = numbers(text["event_timestamp"]), numbers(text["amount"])
    micros = micros.where(micros.between(0, 9e15))
    person = text["pseudo"].fillna(text["login"])
    rows = {
        EVENT_ID: text["event_id"], USER_ID: person, EVENT: text["event"], TS: _instants(micros),
        SOURCE: pd.Series([export.name] * len(fields), dtype="str"), SESSION_ID: person + "." + text["session_id"],
        AMOUNT: amount, CURRENCY: text["currency"],
        CHANNEL: classify(_traits(text), known(tuple(export.workbook.channels))),
        CAMPAIGN: text["campaign"].mask(text["campaign"].isin(_NO_CAMPAIGN)), DEVICE: text["device"],
        PROPERTIES: text["properties"].mask(text["properties"] == "{}"),
        "_place": fields["line"], "_login": text["login"], "_pseudo": text["pseudo"], "_shown": text["shown"],
        "_medium": text["medium"], "_origin": text["origin"], "_click": text["gclid"],
    }  # fmt: skip
    day = _export_day(origin[FILE], text["event_date"], export)
    rows["_late"] = (day - rows[TS]) > export.workbook.cleaning.late_after
    sieve = Sieve(pd.DataFrame(rows).join(origin))
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


def _identities(kept: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Return the links (login id, browser id) and (person, click id) with the time of the first row that has both."""
    both = kept[kept["_login"].notna() & kept["_pseudo"].notna()]
    known = pd.DataFrame({USER_ID: both["_login"], "value": both["_pseudo"], "kind": ANONYMOUS, "holder": LOGIN})
    click = kept[kept["_click"].notna()]
    anonymous = click["_pseudo"].notna()
    clicked = pd.DataFrame({
        USER_ID: click[USER_ID], "value": "gclid:" + click["_click"], "kind": "gclid",
        "holder": anonymous.map({True: ANONYMOUS, False: LOGIN}),
    })  # fmt: skip
    links = pd.concat([known, clicked])
    links = links.assign(**{FILE: kept.loc[links.index, FILE], FIRST_SEEN: kept.loc[links.index, TS]})
    first = links.groupby([FILE, USER_ID, "value", "kind", "holder"])[FIRST_SEEN].min().reset_index()
    return first.assign(**{SOURCE: export.name})


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
