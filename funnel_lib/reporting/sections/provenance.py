"""Where the data comes from and how its parts fit: people across sources, channels, bad days, what to mend."""

from __future__ import annotations

import pandas as pd

from funnel_lib.collection.quality import by_day, by_rule
from funnel_lib.collection.scope import Scope
from funnel_lib.reporting.blocks import Block, section
from funnel_lib.reporting.estimates import Count, Share
from funnel_lib.reporting.labels import Day
from funnel_lib.reporting.rules import rule_meanings
from funnel_lib.reporting.sections.collection import source_titles
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

_MOST = 10


def joined(scope: Scope) -> Block:
    """Show how many people of each source every other source knows, too."""
    say, titles = Say(scope.language), source_titles(scope)
    kicker = say("One customer")
    frame = pd.DataFrame(scope.store.facts().get("overlap", []), columns=["source", "other", "people"])
    own = frame[frame["source"] == frame["other"]].set_index("source")["people"].to_dict()
    pairs = frame[frame["source"] != frame["other"]]
    shares = pairs["people"] / pairs["source"].map(own).astype("float64")
    pairs = pairs.assign(all=pairs["source"].map(own).astype("int64"), share=shares)
    if pairs.empty:
        return section("joined", kicker=kicker, finding=say("No two sources know the same people"))
    best = pairs.sort_values("share", ascending=False, kind="stable").iloc[0]
    finding = say(
        "{share} of the people in {source} are also in {other}", key="joined", share=Share(float(best["share"]), 1),
        source=titles[str(best["source"])], other=titles[str(best["other"])],
    )  # fmt: skip
    shown = pairs.sort_values(["source", "share"], ascending=[True, False], kind="stable")
    shown = shown.assign(**{key: [titles[str(name)] for name in shown[key]] for key in ("source", "other")})
    columns = [
        Column("source", say("Source")),
        Column("all", say("People"), Count),
        Column("other", say("Also in"), left=True),
        Column("people", say("People in both"), Count),
        Column("share", say("Share"), lambda share: Share(share, 1)),
    ]
    table = Table(shown, columns, say("People in two sources"), name="joined", look="seg")
    sub = say("People after all their ids were brought together; funnel identity explains each of them")
    return section("joined", kicker=kicker, finding=finding, sub=sub, parts=[table])


def origins(scope: Scope) -> Block:
    """List the sources of visits that no rule of channels knows, the largest first."""
    say, facts = Say(scope.language), scope.store.facts()
    told, kicker = facts.get("channels", {}), say("Channels")
    frame = pd.DataFrame(told.get("unclassified", []), columns=["source", "from", "medium", "rows"])
    if frame.empty:
        return section("origins", kicker=kicker, finding=say("Every event with a known origin has a channel"))
    events = facts["tables"].get("events", {}).get("rows", 0)
    finding = say(
        "{rows} events ({share}) come from where no rule knows the channel", key="origins",
        rows=int(told["unclassified_rows"]), share=Share(told["unclassified_rows"] / max(events, 1), 1),
    )  # fmt: skip
    titles = source_titles(scope)
    columns = [
        Column("from", say("Origin"), lambda text: text or "–"),
        Column("medium", say("Medium"), lambda text: text or "–", left=True),
        Column("source", say("Source"), left=True),
        Column("rows", say("Events"), Count),
    ]
    shown = frame.head(_MOST).assign(source=[titles.get(str(name), str(name)) for name in frame["source"].head(_MOST)])
    table = Table(shown, columns, say("Origins without a channel"), name="origins", look="seg")
    sub = say(
        "By the rules of version {version}; add rules of your own under channels in the workbook",
        version=str(told["version"]),
    )
    return section("origins", kicker=kicker, finding=finding, sub=sub, parts=[table])


