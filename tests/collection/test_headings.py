import pytest

from funnel_lib.collection.headings import changes, kind, sheets

TEN = range(10)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([f"{i},500.5" for i in TEN], "number"),
        ([f"1.2万 {i}"[:4] for i in TEN], "number"),
        ([f"¥ {i}" for i in TEN], "number"),
        ([f"２０２６-0３-0{i}" for i in TEN], "time"),
        ([f"2026/3/{i + 1} 10:00" for i in TEN], "time"),
        ([f"2026年3月{i + 1}日" for i in TEN], "time"),
        ([f"0{i}.03.2026" for i in TEN], "time"),
        ([f"u{i}" for i in TEN], "text"),
        ([*["5"] * 9, "n/a", None, " "], "number"),  # nine of ten
        ([*["5"] * 8, "n/a", "-"], "text"),
        (["5"] * 9, ""),  # too few to tell
        ([None, ""] * 50, ""),
    ],
)
def test_what_cells_look_like(cells: list[str | None], expected: str):
    assert kind(cells) == expected


OLD = {"id": "text", "Amount": "number", "Created": "time", "City": "text"}


def compared(now: dict[str, str], file: str = "b.csv", **before: dict[str, str]) -> list[tuple[str, ...]]:
    held = before or {"a.csv": OLD}
    found = changes(
        {"crm: deals": sheets({name.replace("_", "."): columns for name, columns in held.items()})},
        {"crm: deals": sheets({"a.csv": OLD, file: now})},
        frozenset([file]),
    )
    assert {one["place"] for one in found} <= {"crm: deals"}
    assert {one["file"] for one in found} <= {file}
    return [(one["column"], one["change"], one["to"]) for one in found]


def test_a_file_with_the_same_columns_has_not_changed():
    assert compared(OLD) == []
    assert compared(dict(reversed(OLD.items()))) == []  # their order does not matter
    assert compared({**OLD, "Amount": ""}) == []  # a day without amounts says nothing of their kind


def test_columns_that_are_new_or_gone_or_of_another_kind():
    assert compared({**OLD, "Region": "text"}) == [("Region", "new", "")]
    assert compared({name: OLD[name] for name in ("id", "Amount", "Created")}) == [("City", "lost", "")]
    assert compared({**OLD, "Amount": "text"}) == [("Amount", "kind", "number → text")]


def test_columns_that_look_renamed():
    def renamed(old: str, new: str, kind_: str) -> list[tuple[str, ...]]:
        return compared({(new if name == old else name): kind_ if name == old else k for name, k in OLD.items()})

    assert renamed("Created", "Create Date", "time") == [("Created", "renamed", "Create Date")]  # spelled alike
    assert renamed("Amount", "AMOUNT ", "") == [("Amount", "renamed", "AMOUNT ")]
    assert renamed("Amount", "销售金额", "number") == [("Amount", "renamed", "销售金额")]  # same kind, same place
    assert renamed("Amount", "Stage", "text") == [("Amount", "lost", ""), ("Stage", "new", "")]
    # Elsewhere, with another name, nobody can tell.
    assert compared({"id": "text", "Created": "time", "City": "text", "Sum": "number"}) == [
        ("Amount", "lost", ""), ("Sum", "new", ""),
    ]  # fmt: skip


def test_a_file_is_held_against_its_own_kind():
    people = {"Lead Id": "text", "Email": "text", "Phone": "text"}
    files = {"a_csv": OLD, "leads_csv": people}
    assert compared({**people, "City": "text"}, "leads2.csv", **files) == [("City", "new", "")]
    assert compared({**OLD, "Email": "text"}, "deals2.csv", **files) == [("Email", "new", "")]
    assert compared(people, "leads.csv", **files) == []
    assert compared(OLD, "leads.csv", **files)[0] == ("Lead Id", "lost", "")  # its name says what it was
    # Of two that are equally near, the later one.
    wider = {**OLD, "Owner": "text"}
    assert compared(wider, "c.csv", a_csv=OLD, b_csv=wider) == []


def test_only_files_that_are_new_are_looked_at_and_each_change_is_told_once():
    before = {"crm: deals": sheets({"a": OLD})}
    wider = {**OLD, "Region": "text"}
    now = {"crm: deals": sheets({"a": OLD, "b": wider, "c": wider}), "crm: users": sheets({"u": OLD})}
    assert changes(before, now, frozenset()) == []
    assert changes(before, now, frozenset("bcu")) == [
        {"place": "crm: deals", "column": "Region", "change": "new", "to": "", "file": "b"}
    ]


def test_files_are_grouped_by_their_columns():
    assert sheets({"a": {"x": "text"}, "b": {}, "c": {"x": "text"}}) == [
        {"columns": [["x", "text"]], "files": ["a", "c"]}, {"columns": [], "files": ["b"]},
    ]  # fmt: skip
