"""A real Spark: in one process, and with two executors of their own, which may be killed."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.source import Facts, microseconds
from funnel_lib.conversion.engine.spark import SparkSource
from funnel_lib.conversion.journeys import journeys
from funnel_lib.definition import Exclusion, Funnel, Matching, Step
from funnel_lib.errors import ConfigError, DataError
from tests.conversion.engine.strategies import cases

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
ONE, TWO = "local[2]", "local-cluster[2,1,1024]"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
BASE = microseconds(NOON)


@pytest.fixture(scope="module", params=[ONE])
def spark(request, tmp_path_factory):
    """A session that listens on loopback only and leaves nothing behind; its zone has daylight saving."""
    import pyspark
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    home = folder / "home"  # executors keep their logs there
    home.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (home / entry.name).symlink_to(entry)
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",
        "spark.executor.memory": "1g",
        "spark.local.dir": folder / "local",
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
        "spark.sql.session.timeZone": "America/New_York",
        "spark.sql.shuffle.partitions": 3,
        "spark.sql.maxMetadataStringLength": 2000,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join(["", os.environ.get("PYTHONPATH", "")]).strip(os.pathsep))
        builder = SparkSession.builder.master(request.param)
        for name, value in settings.items():
            builder = builder.config(name, str(value))
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        yield session
        session.stop()


two_executors = pytest.mark.parametrize("spark", [TWO], indirect=True)


def logs(seed: int = 1, rows: int = 3000, units: int = 200) -> pa.Table:
    """Events of a few instants and names: ties, repeats, edges of windows; every column has missing values."""
    rng = np.random.default_rng(seed)

    def some(values: list, missing: float) -> list:
        return [None if rng.random() < missing else values[place] for place in rng.integers(0, len(values), rows)]

    at = BASE + rng.integers(0, 40, rows) * 3_600_000_000 + rng.integers(0, 3, rows)
    odd = {0: None, 1: 0, 2: BASE * 5}  # no time, 1970, 2251
    ts = [odd.get(number, int(moment)) for number, moment in zip(rng.integers(0, 200, rows), at, strict=True)]
    return pa.table(
        {
            "user_id": pa.array(some([f"u{number}" for number in range(units)] + [""], 0.01), pa.string()),
            "event": pa.array(some(list("ABCXY"), 0.01), pa.string()),
            "ts": pa.array(ts, pa.timestamp("us", "UTC")),
            "session_id": pa.array(some(["s1", "s2"], 0.02), pa.string()),
            "device": pa.array(some(["mobile", "desktop"], 0.1), pa.string()),
            "amount": pa.array(some([0, 1, 2, 3], 0.1), pa.int64()),
            "price": pa.array(some([0.5, 1.0, 2.5], 0.1), pa.float64()),
            "paid": pa.array(some([True, False], 0.1), pa.bool_()),
            "properties": pa.array(some(['{"plan": "pro", "n": 2}', '{"plan": "free"}', ""], 0.1), pa.string()),
        }
    )


ABC = [Step("a", event="A"), Step("b", event=["B", "X"]), Step("c", event="C")]
FUNNELS = {
    "default": Funnel(ABC, window="6h"),
    "no window": Funnel(ABC),
    "any event": Funnel([Step("first"), Step("second", where={"amount": {"gt": 1}})], window="6h"),
    "where": Funnel(
        [
            Step("a", event="A", where={"device": "mobile", "amount": {"ge": 1}}),
            Step("b", event="B", where={"plan": ["pro", "free"], "price": {"ne": 1}}),
        ],
        window="12h",
    ),
    "strict": Funnel(ABC, window="12h", order="strict"),
    "repeats": Funnel(ABC, window="12h", order="strict", matching=Matching(repeats=True)),
    "any": Funnel(ABC, window="12h", order="any"),
    "drop_unit": Funnel(ABC, window="1d", exclusions=[Exclusion(event="Y")]),
    "drop_off": Funnel(ABC, window="1d", exclusions=[Exclusion("Y", {"paid": True}, before=1, policy="drop_off")]),
    "hold": Funnel(ABC, window="1d", hold_constant=["device", "plan"]),
    "hold a number": Funnel(ABC, window="1d", hold_constant=["amount"]),
    "sessions": Funnel(ABC, counting="sessions"),
    "session gap": Funnel(ABC, counting="sessions", session_gap="2h"),
    "entries": Funnel(ABC, window="6h", counting="entries"),
    "open": Funnel(ABC, window="6h", open=True),
    "optional": Funnel([ABC[0], Step("b", event="B", optional=True, within="2h"), ABC[2]], window="6h"),
    "nine bits": Funnel([Step(f"s{k}", event=["A", "B", "C", "X"][k % 4 :]) for k in range(9)], window="1d"),
    "mixpanel": Funnel(ABC, window="6h", preset="mixpanel", exclusions=[Exclusion("Y")]),
    "amplitude": Funnel(ABC, window="6h", preset="amplitude"),
    "posthog": Funnel(ABC, window="6h", preset="posthog", order="strict"),
}  # fmt: skip


def collected(source, plan, since=None, until=None) -> pa.Table:
    """All journeys of a source, in an order that does not depend on its parts."""
    found = pa.concat_tables(source.journeys(plan, since, until))
    keys = [name for name in ("unit", "session", "entry") if name in found.column_names]
    return found.combine_chunks().sort_by([(name, "ascending") for name in keys])


def framed(spark, events: pa.Table):
    """Make a DataFrame; unlike Spark by default, leave times without zone without zone."""
    spark.conf.set("spark.sql.timestampType", "TIMESTAMP_NTZ")
    try:
        return spark.createDataFrame(events)
    finally:
        spark.conf.unset("spark.sql.timestampType")


def matches(spark, events: pa.Table, plan: Plan, since=None, until=None, **options) -> pa.Table:
    """Compare Spark with the local feeder; return the journeys."""
    local = LocalSource(events, plan.funnel, plan.by)
    source = SparkSource(framed(spark, events), plan.funnel, plan.by, **options)
    expected = collected(local, plan, since, until)
    found = collected(source, plan, since, until)
    assert found.equals(expected.cast(found.schema))
    assert source.facts == local.facts
    assert (source.newest, source.names) == (local.newest, local.names)
    return found


@pytest.mark.parametrize("name", FUNNELS)
def test_journeys_are_those_of_the_local_feeder(spark, name):
    by = ("device",) if FUNNELS[name].counting == "units" else ("plan", "amount")
    found = matches(spark, logs(), Plan(FUNNELS[name], by), rows_at_once=100)
    assert len(found) > 20
    assert found["depth"].to_numpy().max() > 1


def test_entries_and_spans_are_limited_as_they_are_locally(spark):
    first, last = NOON + timedelta(hours=5), NOON + timedelta(hours=20)
    for touch in ("entry", "first", "last", 2):
        plan = Plan(
            FUNNELS["default"],
            ("device", "n"),
            touch,
            microseconds(first),
            microseconds(last),
            microseconds(last),
        )
        matches(spark, logs(2), plan, first, last + timedelta(hours=6))


@seed(20261122)
@settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(case=cases())
def test_random_funnels_and_logs(spark, case):
    plan, funnel = case.plan, case.plan.funnel
    columns: dict[str, list] = {name: [] for name in ("user_id", "event", "ts", "session_id")}
    columns |= {name: [] for name in (*funnel.hold_constant, *plan.by)}
    for unit, log in enumerate(case.logs):
        for row in log:
            names = [f"s{step}" for step in row.steps] + [f"x{number}" for number in row.exclusions]
            columns["user_id"].append(unit)
            columns["event"].append("+".join(sorted(names)) or "other")
            columns["ts"].append(BASE + row.at)
            columns["session_id"].append(row.session)
            for name, value in zip(funnel.hold_constant, row.held, strict=True):
                columns[name].append(value)
            for name, value in zip(plan.by, row.extra, strict=True):
                columns[name].append(value)
    kinds = {"user_id": pa.int64(), "ts": pa.timestamp("us", "UTC")}
    events = pa.table({name: pa.array(values, kinds.get(name, pa.string())) for name, values in columns.items()})
    matches(spark, events, shifted(plan, set(columns["event"])), rows_at_once=20)


def shifted(plan: Plan, names: set[str]) -> Plan:
    """The plan for times after BASE, and for events whose names tell all that they match."""

    def accepted(event: str) -> list[str]:
        return [name for name in sorted(names) if event in name.split("+")] or [event]

    steps = [replace(step, event=accepted(step.event)) for step in plan.funnel.steps]
    exclusions = [replace(part, event=accepted(part.event)) for part in plan.funnel.exclusions]
    limits = {
        name: getattr(plan, name) + BASE * (abs(getattr(plan, name)) < 2**62)
        for name in ("entry_from", "entry_until", "mature_until")
    }
    return replace(plan, funnel=replace(plan.funnel, steps=steps, exclusions=exclusions), **limits)


def test_the_frame_of_journeys_never_comes_to_the_driver(spark):
    plan = Plan(FUNNELS["default"], ("device", "amount"))
    source = SparkSource(spark.createDataFrame(logs()), plan.funnel, plan.by)
    frame = source.frame(plan)
    expected = collected(LocalSource(logs(), plan.funnel, plan.by), plan)
    assert frame.toArrow().sort_by("unit").cast(expected.schema).equals(expected)
    assert frame.filter("depth = 3 and device = 'mobile'").count() == sum(
        row["depth"] == 3 and row["device"] == "mobile" for row in expected.to_pylist()
    )


def test_partitions_pieces_and_the_order_of_rows_change_nothing(spark):
    plan = Plan(FUNNELS["hold"], ("amount",))
    events = logs()
    expected = collected(SparkSource(spark.createDataFrame(events), plan.funnel, plan.by), plan)
    shuffled = events.take(np.random.default_rng(2).permutation(len(events)))
    for frame in (spark.createDataFrame(shuffled).repartition(7), spark.createDataFrame(events).coalesce(1)):
        for partitions in (1, 2, 16):
            source = SparkSource(frame, plan.funnel, plan.by, partitions=partitions, rows_at_once=partitions)
            assert collected(source, plan).equals(expected)


def test_one_unit_with_most_of_the_rows(spark):
    # The bot does A and B in turn, 60,000 rows; 500 people do A and B once, an hour apart.
    bot = pa.table({"user_id": ["bot"] * 60_000, "event": ["A", "B"] * 30_000, "ts": range(BASE, BASE + 60_000)})
    people = [f"p{number}" for number in range(500)]
    once = pa.table(
        {
            "user_id": people * 2,
            "event": ["A"] * 500 + ["B"] * 500,
            "ts": [BASE] * 500 + [BASE + 36 * 10**8] * 500,
        }
    )
    events = pa.concat_tables([bot, once])
    events = events.set_column(2, "ts", events["ts"].cast(pa.timestamp("us", "UTC")))
    funnel = Funnel([Step("a", event="A"), Step("b", event="B")], window="1h")
    found = matches(spark, events, Plan(funnel), rows_at_once=1000)
    assert found["depth"].to_pylist() == [2] * 501


def test_a_condition_means_the_same_whoever_checks_it(spark):
    operands = {
        "device": ["mobile", "Mobile", 1],
        "amount": [1, 1.0, "1", 2.5, "x"],
        "price": [1, "1.0", 2.5],
        "paid": [True, "true", "True", 1],
        "plan": ["pro", "PRO"],
        "n": [2, 2.0, "2"],
    }
    wheres = []
    for name, values in operands.items():
        for value in values:
            wheres += [{name: {"eq": value}}, {name: {"ne": value}}]
        wheres += [
            {name: {"in": values}},
            {name: {"not_in": values}},
            {name: {"is_null": True}},
            {name: {"is_null": False}},
        ]
    wheres += [{"device": {"contains": "MOB"}}, {"plan": {"contains": "r"}}]
    for limit in (0, 1, 1.5, "2"):
        wheres += [{name: {sign: limit}} for name in ("amount", "price", "n") for sign in ("gt", "ge", "lt", "le")]
    for some in (wheres[:40], wheres[40:80], wheres[80:]):
        funnel = Funnel([Step(str(number), where=where) for number, where in enumerate(some)])
        matches(spark, logs(3, rows=600), Plan(funnel))


def test_python_checks_only_the_conditions_that_spark_could_read_otherwise(spark):
    frame = spark.createDataFrame(logs())
    easy = {"device": "mobile", "amount": {"gt": 1}, "price": {"le": 2}, "paid": True}
    for where, stages in ((easy, 1), ({**easy, "plan": "pro"}, 2), ({"device": {"contains": "o"}}, 2)):
        funnel = Funnel([Step("a", event="A", where=where)])
        plan = SparkSource(frame, funnel).frame(Plan(funnel))._jdf.queryExecution().toString()
        physical = plan[plan.index("== Physical Plan ==") :]
        assert physical.count("MapInArrow") == stages
        assert physical.count("Exchange") == 1


def test_files_are_read_only_where_something_can_match(spark, tmp_path):
    pq.write_table(logs().sort_by("ts"), tmp_path / "events.parquet", row_group_size=500)
    funnel = Funnel([Step("a", event="A"), Step("c", event="C", where={"device": "mobile"})], window="6h")
    source = SparkSource(spark.read.parquet(str(tmp_path)), funnel)
    plan = Plan(funnel)
    text = source.frame(plan, NOON, NOON + timedelta(hours=3))._jdf.queryExecution().toString()
    scan = next(line for line in text.splitlines() if "FileScan parquet" in line)
    assert "ReadSchema: struct<user_id:string,event:string,ts:timestamp,device:string>" in scan
    pushed = scan.partition("PushedFilters:")[2]
    for filtered in (
        "In(event, [A,C])",
        "IsNotNull(user_id)",
        "GreaterThanOrEqual(ts,",
        "LessThanOrEqual(ts,",
    ):
        assert filtered in pushed
    expected = collected(LocalSource(tmp_path / "events.parquet", funnel), plan)
    assert collected(source, plan).equals(expected)


@pytest.mark.parametrize("kind", ["timestamp", "timestamp_ntz", "date", "string"])
def test_times_of_every_kind_are_utc_whatever_the_zone_of_the_session(spark, kind):
    # In New York 2026-03-08 has no 02:30 and 2026-11-01 has 01:30 twice; the session is there.
    moments = [datetime(2026, 3, 8, hour, 30, 0, 5, tzinfo=UTC) for hour in (1, 2, 3, 6, 7)]
    moments += [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (0, 1, 5, 6)]
    naive = [moment.replace(tzinfo=None) for moment in moments]
    values = {
        "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
        "timestamp_ntz": pa.array(naive, pa.timestamp("us")),
        "date": pa.array([moment.date() for moment in moments]),
        "string": pa.array([moment.isoformat() for moment in moments]),
    }
    events = pa.table({"user_id": list(range(9)), "event": ["A"] * 9, "ts": values[kind]})
    funnel = Funnel([Step("a", event="A")])
    found = matches(spark, events, Plan(funnel), moments[1] if kind != "date" else None, moments[-1])
    if kind != "date":
        assert found["t_1"].to_pylist() == moments[1:]
    else:
        assert set(found["t_1"].to_pylist()) == {
            datetime(2026, 3, 8, tzinfo=UTC),
            datetime(2026, 11, 1, tzinfo=UTC),
        }


def test_times_as_text(spark):
    texts = {
        "2026-05-01T12:00:00Z": NOON,
        "2026-05-01T12:00:00.000001Z": NOON + timedelta(microseconds=1),
        "2026-05-01T14:00:00+02:00": NOON,
        "2026-05-01T12:00:00": NOON,
        "2026-05-01 12:00:00": NOON,
        "2026-05-01 07:00:00-05": NOON,
        " 2026-05-01 12:00:00 ": NOON,
        "2026-05-01": NOON.replace(hour=0),
        "12:00": None,
        "yesterday": None,
        "2026-13-01": None,
        "": None,
    }
    events = pa.table({"user_id": list(texts), "event": ["A"] * len(texts), "ts": list(texts)})
    events = events.set_column(0, "user_id", pa.array(range(len(texts))))
    funnel = Funnel([Step("a", event="A")])
    found = matches(spark, events, Plan(funnel))
    assert found["t_1"].to_pylist() == [time for time in texts.values() if time is not None]


def test_rows_that_cannot_count_are_counted(spark):
    def row(user: str | None, event: str, at: datetime | None, device: str | None = "d") -> dict:
        return {"user_id": user, "event": event, "ts": at, "device": device}

    rows = [
        row("u", "A", NOON), row("u", "B", NOON),
        row(None, "A", NOON), row("", "A", NOON), row(None, "other", NOON),  # no unit: 2, and one that is no step
        row("u", "A", None), row(None, "B", None), row("u", "other", None),  # no time: 2
        row("u", "A", datetime(1970, 1, 1, tzinfo=UTC)), row("u", "B", datetime(2300, 1, 1, tzinfo=UTC)),
        row("u", "B", NOON, None),
    ]  # fmt: skip
    kinds = {
        "user_id": pa.string(),
        "event": pa.string(),
        "ts": pa.timestamp("us", "UTC"),
        "device": pa.string(),
    }
    events = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})
    funnel = Funnel([Step("a", event="A"), Step("b", event="B")], hold_constant=["device"])
    source = SparkSource(spark.createDataFrame(events), funnel)
    assert collected(source, Plan(funnel))["depth"].to_pylist() == [2]
    assert source.facts.set_aside == {"no_unit": 2, "no_time": 2, "impossible_time": 2, "no_held_value": 1}
    assert source.facts.matched == [1, 2]
    assert source.newest == NOON
    matches(spark, events, Plan(funnel))
    # A row that no condition lets match anything is not missed, whoever checks it: 1 less without unit or time.
    for condition in ({"ne": "d"}, {"contains": "x"}):
        picky = Funnel([Step("a", event="A", where={"device": condition}), Step("b", event="B")])
        source = SparkSource(spark.createDataFrame(events), picky)
        assert collected(source, Plan(picky)).num_rows == 0
        assert source.facts == Facts({"no_unit": 0, "no_time": 1, "impossible_time": 1}, [0, 2])
        matches(spark, events, Plan(picky))


def test_any_name_of_a_column_can_be_used(spark):
    names = ["the.id", "a`b", "c\"d'e", "hold me", "Event", "größe"]
    values = [["u", "u", "v"], ["x", "x", "y"], ["1", "2", "1"], ["h", "h", None], ["Z"] * 3, ["k"] * 3]
    events = pa.table({**dict(zip(names, values, strict=True)), "event": ["A", "B", "A"], "ts": [NOON] * 3})
    where = {"a`b": "x", "c\"d'e": {"contains": "2"}}
    funnel = Funnel([Step("a", event="A"), Step("b", event="B", where=where)], unit="the.id", hold_constant=["hold me"])
    plan = Plan(funnel, ("größe", "a`b", "Event"))
    spark.conf.set("spark.sql.caseSensitive", "true")  # a frame with both Event and event can be made only so
    try:
        frame = spark.createDataFrame(events)
    finally:
        spark.conf.set("spark.sql.caseSensitive", "false")
    (found,) = collected(SparkSource(frame, funnel, plan.by), plan).to_pylist()
    assert (found["unit"], found["depth"], found["größe"], found["a`b"], found["Event"]) == (
        "u",
        2,
        "k",
        "x",
        "Z",
    )


@pytest.mark.parametrize("kind", ["to_json(p)", "from_json(to_json(p), 'map<string,string>')", "p"])
def test_properties_are_json_a_map_or_a_struct(spark, kind):
    values = "named_struct('plan', 'pro', 'n', 1)", "named_struct('plan', cast(null as string), 'n', 2)"
    rows = " union all ".join(
        f"select '{user}' user_id, timestamp_micros({BASE}) ts, {p} p" for user, p in zip("uv", values, strict=True)
    )
    frame = spark.sql(f"select user_id, 'A' event, ts, {kind} as properties from ({rows})")
    funnel = Funnel([Step("a", event="A", where={"n": {"ge": 1} if "map" not in kind else {"in": ["1", "2"]}})])
    found = collected(SparkSource(frame, funnel, ("plan", "n")), Plan(funnel, ("plan", "n")))
    assert found.select(["unit", "plan", "n"]).to_pylist() == [
        {"unit": "u", "plan": "pro", "n": "1"},
        {"unit": "v", "plan": None, "n": "2"},
    ]


def test_units_that_a_collation_holds_for_equal_stay_apart(spark):
    rows = [("ann", "A"), ("ANN", "B"), ("ann", "a"), ("Ann", "A"), ("ANN", "A"), ("ann", "B")]
    frame = spark.createDataFrame(rows, "user_id string collate UTF8_LCASE, event string collate UTF8_LCASE")
    frame = frame.selectExpr("*", f"timestamp_micros({BASE}) as ts")
    funnel = Funnel([Step("a", event="A"), Step("b", event="B")])
    found = collected(SparkSource(frame, funnel, partitions=1, rows_at_once=1), Plan(funnel))
    assert dict(zip(found["unit"].to_pylist(), found["depth"].to_pylist(), strict=True)) == {
        "ANN": 2,
        "Ann": 1,
        "ann": 2,
    }


@pytest.mark.parametrize("kind", ["int", "bigint", "string", "binary", "decimal(20,0)", "date", "boolean"])
def test_units_of_every_kind(spark, kind):
    values = {"date": ("'2026-01-01'", "'2026-01-02'"), "boolean": ("false", "true")}.get(kind, ("'1'", "'2'"))
    user = " ".join([f"case id % 2 when 0 then {values[0]} else {values[1]} end"])
    frame = spark.range(4).selectExpr(
        f"cast({user} as {kind}) as user_id",
        "if(id < 2, 'A', 'B') as event",
        f"timestamp_micros({BASE} + id) as ts",
    )
    funnel = Funnel([Step("a", event="A"), Step("b", event="B")])
    source = SparkSource(frame, funnel, partitions=1, rows_at_once=1)
    expected = collected(source, Plan(funnel))
    assert expected["depth"].to_pylist() == [2, 2]
    assert (
        sorted(row["unit"] for row in source.frame(Plan(funnel)).toArrow().to_pylist()) == expected["unit"].to_pylist()
    )


@pytest.mark.parametrize("kind", ["int", "string", "decimal(8,2)", "date", "timestamp", "timestamp_ntz", "boolean"])
def test_columns_of_every_kind_are_brought_along(spark, kind):
    text = {"date": "2026-01-02", "timestamp": "2026-03-08 07:30:00", "timestamp_ntz": "2026-03-08 02:30:00"}
    value = f"cast('{text.get(kind, 'true' if kind == 'boolean' else '1')}' as {kind})"
    frame = spark.sql(
        f"select id as user_id, 'A' as event, timestamp_micros({BASE}) as ts, if(id = 0, {value}, null) as it "
        "from range(2)"
    )
    plan = Plan(Funnel([Step("a", event="A")]), ("it",))
    source = SparkSource(frame, plan.funnel, plan.by)
    expected = frame.orderBy("user_id").toArrow()["it"].to_pylist()
    assert expected[0] is not None
    assert collected(source, plan)["it"].to_pylist() == expected
    assert source.frame(plan).orderBy("unit").toArrow()["it"].to_pylist() == expected
    assert source.frame(plan).schema["it"].dataType == frame.schema["it"].dataType


def test_nothing_to_read(spark):
    for events in (logs().slice(0, 0), logs()):
        funnel = Funnel([Step("a", event="never")], window="1d")
        found = matches(spark, events, Plan(funnel, ("device", "amount")))
        assert len(found) == 0
        assert SparkSource(spark.createDataFrame(events), funnel).frame(Plan(funnel)).count() == 0


def test_what_is_wrong_is_said(spark):
    frame = spark.createDataFrame(logs())
    funnel = FUNNELS["default"]
    with pytest.raises(DataError, match="no column 'usr'") as error:
        SparkSource(frame.withColumnRenamed("user_id", "usr_id"), replace(funnel, unit="usr"))
    assert "did you mean usr_id?" in str(error.value)
    with pytest.raises(DataError, match="no column 'plan'"):
        SparkSource(frame.drop("properties"), FUNNELS["where"])
    with pytest.raises(DataError, match="same name"):
        SparkSource(frame.join(frame.select("user_id", "device"), frame.user_id == frame.user_id), funnel)
    with pytest.raises(DataError, match="times are not times"):
        SparkSource(frame.selectExpr("user_id", "event", "unix_micros(ts) as ts"), funnel)
    stream = spark.readStream.format("rate").load()
    stream = stream.selectExpr("value as user_id", "'A' as event", "timestamp as ts")
    with pytest.raises(DataError, match="stream"):
        SparkSource(stream, funnel)


def test_what_a_task_says_reaches_the_user(spark):
    funnel = Funnel([Step("a", event="A", where={"plan": {"gt": 3}})])
    with pytest.raises(DataError) as error:
        list(SparkSource(spark.createDataFrame(logs()), funnel).journeys(Plan(funnel)))
    assert str(error.value).startswith("The column 'plan' cannot be compared with gt.\n  found:")
    assert "Use eq, in or contains for texts." in str(error.value)
    assert "Traceback" not in str(error.value)


def test_executors_without_the_package_are_told_apart(spark):
    def lacking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise ModuleNotFoundError("No module named 'funnel_lib'")

    frame = spark.createDataFrame(logs())
    source = SparkSource(frame.mapInArrow(lacking, frame.schema), FUNNELS["default"])
    with pytest.raises(ConfigError, match="executors lack a Python package"):
        list(source.journeys(Plan(FUNNELS["default"])))


def test_a_reader_that_stops_leaves_nothing_behind(spark):
    plan = Plan(FUNNELS["default"])
    parts = SparkSource(spark.createDataFrame(logs()), plan.funnel, partitions=8).journeys(plan)
    next(parts)
    kept = spark.sparkContext._jsc.getPersistentRDDs
    assert len(kept()) == 1
    parts.close()
    assert len(kept()) == 0


def test_the_same_call_works_on_a_spark_frame(spark):
    funnel = FUNNELS["default"]
    expected = journeys(logs(), funnel, by=["device"])
    found = journeys(spark.createDataFrame(logs()), funnel, by=["device"])
    pd.testing.assert_frame_equal(found.frame, expected.frame)
    assert found.as_of == expected.as_of
    assert found.counts("device").equals(expected.counts("device"))


def executor() -> int:
    """The process of the executor whose Python worker asks: the parent of its daemon."""
    daemon = os.getppid()
    return int(Path(f"/proc/{daemon}/stat").read_text().rsplit(")", 1)[1].split()[1])


def executors(spark) -> set[int]:
    of_worker = executor

    def ask(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        time.sleep(0.5)  # so that no executor does all of it alone
        for _ in batches:
            yield pa.record_batch({"pid": [of_worker()]})

    return set(spark.range(0, 4, 1, 4).mapInArrow(ask, "pid long").toArrow()["pid"].to_pylist())


@two_executors
@pytest.mark.parametrize("name", ["default", "strict", "hold", "sessions", "entries", "where"])
def test_two_executors_give_what_one_process_does(spark, name):
    assert len(executors(spark)) == 2
    matches(spark, logs(), Plan(FUNNELS[name], ("device",)), partitions=5, rows_at_once=100)


@two_executors
@pytest.mark.parametrize("stage", ["before", "after"])
def test_an_executor_killed_in_the_middle_loses_nothing(spark, stage, tmp_path):
    plan = Plan(FUNNELS["hold"], ("device",))
    events = spark.createDataFrame(logs()).repartition(6)
    marker, of_worker = tmp_path / "killed", executor

    def kill_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            try:
                marker.touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(of_worker(), signal.SIGKILL)

    before = executors(spark)
    if stage == "before":
        events = events.mapInArrow(kill_once, events.schema)
    frame = SparkSource(events, plan.funnel, plan.by, partitions=6).frame(plan)
    if stage == "after":
        frame = frame.mapInArrow(kill_once, frame.schema)
    found = frame.toArrow().sort_by("unit")
    assert marker.exists()
    assert len(before & executors(spark)) == 1
    expected = collected(LocalSource(logs(), plan.funnel, plan.by), plan)
    assert found.cast(expected.schema).equals(expected)


@two_executors
def test_parts_that_died_with_an_executor_are_made_again(spark):
    plan = Plan(FUNNELS["hold"], ("device",))
    source = SparkSource(spark.createDataFrame(logs()).repartition(6), plan.funnel, plan.by, partitions=12)
    parts = source.journeys(plan)
    found = [next(parts)]
    killed = executors(spark).pop()
    os.kill(killed, signal.SIGKILL)
    found += parts
    assert killed not in executors(spark)
    local = LocalSource(logs(), plan.funnel, plan.by)
    expected = collected(local, plan)
    assert pa.concat_tables(found).combine_chunks().sort_by("unit").equals(expected.cast(found[0].schema))
    assert source.facts == local.facts
