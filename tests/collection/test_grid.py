from pathlib import Path

import pytest

from funnel_lib.collection.grid import headed
from funnel_lib.collection.pages import Record, Wanted
from funnel_lib.errors import DataError

PATH = Path("a.csv")
WANTED = Wanted({"record_id": "编号", "account": "名称", "amount": "金额"})


def found(wanted: Wanted, *rows: list[str | None]) -> tuple[list[str], int, list[int]]:
    header, behind = headed(PATH, [Record(i, row, "") for i, row in enumerate(rows, 1)], wanted)
    return header.texts, header.last.line, [record.line for record in behind]


def test_the_header_stands_in_row_seven_below_a_title():
    title: list[list[str | None]] = [["报表"], [None], ["公司", "某公司"], ["日期", "2026-03"], [None], ["制表人：张"]]
    assert found(WANTED, *title, ["编号", "名称", "金额"], ["1", "甲", "5"]) == (["编号", "名称", "金额"], 7, [8])


def test_two_rows_are_one_header_where_each_holds_a_part_of_it():
    upper, lower = ["编号", "客户", None, "金额"], [None, "名称", "城市", None]
    assert found(WANTED, ["报表"], upper, lower, ["1", "甲", "京", "5"]) == (["编号", "名称", "城市", "金额"], 3, [4])


def test_columns_of_one_name_are_told_apart_by_their_group():
    wanted = Wanted({"record_id": "编号", "amount": "本月/金额"})
    rows: list[list[str | None]] = [["编号", "上月", None, "本月", None], [None, "数量", "金额", "数量", "金额"]]
    assert found(wanted, *rows)[0] == ["编号", "上月/数量", "上月/金额", "本月/数量", "本月/金额"]


def test_a_column_can_be_asked_for_with_its_group_though_its_own_name_would_do():
    wanted = Wanted({"record_id": "编号", "account": "客户/名称"})
    assert found(wanted, ["编号", "客户"], [None, "名称"])[0] == ["编号", "客户/名称"]


def test_one_row_is_preferred_where_two_add_nothing():
    assert found(WANTED, ["客户", None, None], ["编号", "名称", "金额"], ["1", "甲", "5"])[1:] == (2, [3])
    assert found(WANTED, ["编号", "名称", "金额"], ["1", "甲", "5"])[1:] == (1, [2])


def test_headers_in_full_width_letters_or_with_line_breaks_are_found():
    wanted = Wanted({"user_id": "ID", "amount": "合同 金额"})
    assert wanted.places(["ＩＤ", "合同\n金额"]) == {"user_id": 0, "amount": 1}


def test_no_row_is_no_table():
    with pytest.raises(DataError, match="holds no row"):
        headed(PATH, [Record(1, [None, " "], "")], WANTED)
