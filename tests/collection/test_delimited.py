import gzip
from collections.abc import Callable
from typing import Any

import pytest

from funnel_lib.collection.batch import LINE
from funnel_lib.collection.files import Export
from funnel_lib.collection.pages import Page, Wanted
from funnel_lib.collection.reading import pages
from funnel_lib.errors import DataError

WANTED = Wanted({"user_id": "id", "city": "城市"}, totals=True)
Exports = Callable[..., Export]


def read(export: Exports, data: bytes, **source: Any) -> Page:
    made = export({"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}, **source},
                  {"a.csv": data})  # fmt: skip
    (page,) = pages(made.workbook.raw / "a.csv", made, WANTED)
    assert page.read == len(page.rows) + len(page.aside) + sum(page.merged.values())
    return page


def aside(page: Page) -> list[list[Any]]:
    return page.aside[[LINE, "rule"]].to_numpy().tolist()


def test_lines_in_another_encoding_are_set_aside_with_their_number(export: Exports):
    data = "id,城市\nu1,北京\nu2,上海\n".encode() + "u3,广州\n".encode("gbk") + "u4,深圳\n".encode()
    page = read(export, data)
    assert page.rows["user_id"].tolist() == ["u1", "u2", "u4"]
    assert aside(page) == [[4, "bad_encoding"]]


def test_null_bytes_cost_their_line_only(export: Exports):
    page = read(export, "id,城市\nu1,北\x00京\nu2,上海\n".encode())
    assert (page.rows["user_id"].tolist(), aside(page)) == (["u2"], [[2, "null_bytes"]])


def test_a_line_of_many_megabytes_costs_itself_only(export: Exports):
    page = read(export, "id,城市\nu1,".encode() + b"x" * (9 << 20) + "\nu2,上海\n".encode())
    assert (page.rows["user_id"].tolist(), aside(page)) == (["u2"], [[2, "too_long"]])
    assert len(page.aside["_raw"].iloc[0]) == 500


def test_a_packed_file_that_ends_too_early_gives_the_rows_before(export: Exports):
    rows = "".join(f"u{i},城{i}\n" for i in range(500))
    page = read(export, gzip.compress(("id,城市\n" + rows).encode())[:-300])
    assert page.rows["city"].tolist() == [f"城{i}" for i in range(len(page.rows))]
    assert 0 < len(page.rows) < 500
    assert aside(page) == [[len(page.rows) + 2, "cut_off"]]
    assert "all rows behind are missing" in page.aside["reason"].iloc[0]


def test_rows_of_totals_count_as_merged(export: Exports):
    rows = "id,城市,金额\nu1,北京,5\n小计,,5\nu2,上海,6\n合计：,,11\n,Total,11\nGrand total (2),,11\n总计 2 条\n"
    page = read(export, rows.encode())
    assert page.rows["user_id"].tolist() == ["u1", "u2"]
    assert page.merged == {("a.csv", "total_row"): 5}
    assert aside(page) == []


def test_a_person_called_total_is_a_person(export: Exports):
    page = read(export, "id,城市\nTotal,北京\nTotally new,\n合计部,\n".encode())
    assert page.rows["user_id"].tolist() == ["Total", "Totally new", "合计部"]


def test_what_a_spreadsheet_would_run_stays_a_text(export: Exports):
    page = read(export, 'id,城市\n=cmd|\' /C calc\'!A0,"=HYPERLINK(""http://x"")"\n@SUM(1),+1\n'.encode())
    assert page.rows["user_id"].tolist() == ["=cmd|' /C calc'!A0", "@SUM(1)"]
    assert page.rows["city"].tolist() == ['=HYPERLINK("http://x")', "+1"]


def test_a_delimiter_that_the_file_does_not_have_is_refused(export: Exports):
    with pytest.raises(DataError, match="not delimited as the workbook says") as error:
        read(export, "id;城市\nu1;北京\n".encode(), delimiter=",")
    assert error.value.found == "the wanted columns with a semicolon between them"


def test_a_faulty_line_within_a_quoted_field_ends_it(export: Exports):
    data = 'id,城市\nu1,"北\n'.encode() + b"\xff\n" + '京"\nu2,上海\n'.encode()
    page = read(export, data)
    assert page.rows["user_id"].tolist() == ["u2"]
    assert aside(page) == [[2, "broken_quotes"], [3, "bad_encoding"], [4, "wrong_fields"]]


@pytest.mark.parametrize("text", ["<html><table>", "  <?xml version='1.0'?>", "<!DOCTYPE html>"])
def test_a_web_page_called_a_spreadsheet_is_named_as_such(export: Exports, text: str):
    with pytest.raises(DataError, match="web page or XML"):
        read(export, text.encode())
