"""The sections of the data collection report: what came in, how good it is, what was set aside."""

from __future__ import annotations

from datetime import date

import pandas as pd

from funnel_lib.collection.quality import changes, coverage, days_without, event_reach, grade
from funnel_lib.collection.scope import Scope
from funnel_lib.notation import text
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Card, Figure, kpis, section, summary
from funnel_lib.reporting.estimates import Count, Share
from funnel_lib.reporting.labels import Day, Names
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.plots.words import Words
from funnel_lib.reporting.rules import rule_meanings
from funnel_lib.reporting.tables import Cell, Column, Table
from funnel_lib.reporting.wording import Say, Sentence

OUTCOMES = ("read", "kept", "merged", "quarantined")
AT_LEAST = ("rows_kept", "join_rate")


def source_titles(scope: Scope) -> dict[str, str]:
    """Return what readers call the sources."""
    return {name: text(source.title, scope.language, name) for name, source in scope.workbook.sources.items()}


def totals(tally: pd.DataFrame) -> dict[str, int]:
    """Return the rows of the whole tally by outcome."""
    return {outcome: int(tally.loc[tally["outcome"] == outcome, "rows"].sum()) for outcome in OUTCOMES}


def summarise(scope: Scope) -> Block:
    """Open with how many rows came in, what became of them, and whether they are good enough."""
    say, tally = Say(scope.language), scope.store.tally()
    rows = totals(tally)
    lead = say(
        "**{read}** rows came in from {sources} sources: {kept} were kept, {merged} merged with others and "
        "**{quarantined}** set aside ({share}).", key="rows", sources=tally["source"].nunique(), read=rows["read"],
        kept=rows["kept"], merged=rows["merged"], quarantined=rows["quarantined"],
        share=Share(rows["quarantined"] / max(rows["read"], 1), 2),
    )  # fmt: skip
    points = [
        (say("Quality"), quality_finding(say, scope)),
        (say("Set aside"), aside_finding(say, scope)),
        (say("Freshness"), freshness(say, scope)),
    ]
    return summary(lead, points)


def freshness(say: Say, scope: Scope) -> Sentence:
    """Say which days the data covers."""
    facts = scope.store.facts()
    if facts["first_day"] is None:
        return say("These sources have no times, so nothing can be said about how fresh they are.")
    first, last = (Day(date.fromisoformat(facts[name])) for name in ("first_day", "last_day"))
    return say("The data covers {first} to {last}.", first=first, last=last)


def cards(scope: Scope) -> Block:
    """Show the sizes of the canonical tables."""
    say, tables = Say(scope.language), scope.store.facts()["tables"]
    titles = {
        "events": say("Events"), "users": say("People"), "deals": say("Deals"), "spend": say("Days of ad spend"),
        "surveys": say("Survey answers"), "exposures": say("Experiment exposures"),
    }  # fmt: skip
    shown = [
        Card(titles[name], say.value(Count(tables[name]["rows"]), key=f"table.{name}"), range=say(
            "rows after cleaning"
            ))
        for name in titles if name in tables
    ]  # fmt: skip
    return kpis(shown)


