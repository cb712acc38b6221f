import re
from pathlib import Path

import pytest

from funnel_lib.collection.batch import LINE, RAW
from funnel_lib.collection.pages import Record, Shape, Wanted
from funnel_lib.errors import DataError

PATH = Path("a.csv")


def test_columns_are_found_by_name_then_by_spelling():
    spellings = (re.compile(r"amount spent \([a-z]{3}\)", re.IGNORECASE), re.compile("cost", re.IGNORECASE))
    columns = Wanted({"date": "Day", "cost": "Amount spent"}, {"cost": spellings})
    assert columns.places(["Cost", "Amount spent (EUR)", "\ufeff Day "]) == {"date": 2, "cost": 1}
    assert columns.places(["day", "Amount spent", "Cost"]) == {"cost": 1}  # names count as they are written
    assert columns.places([]) == {}


def test_optional_columns_may_be_absent():
    names = {"date": "Day", "currency": "Currency code"}
    columns = Wanted(names, optional=frozenset(["currency"]), advice="Do it so.")
    columns.require(["Day"], PATH)
    with pytest.raises(DataError, match="lacks the column 'Day'") as error:
        columns.require(["Dai"], PATH)
    assert (error.value.do, error.value.allowed) == ("Do it so.", "'Day' may be 'Dai'")


def test_a_page_tells_all_columns_of_its_file_and_their_kind():
    shape = Shape.of(["id", " 金额（万元） ", "note", ""], Wanted({"user_id": "id"}), "a.csv", ",")
    page = shape.page([Record(i, [f"u{i}", f"{i}.5", None, "x"], "x") for i in range(2, 14)])
    assert list(page.columns.items()) == [("id", "text"), ("金额（万元）", "number"), ("note", "")]
    assert list(page.rows)[:1] == ["user_id"]


def test_all_missing_columns_are_named_at_once():
    with pytest.raises(DataError, match="lacks the columns 'b', 'c'"):
        Wanted({"x": "a", "y": "b", "z": "c"}).require(["a"], PATH)


def test_two_names_may_share_a_column():
    shape = Shape.of(["id"], Wanted({"user_id": "id", "account": "id"}), "a.csv", ",")
    page = shape.page([Record(2, ["u1"], "u1")])
    assert page.rows[["user_id", "account"]].to_numpy().tolist() == [["u1", "u1"]]


def test_what_a_reader_has_found_already_is_kept():
    shape = Shape.of(["id"], Wanted({"user_id": "id"}), "a.csv", ",")
    page = shape.page([Record(1, None, "{", "broken_json"), Record(2, ["u"], "u"), Record(3, None, '"')])
    assert page.aside[[LINE, "rule"]].to_numpy().tolist() == [[1, "broken_json"], [3, "broken_quotes"]]
    assert (page.read, page.file, page.header) == (3, "a.csv", {"user_id": "id"})


@pytest.mark.parametrize(
    "header", ["E-Mail", "email address", "Phone Number", "First name", "Name", "手机号", "姓名", "家庭地址"]
)
def test_headers_that_name_people_hide_their_cells(header: str):
    shape = Shape.of(["id", header], Wanted({"user_id": "id"}), "a.csv", ",")
    assert shape.page([Record(2, ["u1", "secret"], "u1,secret")]).rows[RAW].tolist() == ["u1,[private]"]


def test_mapped_personal_data_is_hidden_whatever_its_header():
    shape = Shape.of(["id", "contact"], Wanted({"user_id": "id", "email": "contact"}), "a.csv", ";")
    assert shape.page([Record(2, ["u1", "secret"], "u1;secret")]).rows[RAW].tolist() == ["u1;[private]"]


@pytest.mark.parametrize("header", ["campaign", "Username count", "Landing page", "event_name"])
def test_other_headers_hide_nothing(header: str):
    shape = Shape.of(["id", header], Wanted({"user_id": "id"}), "a.csv", ",")
    assert shape.page([Record(2, ["u1", "x"], "u1,x")]).rows[RAW].tolist() == ["u1,x"]


def test_amounts_get_the_unit_of_their_header():
    shape = Shape.of(
        ["金额（万元）", "数量(亿)", "成本(元)"], Wanted({"a": "金额", "b": "数量", "c": "成本（元）"}), "a.csv", ","
    )
    page = shape.page(
        [Record(2, ["１２.５", "3", "4"], ""), Record(3, [" ", "3亿", None], ""), Record(4, ["5元", "(6)", "-"], "")]
    )
    assert page.rows[["a", "b", "c"]].fillna("").to_numpy().tolist() == [
        ["１２.５万", "3亿", "4"], [" ", "3亿", ""], ["5元", "(6)亿", "-"],
    ]  # fmt: skip


def test_totals_are_looked_for_only_where_asked():
    for totals, kept in ((True, 1), (False, 2)):
        shape = Shape.of(["id", "n"], Wanted({"user_id": "id", "n": "n"}, totals=totals), "a.csv", ",")
        page = shape.page([Record(2, ["u1", "5"], ""), Record(3, ["合计", None], "")])
        assert (len(page.rows), sum(page.merged.values())) == (kept, 2 - kept)


def test_ids_are_the_same_in_any_width():
    shape = Shape.of(["id", "城市"], Wanted({"user_id": "id", "city": "城市"}), "a.csv", ",")
    page = shape.page([Record(2, ["Ｕ１０２", "Ａ市"], "Ｕ１０２,Ａ市"), Record(3, ["U102", None], "U102,")])
    assert page.rows["user_id"].tolist() == ["U102", "U102"]
    assert page.rows["city"].tolist()[0] == "Ａ市"
    assert page.rows[RAW].tolist()[0] == "Ｕ１０２,Ａ市"  # the row as it came
