"""Which reports a run makes, and where they go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from funnel_lib import config
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.reporting import plan as planning
from funnel_lib.reporting.plan import Job, check_parameters, plan, slug

# Three months of data: 2026-03-05 to 2026-05-20.
FACTS = {"first_day": "2026-03-05", "last_day": "2026-05-20"}
PARAMETERS = 'workbook = "x"\nperiod = "latest"\nsegment = "all"\nlanguage = "en"\nas_of = None'


def workbook(**changes: object) -> Workbook:
    return config.parse(
        {
            "name": "shop",
            "title": "Shop",
            "languages": ["en", "zh"],
            "sources": {"web": {"system": "ga4", "files": "*.jsonl"}},
            "funnel": {"steps": [{"name": "visit", "event": "visit"}, {"name": "buy", "event": "buy"}]},
            "segments": {"audience": {"groups": {"student": {"where": {"job": "student"}}}}, "city": {"by": "city"}},
            "periods": {"latest": 2},
            "reports": {
                "collection": {}, "conversion": {"segments": ["audience=student"]}, "segmentation": {"over": "all"}
            },
            **changes,
        }
    )  # fmt: skip


def named(jobs: list[Job]) -> list[str]:
    return [f"{job.report} {job.period} {job.segment} {job.language}" for job in jobs]


def notebook(path: Path, *sources: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    cells = [{"cell_type": "code", "metadata": {"tags": list(tags)}, "source": [source]} for source in sources]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_everything_planned_oldest_period_first() -> None:
    # The newest two of three months, everybody and the students for conversion, two languages each; segmentation
    # runs over the whole data.
    expected = []
    for month in ("2026-04", "2026-05"):
        expected += [f"collection {month} all {code}" for code in ("en", "zh")]
        expected += [f"conversion {month} {who} {code}" for who in ("all", "audience=student") for code in ("en", "zh")]
    expected += [f"segmentation all all {code}" for code in ("en", "zh")]
    assert named(plan(workbook(), FACTS)) == expected


def test_limited_to_one_of_each() -> None:
    found = plan(workbook(), FACTS, report="conversion", period="2026-03", segment="audience=student", language="zh")
    assert named(found) == ["conversion 2026-03 audience=student zh"]


def test_a_period_leaves_out_reports_over_the_whole_data_unless_named() -> None:
    assert {job.report for job in plan(workbook(), FACTS, period="2026-03")} == {"collection", "conversion"}
    found = plan(workbook(), FACTS, period="2026-03", report="segmentation", language="en")
    assert named(found) == ["segmentation 2026-03 all en"]
    assert {job.period for job in plan(workbook(), FACTS, period="all")} == {"all"}
    assert {job.period for job in plan(workbook(), FACTS, period="latest")} == {"2026-05"}


def test_a_segment_that_no_report_plans_is_made_for_conversion() -> None:
    found = plan(workbook(), FACTS, segment="city=Berlin", language="en", period="2026-05")
    assert named(found) == ["conversion 2026-05 city=Berlin en"]


def test_data_without_times_has_only_the_period_all() -> None:
    facts = {"first_day": None, "last_day": None}
    assert {job.period for job in plan(workbook(), facts)} == {"all"}
    with pytest.raises(ConfigError, match="no periods"):
        plan(workbook(), facts, period="2026-05")


@pytest.mark.parametrize(
    ("asked", "guess"),
    [
        ({"report": "conversions"}, "did you mean conversion?"),
        ({"language": "fr"}, "en, zh"),
        ({"segment": "audience=students"}, "did you mean audience=student?"),
        ({"segment": "audiance=student"}, "did you mean audience=student?"),
        ({"segment": "everybody"}, "all, audience=student"),
        ({"period": "2026-5"}, "did you mean 2026-05?"),
        ({"period": "2026-13"}, "2026-05"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(asked: dict[str, str], guess: str) -> None:
    with pytest.raises(ConfigError) as error:
        plan(workbook(), FACTS, **asked)
    assert guess in str(error.value.allowed)
    assert error.value.do


def test_a_period_without_data_is_not_an_unknown_period() -> None:
    with pytest.raises(DataError) as error:
        plan(workbook(), FACTS, period="2027-01")
    assert error.value.exit_code == 2
    assert error.value.allowed == "2026-03-05 to 2026-05-20"


def test_a_workbook_whose_days_hold_no_data_says_so() -> None:
    with pytest.raises(DataError, match="no data"):
        plan(workbook(periods={"from": "2020-01-01", "to": "2020-12-31"}), FACTS)


def test_custom_periods_are_ordered_by_their_end() -> None:
    book = workbook(periods={"custom": ["2026-04-10..2026-04-20", "2030-01-01..2030-01-02"]})
    found = [job.period for job in plan(book, FACTS, report="conversion", segment="all", language="en")]
    assert found == ["2026-03", "2026-04-10..2026-04-20", "2026-04", "2026-05"]


def test_paths_are_safe_and_never_shared() -> None:
    job = Job("conversion", "2026-04-10..2026-04-20", "audience=student", "zh", Path("x"))
    assert job.path == "2026-04-10_2026-04-20/audience-student/conversion.zh.html"
    names = [
        "all",
        "a-b=c",
        "a=b-c",
        "A=b",
        "a=B",
        "a=b",
        "city=上海",
        "city=北京",
        "city=a/../..",
        "city=a b",
        "city=a.b",
    ]
    made = [slug(name) for name in names]
    assert len({name.lower() for name in made}) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") and ".." not in name for name in made)


def test_every_notebook_of_the_project_takes_the_parameters() -> None:
    for name in planning.NOTEBOOKS.values():
        check_parameters(planning.CHECKOUT / "notebooks" / name)


@pytest.mark.parametrize(
    ("sources", "tags", "found"),
    [
        ((PARAMETERS,), ("other",), "0 cells tagged parameters"),
        ((PARAMETERS, PARAMETERS), ("parameters",), "2 cells tagged parameters"),
        ((PARAMETERS.replace("segment", "group"),), ("parameters",), "without segment"),
        (("period: str = 'a'",), ("parameters",), "without workbook, segment, language, as_of"),
    ],
)
def test_a_notebook_that_would_ignore_the_parameters_is_refused(
    tmp_path: Path, sources: tuple[str, ...], tags: tuple[str, ...], found: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check_parameters(notebook(tmp_path / "n.ipynb", *sources, tags=tags))
    assert found in str(error.value.found)
    assert error.value.where == "n.ipynb"


def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        check_parameters(tmp_path / "n.ipynb")


def test_the_workbooks_own_notebooks_come_first(tmp_path: Path) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "notebooks").mkdir()
    file = tmp_path / "params" / "shop.yml"
    file.write_text("name: shop\ntitle: Shop\nsources: {w: {system: ga4, files: x}}\nfunnel: {steps: [{name: a}]}\n")
    book = config.load(file)
    assert planning.find_notebook(book, "collection") == planning.CHECKOUT / "notebooks" / "01_data_collection.ipynb"
    own = notebook(tmp_path / "notebooks" / "01_data_collection.ipynb", PARAMETERS)
    assert planning.find_notebook(book, "collection") == own


def test_a_missing_notebook_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planning, "CHECKOUT", tmp_path)
    with pytest.raises(ConfigError, match="conversion"):
        plan(workbook(), FACTS, report="conversion")
