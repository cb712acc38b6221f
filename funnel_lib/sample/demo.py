"""`write_demo`: the raw exports of an online education platform, written chunk by chunk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from funnel_lib.errors import ConfigError
from funnel_lib.sample import exports, ga4, plan, sales, truth, web
from funnel_lib.sample.exports import Spend, SurveyRow
from funnel_lib.sample.people import AUDIENCES, People, draw
from funnel_lib.sample.plan import Draws
from funnel_lib.sample.sales import Sales
from funnel_lib.sample.truth import Tally, Truth

FOLDERS = ("ga4", "crm", "google_ads", "meta_ads", "survey", "fxiaoke", "zoho", "hotjar", "calls")
Progress = Callable[[str, float], None]


def write_demo(
    folder: Path,
    *,
    users: int = 30_000,
    seed: int = 20260101,
    truth_file: Path | None = None,
    progress: Progress | None = None,
) -> Truth:
    """Write the demo's raw exports below `folder` and return the planted truth.

    The same `users` and `seed` give the same bytes. Memory is bounded by `plan.CHUNK` visitors: the people
    and web rows of a chunk are arrays, its text exists for one day at a time, and further chunks append to
    the day files. All is written beside `folder` first: an interrupted run leaves the former exports as they
    were.

    Parameters
    ----------
    folder
        Where the exports go; the folders named in `FOLDERS` are replaced.
    users
        Visitors of the six months; test accounts and bots come on top.
    seed
        The only source of chance.
    truth_file
        Where the truth goes as JSON; it must not lie in `folder`, which an analysis reads.
    progress
        Is told what is being done and the share done.

    Raises
    ------
    ConfigError : `users` is below 100, or `truth_file` lies in `folder`.

    """
    folder = Path(folder)
    _check(folder, users, truth_file)
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for name in FOLDERS:
        (new / name).mkdir(parents=True)
    tally: Tally = Counter()
    report = progress or (lambda _what, _share: None)
    _write_people(new, users, seed, tally, report)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        (new / name).rename(folder / name)
    new.rmdir()
    planted = truth.assemble(tally, users, seed)
    if truth_file is not None:
        planted.write(truth_file)
    report("writing the demo's exports", 1.0)
    return planted


def _check(folder: Path, users: int, truth_file: Path | None) -> None:
    if users < 100:
        raise ConfigError(
            "The demo needs more visitors.", where="users", found=users, allowed="100 or more",
            do="Leave users out for the usual 30,000.",
        )  # fmt: skip
    if truth_file is not None and truth_file.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            "The truth must not lie among the exports.", where="truth_file", found=truth_file,
            allowed=f"a file outside {folder}", do="Choose a path such as data/truth/education.json.",
        )  # fmt: skip


def _write_people(folder: Path, users: int, seed: int, tally: Tally, report: Progress) -> None:
    spend, first = Spend(), 0
    answers: list[SurveyRow] = []
    sizes = [min(plan.CHUNK, users - start) for start in range(0, users, plan.CHUNK)]
    selling = Sales()
    with (
        (folder / "crm" / "contacts.csv").open("w", encoding="utf-8", newline="") as contacts,
        (folder / "calls" / "calls_2026.csv").open("w", encoding="utf-8", newline="") as calls,
    ):
        for chunk, size in enumerate(sizes):
            people = draw(Draws(seed, 0, chunk), size, first)
            first += len(people)
            rows = web.rows(Draws(seed, 1, chunk), people)

            def done(share: float, chunk: int = chunk) -> None:
                report("writing the demo's exports", 0.99 * (chunk + share) / len(sizes))

            ga4.write(folder / "ga4", people, rows, first=chunk == 0, progress=done)
            exports.contacts(contacts, people, head=chunk == 0)
            truth.count_calls(tally, sales.calls(calls, Draws(seed, 5, chunk), people, head=chunk == 0))
            sales.gather(selling, Draws(seed, 6, chunk), people)
            spend.add(people)
            truth.count_people(tally, people, rows)
            truth.count_rows(tally, people, rows)
            if len(answers) < plan.SURVEY_MOST:
                answers += _answers(Draws(seed, 2, chunk), people, tally, first=chunk == 0)
    exports.survey(folder / "survey" / "nps.xlsx", answers)
    _write_spend(folder, spend, seed, tally)
    _write_sales(folder, selling, seed, tally)


def _answers(draws: Draws, people: People, tally: Tally, *, first: bool) -> list[SurveyRow]:
    """Return a chunk's survey rows; the very first score is one that cannot be."""
    made = exports.responses(draws, people)
    if first and made:
        made[0] = (*made[0][:4], plan.IMPOSSIBLE_SCORE, None)
    who = zip(people.number.tolist(), people.audience.tolist(), strict=True)
    truth.count_survey(tally, made, {ga4.user_id(number): AUDIENCES[code] for number, code in who})
    return made


def _write_sales(folder: Path, selling: Sales, seed: int, tally: Tally) -> None:
    rows = sales.opportunities(folder / "fxiaoke" / "商机_2026H1.xlsx", selling)
    tally["files.fxiaoke.rows"], tally["dirt.fxiaoke.duplicates"] = rows, selling.doubled
    tally["dirt.fxiaoke.totals"] = 1
    tally["files.hotjar.rows"] = sales.asked(folder / "hotjar" / "price_page.csv", selling)
    for name, count in sales.schools(folder / "zoho", seed).items():
        tally[f"files.zoho.{name}"] = count


def _write_spend(folder: Path, spend: Spend, seed: int, tally: Tally) -> None:
    days = list(spend.days(seed))
    google = [day for day in days if day.channel == plan.CPC]
    meta = [day for day in days if day.channel == plan.SOCIAL]
    exports.google_ads(folder / "google_ads" / "campaigns_2026.csv", google)
    exports.meta_ads(folder / "meta_ads" / "campaigns_2026.csv", meta)
    truth.count_spend(tally, "google_ads", google)
    truth.count_spend(tally, "meta_ads", meta)
