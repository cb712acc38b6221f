"""Pages with every block, from invented numbers: what the tests of the reporting room look at.

`evil` is planted wherever a text can come from data or a workbook.
"""

from __future__ import annotations

import json
from datetime import date
from html import escape
from pathlib import Path

import nbformat
import pandas as pd

from funnel_lib.config import Workbook, parse
from funnel_lib.notation import Language
from funnel_lib.reporting import blocks, index, render
from funnel_lib.reporting.blocks import (
    Block,
    Card,
    Cell,
    Column,
    Download,
    Fact,
    Figure,
    Grade,
    Key,
    KeyEntry,
    Link,
    Loss,
    Panels,
    Ranked,
    SoWhat,
    Table,
    TooFew,
)
from funnel_lib.reporting.render import PageFacts
from funnel_lib.reporting.wording import Count, Day, Money, Name, Points, Rate, Say, Share, Span

DAY = date(2026, 5, 31)


def svg(width: int, label: str = "") -> str:
    """Return a small picture as the plots make them: a described root, CSS variables, an id."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 60" width="{width}" height="60" '
        'role="img" '
        'aria-label="x"><clipPath id="c"><rect width="20" height="20"/></clipPath>'
        '<rect clip-path="url(#c)" y="20" width="100" height="20" fill="var(--c1)"/>'
        f'<text x="0" y="12" style="font-size:13px;fill:var(--ink)">{escape(label)}</text></svg>'
    )


def figure(
    say: Say, evil: str = "", *, table: Table | None = None, widths: tuple[int, ...] = (1052, 700, 328)
) -> Figure:
    """Return a figure drawn for the widths."""
    alt = say("{n} visitors of {name}.", n=41, name=Name("A" + evil))
    return Figure({w: svg(w, "A" + evil) for w in widths}, alt, say("Source: {name}.", name="web" + evil), table)


def table(say: Say, evil: str = "", *, name: str = "groups") -> Table:
    """Return a table with an interval, a row with too few units, a mark and a total."""
    frame = pd.DataFrame(
        {
            "group": ["A" + evil, "B", "All"],
            "n": [300, 12, 312],
            "rate": [0.25, 0.5, 0.26],
            "low": [0.2, 0.25, 0.21],
            "high": [0.31, 0.75, 0.32],
            "change": [
                Cell("+0.6", "−0.3 to +1.5", "●", "noise"),
                None,
                Cell("+0.4", symbol="▲", tone="good"),
            ],
        }
    )
    columns = [
        Column("group", "Group" + evil),
        Column("n", "People"),
        Column("rate", "Rate", Rate, "low", "high", sorted="descending"),
        Column("change", "Change"),
    ]
    few = lambda row: say("too few ({n})", n=row["n"]) if row["n"] < 30 else None  # noqa: E731
    return Table(frame, columns, say("By group" + "{e}", e=evil), name=name, few=few, total=True, look="seg")


def heat(say: Say) -> Table:
    """Return a heat map with a cell that is not final and one without a value."""
    frame = pd.DataFrame(
        {
            "week": ["4 May", "11 May"],
            "w1": [0.081, 0.092],
            "w2": [0.121, None],
            "open1": [False, True],
            "open2": [True, False],
        }
    )
    share = lambda value: Share(value, 1)  # noqa: E731
    columns = [
        Column("week", "Week"),
        Column("w1", "Week 1", share, shade=True, open="open1"),
        Column("w2", "Week 2", share, shade=True, open="open2"),
    ]
    return Table(frame, columns, say("Cohorts"), look="heat")


def head(say: Say, evil: str = "") -> list[Block]:
    """Return the blocks before the sections."""
    rate, money = (
        Rate(0.0395, 0.0371, 0.042, digits=2, say_level=True),
        Money(411_000, "CNY", 351_000, 472_000),
    )
    facts = [
        Fact(say("Period"), "2026-05", Span(date(2026, 5, 1), DAY)),
        Fact(say("Segment"), Name("All" + evil), "more" + evil, "javascript:alert(1)"),
    ]
    cards = [
        Card(
            "Rate",
            say.value(rate, form="value", key="kpi.rate"),
            say("{r:range}", r=rate),
            hero=True,
            spark=svg(262),
            change=say("**{p:value}** {p:ci}", p=Points(0.005, 0.001, 0.009)),
            direction="good",
            note="last year" + evil,
            target=say("below {t}", t=Share(0.05)),
            target_direction="bad",
        ),
        Card("Cost" + evil, money, change="within noise", direction="noise", spark=svg(160)),
        TooFew("Lifetime value" + evil, say("{n} customers.", n=12)),
    ]
    lead = say("**{rate:value} paid** {rate:ci} in {name}.", key="lead", rate=rate, name="A" + evil)
    return [
        blocks.header(
            say("Conversion report"),
            "Courses" + evil,
            facts,
            provisional=say("final on {day}", day=Day(DAY)),
            grade=Grade("C", "Do not decide" + evil, say("{n} checks", n=9)),
        ),
        blocks.alert(
            "warning",
            "Careful" + evil,
            [say("{n} days are missing.", key="gap", n=5)],
            link=Link("more" + evil, "a.html"),
        ),
        blocks.summary(lead, [("Money", say("{m} a month, {n} people.", key="money", m=money, n=Count(1190)))]),
        blocks.kpis(cards, "Compared with April" + evil),
    ]


def body(say: Say, evil: str = "") -> list[Block]:
    """Return the sections and what follows them."""
    so_what = SoWhat("So what" + evil, [say("The gap is {p}.", key="gap", p=Points(0.013, 0.005, 0.021))])
    few = TooFew("C" + evil, say("{n} people.", n=12))
    panels = Panels([figure(say, evil, widths=(328,)), few], table=table(say, name=""))
    loss = Loss("Register" + evil, "42%", say("{m}", m=Money(99e3, "CNY")), check="Read the survey" + evil)
    parts = {
        "funnel": [figure(say, evil, table=table(say, evil))],
        "segments": [Key([KeyEntry("above" + evil, "▲", "good")]), panels],
        "cohorts": [Key([KeyEntry("8%", "ramp"), KeyEntry("open", "open")]), heat(say), so_what],
        "losses": [Ranked([loss, Loss("B", svg=svg(310), value="¥9")]), "A text" + evil],
        "few": [TooFew("Rate" + evil, say("{n} people.", n=3))],
    }
    finding = say("{s} loses most", s="A" + evil)
    return [
        *(
            blocks.section(id_, kicker=f"Topic {id_}", finding=finding, sub="Measure" + evil, parts=shown)
            for id_, shown in parts.items()
        ),
        blocks.definitions([("Visitor" + evil, say("Someone from {x}.", x="A" + evil))]),
        blocks.method([("Intervals" + evil, [say("Wilson."), "Newcombe" + evil])]),
        blocks.run_facts([(say("Run"), "r1" + evil)]),
    ]


def notebook(shown: list[Block], *foreign: dict[str, str]) -> nbformat.NotebookNode:
    """Return an executed notebook whose cells show the blocks, then the foreign outputs."""
    bundles = [block._repr_mimebundle_() for block in shown] + list(foreign)
    cells = [
        nbformat.v4.new_code_cell("hidden_code", outputs=[nbformat.v4.new_output("execute_result", bundle)])
        for bundle in bundles
    ]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# hidden title"), *cells])


def facts(language: Language = "en", evil: str = "") -> PageFacts:
    """Return what a page says beside its blocks."""
    return PageFacts(
        "Conversion 2026-05" + evil,
        language,
        "Courses" + evil,
        index=Link("All reports" + evil, "index.html"),
        previous=Link("April" + evil, "../2026-04/report.en.html"),
        next=Link("June", "javascript:alert(1)"),
        languages=[Link("", "report.en.html", lang="en"), Link("", "report.zh.html", lang="zh")],
        segments=[Link("Students" + evil, "students.html")],
        downloads=[Download("CSV" + evil, "a/groups.csv", "1 table")],
        facts=[Fact("Period", "2026-05" + evil)],
        run=[("Tried", "3 times" + evil)],
        footer="Made by a test" + evil,
        manifest=json.dumps({"run": "r1" + evil}),
    )


def page(language: Language = "en", evil: str = "") -> str:
    """Return a whole page with every block and a foreign table and picture."""
    say = Say(language)
    frame = pd.DataFrame({"a": [1], "b": ["x" + evil]})
    outputs = [
        {"text/html": frame.to_html(), "text/plain": "frame"},
        {"image/svg+xml": svg(100), "text/plain": "axes"},
    ]
    return render.page(notebook([*head(say, evil), *body(say, evil)], *outputs), facts(language, evil))


def workbook() -> Workbook:
    """Return a workbook in both languages."""
    source = {
        "system": "table",
        "table": "events",
        "files": "*.csv",
        "columns": {"user_id": "u", "event": "e", "ts": "t"},
    }
    return parse(
        {
            "name": "courses",
            "title": {"en": "Courses", "zh": "课程"},
            "languages": ["en", "zh"],
            "sources": {"web": source},
            "funnel": {"steps": [{"name": "visit", "event": "a"}, {"name": "buy", "event": "b"}]},
        }
    )


def entries() -> list[index.Entry]:
    """Return two months of reports in two languages, one of them failed, and one over all data."""
    titles = {"en": "Conversion", "zh": "转化"}
    found = [
        index.Entry(
            "conversion",
            titles[language],
            f"2026-0{month}",
            segment,
            language,
            "provisional" if month == 5 else "ok",
            f"2026-0{month}/{segment}.{language}.html",
            "Everyone" if segment == "all" else "Students",
            date(2026, month, 28),
            date(2026, 6, 4),
            "B" if month == 5 else "C",
            f"{month} of 9 paid.",
        )
        for language in titles
        for month in (4, 5)
        for segment in ("students", "all")
    ]
    failed = index.Entry(
        "segmentation",
        "Segmentation",
        "2026-05",
        "all",
        "en",
        "failed",
        "2026-05/segmentation.en.html",
        "Everyone",
        date(2026, 5, 28),
        reason="A file is missing.",
        last_good="2026-04/segmentation.en.html",
    )
    return [
        *found,
        failed,
        index.Entry("case_study", "Case", "all", "all", "en", "ok", "case.html", headline="It helped."),
    ]


def write(folder: Path) -> Path:
    """Write a page in each language, a failed one and both catalogues into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for language in ("en", "zh"):
        (folder / f"report.{language}.html").write_text(page(language), encoding="utf-8")
    failed = render.failure(
        facts(), ["A file is missing.", "  found:   nothing"], Link("Last good report", "report.en.html")
    )
    (folder / "failed.html").write_text(failed, encoding="utf-8")
    index.write_index(entries(), folder, workbook())
    return folder