def worst_days(scope: Scope) -> Block:
    """Show the days on which most of the rows that came in were set aside."""
    say, titles, found = Say(scope.language), source_titles(scope), by_day(scope.store, scope.workbook)
    kicker, bad = say("Quality by day"), found[found["aside"] > 0]
    if bad.empty:
        none = say("No day stands out: no row with a day was set aside")
        return section("worst-days", kicker=kicker, finding=none)
    bad = bad.assign(share=bad["aside"] / bad["read"].clip(lower=1)).sort_values(
        ["share", "day"], ascending=[False, True], kind="stable", ignore_index=True
    )
    worst = bad.iloc[0]
    finding = say(
        "The worst day is {day}: {share} of the rows of {source} were set aside", key="worst_day",
        day=Day(worst["day"].date()), share=Share(float(worst["share"]), 1), source=titles[str(worst["source"])],
    )  # fmt: skip
    columns = [
        Column("source", say("Source")),
        Column("day", say("Day"), lambda day: say.value(Day(day.date()))),
        Column("read", say("Rows"), Count),
        Column("aside", say("Set aside"), Count),
        Column("share", say("Share set aside"), lambda share: Share(share, 1)),
        Column("meaning", say("Most often"), left=True),
    ]
    meanings, shown = rule_meanings(say), bad.head(_MOST)
    shown = shown.assign(
        source=[titles[str(name)] for name in shown["source"]],
        meaning=[str(meanings.get(str(rule), rule)) for rule in shown["rule"]],
    )
    table = Table(shown, columns, say("Days with most rows set aside"), name="worst_days", look="seg")
    sub = say(
        "Rows kept or set aside, by the day on which they happened; where that cannot be read, by that of the file"
    )
    return section("worst-days", kicker=kicker, finding=finding, sub=sub, parts=[table])


def mending(scope: Scope) -> Block:
    """Say for each rule that set rows aside what can be done about it, the largest first."""
    say, found = Say(scope.language), by_rule(scope.store)
    kicker, advice = say("How to mend it"), remedies(say)
    found = found[found["rule"].isin(list(advice))]
    if found.empty:
        return section("mending", kicker=kicker, finding=say("There is nothing to mend"))
    most = found.iloc[0]
    finding = say(
        "Most is won by mending {rule}: {rows} rows", key="mending", rule=str(most["rule"]), rows=int(most["rows"])
    )
    titles = source_titles(scope)
    shown = found.assign(
        source=[titles.get(str(name), str(name)) for name in found["source"]],
        remedy=[str(advice[str(rule)]) for rule in found["rule"]],
    )
    columns = [
        Column("rule", say("Rule")),
        Column("source", say("Source"), left=True),
        Column("rows", say("Rows"), Count),
        Column("share", say("Share"), lambda share: Share(share, 2)),
        Column("remedy", say("What to do"), left=True),
    ]
    table = Table(shown, columns, say("What can be mended"), name="mending", look="seg")
    return section("mending", kicker=kicker, finding=finding, parts=[table])


def remedies(say: Say) -> dict[str, Sentence]:
    """Return what can be done about the rows that a rule set aside; rules that need nothing are left out."""
    export = say("Export the file again; it was cut off or damaged on the way.")
    mapping = say("Look at the named cell; correct the column's mapping or its format in the workbook.")
    times = say("Set timezone and date_format of the source in the workbook.")
    system = say("Correct the record in its system, then export again.")
    return {
        "broken_json": export, "null_bytes": export, "cut_off": export, "too_long": export,
        "bad_encoding": say("Set the encoding of the source in the workbook."),
        "wrong_fields": say("Set the delimiter of the source, or have the texts put in quotation marks."),
        "broken_quotes": say("Set the delimiter of the source, or have the texts put in quotation marks."),
        "missing_value": mapping, "unreadable_number": mapping, "score_range": mapping,
        "rounded_id": say("Export as CSV instead of saving from a spreadsheet, so that ids stay whole."),
        "unreadable_time": times, "ancient": times, "future": times, "not_before": system,
        "unknown_status": say("Map the status under values of the source in the workbook."),
        "duplicate_key": say("Remove one of two exports that overlap and contradict each other."),
        "unknown_event": say("Correct the name where it is sent, or add it to cleaning.known_events."),
        "clock_skew": say("Nothing, if few: clocks of single devices. Otherwise correct the time zone of the source."),
    }  # fmt: skip