def came_in(scope: Scope) -> Block:
    """Show rows read, kept, merged and set aside by source."""
    say, tally, titles = Say(scope.language), scope.store.tally(), source_titles(scope)
    wide = tally.pivot_table(index="source", columns="outcome", values="rows", aggfunc="sum", fill_value=0)
    frame = wide.reindex(columns=list(OUTCOMES), fill_value=0)
    frame = frame.join(tally.groupby("source")["file"].nunique().rename("files")).reset_index()
    sums = pd.DataFrame([{"source": None, **frame.drop(columns="source").sum().to_dict()}])
    frame = pd.concat([frame, sums], ignore_index=True)
    frame = frame.assign(
        source=[
            titles.get(name, name) if isinstance(name, str) else say.text("All sources") for name in frame["source"]
        ],
        balanced=frame["read"] == frame["kept"] + frame["merged"] + frame["quarantined"],
    )
    heads = {
        "files": say("Files"), "read": say("Read"), "kept": say("Kept"), "merged": say("Merged"),
        "quarantined": say("Set aside"),
    }  # fmt: skip
    columns = [
        Column("source", say("Source")),
        *(Column(name, title, Count) for name, title in heads.items()),
    ]
    columns.append(Column("balanced", say("Adds up"), lambda yes: _mark(yes, say("yes") if yes else say("no"))))
    finding = say("Every row read was kept, merged or set aside")
    if not frame["balanced"].all():
        finding = say("Some rows are not accounted for")
    shown = Table(frame, columns, say("Rows by source"), name="rows", total=True, look="seg")
    sub = say("Rows by source, over all files; merged = the same event or person again, or a total row")
    return section("rows", kicker=say("What came in"), finding=finding, sub=sub, parts=[shown])


def _mark(good: bool, words: Sentence) -> Cell:
    return Cell(words, symbol="✓" if good else "▼", tone="good" if good else "bad")


def days(scope: Scope) -> Block:
    """Show how many rows each source has on each day of the period."""
    say, found, titles = Say(scope.language), coverage(scope.store, scope.workbook), source_titles(scope)
    day = pd.to_datetime(found["day"])
    first, last = pd.Timestamp(scope.period.first_day), pd.Timestamp(scope.period.last_day)
    inside = found[(day >= first) & (day <= last)]
    if inside.empty:
        none = say("No source has rows with a day in this period")
        return section("days", kicker=say("Coverage"), finding=none)
    missed = days_without(found.assign(day=day))
    gaps = missed[missed["day"].between(first, last)].groupby("source").size()
    if len(gaps):
        finding = say(
            "{source} has no data on {n} days of the period that are busy in other weeks", key="days",
            source=titles[str(gaps.idxmax())], n=int(gaps.max()),
        )  # fmt: skip
    elif (inside["rows"] > 0).all():
        finding = say("Every source has data on every day of the period", key="days")
    else:
        finding = say("No source lacks data on a day that is busy in other weeks", key="days")
    words = Words(scope.language, titles)
    svgs = plots.figure(lambda ax, width: plots.coverage(inside, words, ax=ax, width=width), alt=finding.text)
    columns = [
        Column("source", say("Source")),
        Column("days", say("Days with data"), Count),
        Column("empty", say("Days without"), Count),
        Column("rows", say("Rows"), Count),
        Column("least", say("Fewest on a day"), Count),
        Column("most", say("Most on a day"), Count),
    ]
    frame = _by_source(inside).assign(source=lambda rows: [titles[str(name)] for name in rows["source"]])
    table = Table(frame, columns, say("Rows by source in the period"), name="days")
    figure = Figure(svgs, finding, caption=say("One bar per day; each source has its own scale."), table=table)
    sub = say("Rows by source and day of the period")
    return section("days", kicker=say("Coverage"), finding=finding, sub=sub, parts=[figure])


def _by_source(inside: pd.DataFrame) -> pd.DataFrame:
    marked = inside.assign(days=inside["rows"] > 0, empty=inside["rows"] == 0)
    counted = marked.groupby("source", sort=True).agg(
        days=("days", "sum"),
        empty=("empty", "sum"),
        rows=("rows", "sum"),
        least=("rows", "min"),
        most=("rows", "max"),
    )
    return counted.reset_index()


