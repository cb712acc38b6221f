import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel_lib.collection.batch import FILE, LINE, RAW
from funnel_lib.collection.files import Export
from funnel_lib.collection.pages import Page, Wanted
from funnel_lib.collection.reading import PAGE_ROWS, pages
from funnel_lib.errors import DataError

TABLE = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}}
WANTED = Wanted({"user_id": "id", "city": "city"}, keys=frozenset(["user_id"]))
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes, wanted: Wanted = WANTED, name: str = "people.csv", **source: Any) -> Page:
    made = export({**TABLE, **source}, {name: data})
    (page,) = pages(made.workbook.raw / name, made, wanted)
    assert page.read == len(page.rows) + len(page.aside)
    return page


def cells(page: Page) -> list[tuple[Any, ...]]:
    return [
        tuple(None if pd.isna(v) else v for v in row) for row in page.rows[["user_id", "city"]].itertuples(index=False)
    ]


@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_any_usual_encoding_and_delimiter(export: Exports, delimiter: str, encoding: str):
    text = "id,city\nu1,上海与北京\nu2,广州\n".replace(",", delimiter)
    assert cells(read(export, text.encode(encoding))) == [("u1", "上海与北京"), ("u2", "广州")]


def test_the_workbook_can_name_encoding_and_delimiter(export: Exports):
    page = read(
        export, "id,x:city\nu1,a:Köln\n".encode("latin-1"), Wanted({"city": "city"}), encoding="latin-1", delimiter=":"
    )
    assert page.rows["city"].tolist() == ["Köln"]


def test_latin_text_is_not_taken_for_chinese(export: Exports):
    with pytest.raises(DataError, match="encoding is not known") as error:
        read(export, "id,city\nu1,Müller in Köln\n".encode("latin-1"))
    assert "utf-8 at byte 12" in str(error.value.found)
    assert "latin-1" in str(error.value.do)


def test_the_header_is_found_below_a_preamble_and_columns_in_any_order(export: Exports):
    data = 'Report of people\n"January 1, 2026 - June 30"\n\n city , note,id\nBonn,x,u1\n'
    page = read(export, data)
    assert cells(page) == [("u1", "Bonn")]
    assert page.rows[LINE].tolist() == [5]
    assert page.header == {"user_id": "id", "city": "city"}


def test_lines_are_those_that_a_person_counts(export: Exports):
    data = 'id,city\r\nu1,"two\r\nlines"\r\n\r\nu2,x\r\n,,\r\n'
    page = read(export, data)
    assert cells(page) == [("u1", "two\r\nlines"), ("u2", "x")]
    assert page.rows[LINE].tolist() == [2, 5]
    assert page.aside[[LINE, "rule"]].to_numpy().tolist() == [[6, "blank_row"]]
    assert page.rows[FILE].unique().tolist() == ["people.csv"]


def test_rows_with_another_number_of_fields_are_set_aside_and_the_rest_is_kept(export: Exports):
    page = read(export, "id,city\nu1\nu2,a,b\nu3,c,\nu4,d\n")
    assert cells(page) == [("u3", "c"), ("u4", "d")]  # an empty field at the end is harmless
    assert page.aside[[LINE, "rule", RAW]].to_numpy().tolist() == [
        [2, "wrong_fields", "u1"],
        [3, "wrong_fields", "u2,a,b"],
    ]
    assert page.aside["reason"].iloc[0] == "The row has 1 field where the header has 2."


def test_headers_within_the_rows_are_no_rows(export: Exports):
    page = read(export, "id,city\nu1,a\nid,city\nu2,b\n")
    assert cells(page) == [("u1", "a"), ("u2", "b")]
    assert page.aside[[LINE, "rule"]].to_numpy().tolist() == [[3, "repeated_header"]]


def test_a_quotation_mark_that_never_closes_swallows_one_line_only(export: Exports):
    page = read(export, 'id,city\nu1,"open\nu2,a\nu3,"b ""c"""\n')
    assert cells(page) == [("u2", "a"), ("u3", 'b "c"')]
    assert page.aside[[LINE, "rule"]].to_numpy().tolist() == [[2, "broken_quotes"]]


def test_quotation_marks_within_a_field_that_is_not_quoted_are_text(export: Exports):
    assert cells(read(export, 'id,city\nu1,5" x\n')) == [("u1", '5" x')]


def test_text_after_a_closing_quotation_mark_is_not_guessed(export: Exports):
    page = read(export, 'id,city\nu1,"a"b\n')
    assert page.aside["rule"].tolist() == ["broken_quotes"]


def test_a_header_without_rows_is_a_file_without_rows(export: Exports):
    page = read(export, "id,city\n")
    assert page.read == 0
    assert list(page.rows) == ["user_id", "city", "_file", "_line", "_raw", "_row"]


def test_a_missing_column_is_named_with_what_is_there(export: Exports):
    with pytest.raises(DataError, match="lacks the column 'city'") as error:
        read(export, "id,City name,town\nu1,a,b\n", Wanted({"user_id": "id", "city": "city"}))
    assert error.value.found == "id, City name, town"
    with pytest.raises(DataError) as error:
        read(export, "id,citty\nu1,a\n")
    assert error.value.allowed == "'city' may be 'citty'"


def test_two_columns_of_one_name_are_refused(export: Exports):
    with pytest.raises(DataError, match="two columns called 'city'"):
        read(export, "id,city,city\nu1,a,b\n")