def quality(scope: Scope) -> Block:
    """List the checks: what was found, what is allowed, whether it passed."""
    say, found = Say(scope.language), scope.checks
    titles = check_titles(say)
    rows = [
        {
            "check": titles.get(row.check, row.check),
            "found": _figure(row.check, row.found),
            "allowed": _bound(say, row.check, _figure(row.check, row.allowed)),
            "passed": _passed(say, passed=row.passed, waived=row.waived),
            "places": "" if row.passed else row.waived or row.places,
        }
        for row in records(found)
    ]
    frame = pd.DataFrame(rows, columns=["check", "found", "allowed", "passed", "places"])
    columns = [
        Column("check", say("Check")),
        Column("found", say("Found")),
        Column("allowed", say("Allowed")),
        Column("passed", say("Result")),
        Column("places", say("Where, or why it was waived"), left=True),
    ]
    sub = say("A = all checks passed, B = small remarks, C = use with care; with a fatal fault nothing is published")
    table = Table(frame, columns, say("Quality checks"), name="quality", look="seg")
    drifted = _drifted(say, scope)
    parts = [table] if drifted is None else [table, drifted]
    return section("quality", kicker=say("Quality"), finding=quality_finding(say, scope), sub=sub, parts=parts)


def _drifted(say: Say, scope: Scope) -> Table | None:
    """Return how the columns of the exports have changed since the last collection; None where they have not."""
    found, titles = changes(scope.store.facts()), source_titles(scope)
    if found.empty:
        return None
    plain = {"new": say("new column"), "lost": say("column is gone")}
    rows = []
    for place, column, change, to, file in found.itertuples(index=False, name=None):
        source, _, table = str(place).partition(": ")
        become = plain.get(change) or say("other kind of values: {kinds}", kinds=to)
        become = say("looks renamed to {name}", name=to) if change == "renamed" else become
        rows.append((f"{titles.get(source, source)}: {table}", column, become, file))
    frame = pd.DataFrame(rows, columns=["place", "column", "change", "file"])
    columns = [
        Column("place", say("Source and table")),
        Column("column", say("Column of the export"), left=True),
        Column("change", say("What has changed"), left=True),
        Column("file", say("First file with it"), left=True),
    ]
    title = say("How the exports have changed since the last collection")
    return Table(frame, columns, title, name="drift", look="seg")


def _passed(say: Say, *, passed: bool, waived: str) -> Cell:
    if not passed and waived:
        return Cell(say("waived"), symbol="○", tone="open")
    return _mark(passed, say("passed") if passed else say("not passed"))


def _bound(say: Say, check: str, value: Share | Count) -> Sentence:
    return say("at least {value}", value=value) if check in AT_LEAST else say("at most {value}", value=value)


def _figure(check: str, value: float) -> Share | Count:
    return Share(value, 2) if check.endswith(("_share", "_rate")) else Count(int(value))


def quality_finding(say: Say, scope: Scope) -> Sentence:
    """Say the grade and how many checks passed, and name those that did not."""
    found = scope.checks
    failed, letter, n = found[~found["passed"]], grade(found), len(found)
    if failed.empty:
        return say("Grade {grade}: all {checks} checks passed", key="quality", grade=letter, checks=n)
    titles = check_titles(say)
    names = Names([titles[name].text if name in titles else str(name) for name in failed["check"]])
    return say(
        "Grade {grade}: {passed} of {checks} checks passed; look at: {names}", key="quality", grade=letter,
        passed=n - len(failed), checks=n, names=names,
    )  # fmt: skip


def check_titles(say: Say) -> dict[str, Sentence]:
    """Return what readers call the quality checks."""
    return {
        "quarantined_share": say("Share of faulty rows (bots and test accounts aside)"),
        "duplicates_share": say("Share of duplicates"),
        "near_duplicates_share": say("Share of events that look like the one just before"),
        "late_share": say("Share of rows that came late"),
        "late_arrivals_share": say("Share of rows that were loaded late"),
        "similar_deals_share": say("Share of deals that look like the one before"),
        "future_rows": say("Rows dated in the future"),
        "test_and_bot_share": say("Share of bots and test accounts"),
        "days_without_data": say("Days without data"),
        "cut_off_files": say("Files that end too early"),
        "volume_breaks": say("Days with far too few or too many rows"),
        "emptied_columns": say("Columns that have emptied"),
        "changed_events": say("Events that are new or have vanished"),
        "unit_breaks": say("Amounts whose unit has changed"),
        "schema_drift": say("Columns that came or went"),
        "negative_amounts_share": say("Share of negative amounts"),
        "unclassified_share": say("Share of events without a known channel"),
        "oversize_identities": say("Ids that too many people share"),
        "other_currency_share": say("Share of amounts in another currency"),
        "sources_gone_quiet": say("Sources that have gone quiet"),
        "rows_kept": say("Rows kept"),
        "join_rate": say("Registered people with a CRM record"),
    }


def aside(scope: Scope) -> Block:
    """Show what was set aside by rule, what the rule means, and where the first case of each is."""
    say, found = Say(scope.language), scope.store.read("quarantine")
    kicker, finding = say("Set aside"), aside_finding(say, scope)
    if found.empty:
        return section("aside", kicker=kicker, finding=finding)
    titles, meanings = source_titles(scope), rule_meanings(say)
    grouped = found.groupby(["rule", "source"], sort=True).agg(
        rows=("line", "size"), file=("file", "first"), line=("line", "first")
    )
    frame = grouped.reset_index().sort_values("rows", ascending=False, kind="stable")
    frame = frame.assign(
        source=[titles.get(str(name), str(name)) for name in frame["source"]],
        meaning=[str(meanings.get(str(rule), rule)) for rule in frame["rule"]],
        place=[f"{file}:{line}" for file, line in zip(frame["file"], frame["line"], strict=True)],
    )
    columns = [
        Column("rule", say("Rule")),
        Column("source", say("Source"), left=True),
        Column("rows", say("Rows"), Count),
        Column("place", say("First case (file:line)"), left=True),
        Column("meaning", say("Meaning"), left=True),
    ]
    sub = say(
        "Rows that a rule refused. They are kept in the quarantine table with file, line and reason; mend them at "
        "their "
        "source and collect again"
    )  # fmt: skip
    table = Table(frame, columns, say("Rows set aside by rule"), name="quarantine", look="seg")
    return section("aside", kicker=kicker, finding=finding, sub=sub, parts=[table])


def aside_finding(say: Say, scope: Scope) -> Sentence:
    """Say how many rows were set aside and by which rule most."""
    found = scope.store.read("quarantine")
    if found.empty:
        return say("No row had to be set aside", key="aside")
    most = found["rule"].value_counts()
    return say(
        "{n} rows were set aside, {most} of them by the rule {rule}", key="aside", n=len(found), most=int(most.iloc[0]),
        rule=str(most.index[0]),
    )  # fmt: skip


def events(scope: Scope) -> Block:
    """Show how many people each event reached, over all data."""
    say, reach = Say(scope.language), event_reach(scope.store)
    if reach.empty:
        none = say("This workbook has no events; its funnel comes from a snapshot")
        return section("events", kicker=say("Events"), finding=none)
    top = reach.sort_values("people", ascending=False, kind="stable")
    finding = say(
        "{n} kinds of events; {event} reached most people, {people}", key="events", n=len(top),
        event=str(top["event"].iloc[0]), people=int(top["people"].iloc[0]),
    )  # fmt: skip
    zone = scope.workbook.zone
    columns = [
        Column("event", say("Event")),
        Column("rows", say("Rows"), Count),
        Column("people", say("People"), Count),
        Column("first_ts", say("First seen"), lambda at: say.value(Day(at.tz_convert(zone).date()))),
        Column("last_ts", say("Last seen"), lambda at: say.value(Day(at.tz_convert(zone).date()))),
    ]
    table = Table(top, columns, say("Events and the people they reached"), name="events", look="seg")
    sub = say("All events after cleaning, over all data, whatever their order")
    return section("events", kicker=say("Events"), finding=finding, sub=sub, parts=[table])