@pytest.mark.parametrize("data", ["\n\n", "  \n", "\ufeff\n"])
def test_a_file_of_nothing_but_space_is_refused(export: Exports, data: str):
    with pytest.raises(DataError, match="holds no row"):
        read(export, data)


def test_large_files_come_in_pages(export: Exports):
    made = export(TABLE, {"big.csv": "id,city\n" + "".join(f"u{i},x\n" for i in range(PAGE_ROWS + 5))})
    found = list(pages(made.workbook.raw / "big.csv", made, WANTED))
    assert [page.read for page in found] == [PAGE_ROWS, 5]
    assert found[1].rows[LINE].tolist()[0] == PAGE_ROWS + 2


def test_excel_gives_ids_as_they_are_and_the_rows_of_the_sheet(export: Exports, xlsx: Callable[..., bytes]):
    data = xlsx([["People"], [], ["id", "city"], [1234567, "Bonn"], [], ["u2", True], [1.5, None]])
    page = read(export, data, name="people.xlsx", sheet="Data")
    assert cells(page) == [("1234567", "Bonn"), ("u2", "true"), ("1.5", None)]
    assert page.rows[LINE].tolist() == [4, 6, 7]
    assert page.aside[[LINE, "rule"]].to_numpy().tolist() == [[5, "blank_row"]]


def test_an_unknown_sheet_is_named_with_those_that_exist(export: Exports, xlsx: Callable[..., bytes]):
    with pytest.raises(DataError, match="no such sheet") as error:
        read(export, xlsx([["id", "city"]], sheet="Responses"), name="a.xlsx", sheet="Response")
    assert error.value.allowed == "Responses (did you mean Responses?)"


def test_a_damaged_spreadsheet_is_refused(export: Exports, xlsx: Callable[..., bytes]):
    with pytest.raises(DataError, match="spreadsheet cannot be read"):
        read(export, xlsx([["id", "city"]])[:300], name="a.xlsx")


def test_json_lines_keep_long_numbers_and_look_into_objects(export: Exports):
    rows = ['{"id": 12345678901234567890, "home": {"city": "Bonn"}}', '{"id": 1.50, "home": null}', '{"id": true}']
    page = read(export, "\n".join(rows), Wanted({"user_id": "id", "city": "home.city"}), name="a.jsonl")
    assert cells(page) == [("12345678901234567890", "Bonn"), ("1.50", None), ("true", None)]


def test_a_broken_json_line_stops_nothing(export: Exports):
    rows = [
        b'{"id": "u1", "city": "a"}',
        b'{"id": "u2"',
        b"[1]",
        b"",
        b'{"id": "\xff"}',
        b'{"id": "\\ud800"}',
        b'{"id": "u3"}',
    ]
    page = read(export, b"\n".join(rows), name="a.jsonl")
    assert cells(page) == [("u1", "a"), ("u3", None)]
    assert page.aside[[LINE, "rule"]].to_numpy().tolist() == [
        [2, "broken_json"], [3, "broken_json"], [5, "bad_encoding"], [6, "broken_json"]
    ]  # fmt: skip
    assert page.read == 6


def test_deeply_nested_json_is_a_broken_row(export: Exports):
    page = read(export, '{"id": "u1", "city": "a"}\n{"id": ' + "[" * 100_000 + "\n", name="a.jsonl")
    assert page.aside["rule"].tolist() == ["broken_json"]


def test_a_key_that_no_json_row_has_is_a_missing_column(export: Exports):
    with pytest.raises(DataError, match="lacks the column 'id'") as error:
        read(export, '{"idd": "u1", "city": "a"}', name="a.jsonl")
    assert error.value.allowed == "'id' may be 'idd'"


def test_a_json_array_is_refused_with_the_way_out(export: Exports):
    with pytest.raises(DataError, match="one JSON array") as error:
        read(export, json.dumps([{"id": 1}]), name="a.json")
    assert "one object per line" in str(error.value.allowed)


def test_parquet_is_read_as_text(export: Exports, tmp_path: Path):
    table = pa.table({
        "id": [123, 124], "city": pa.array(["Bonn", None]).dictionary_encode(), "at": pa.array([0, None],
        pa.timestamp("us", "UTC")),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x")
    page = read(
        export, (tmp_path / "x").read_bytes(), Wanted({"user_id": "id", "city": "city", "at": "at"}), name="a.parquet"
    )
    assert cells(page) == [("123", "Bonn"), ("124", None)]
    assert page.rows["at"].iloc[0] == "1970-01-01T00:00:00+00:00"
    assert page.rows[LINE].tolist() == [1, 2]


def test_a_damaged_parquet_file_is_refused(export: Exports):
    with pytest.raises(DataError, match="Parquet file cannot be read"):
        read(export, b"PAR1" + b"x" * 100, name="a.parquet")


def test_cells_with_personal_data_do_not_reach_the_raw_text(export: Exports):
    data = 'id,city,Phone Number,姓名,E-mail\nu1,Bonn,0228 12,Li,"a@b.example"\nu2,Bonn\n'
    page = read(export, data)
    assert page.rows[RAW].tolist() == ["u1,Bonn,[private],[private],[private]"]


def test_the_raw_text_is_short(export: Exports):
    assert read(export, f"id,city\nu1,{'x' * 2000}\n").rows[RAW].str.len().tolist() == [500]
