"""Errors teach: what, where, found, allowed, do; and they survive the way between processes."""

import pickle

import pytest

from funnel_lib.errors import ConfigError, DataError, FunnelError, NothingToDo, choices, nearest


def test_the_message_holds_every_part_on_a_line_of_its_own():
    error = ConfigError("It cannot be.", where="a.yml: x", found=3, allowed="1 or 2", do="Write 1.")
    assert str(error) == ("It cannot be.\n  where:   a.yml: x\n  found:   3\n  allowed: 1 or 2\n  do:      Write 1.")


def test_parts_that_are_not_known_are_left_out_but_zero_is_known():
    assert str(DataError("Nothing here.")) == "Nothing here."
    assert str(DataError("Nothing here.", found=0)) == "Nothing here.\n  found:   0"


@pytest.mark.parametrize(("kind", "code"), [(ConfigError, 1), (DataError, 2), (NothingToDo, 3)])
def test_each_kind_has_its_exit_code_and_is_a_funnel_error(kind: type[FunnelError], code: int):
    assert kind.exit_code == code
    with pytest.raises(FunnelError, match="It happened"):
        raise kind("It happened.")


@pytest.mark.parametrize("kind", [FunnelError, ConfigError, DataError, NothingToDo])
def test_errors_survive_pickling_with_all_parts(kind: type[FunnelError]):
    error = kind("What.", where="here", found="f", allowed="a", do="d")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.what, again.where, again.found, again.allowed, again.do) == ("What.", "here", "f", "a", "d")


def test_nearest_finds_typing_errors_and_nothing_far():
    assert nearest("chanel", ["device", "channel"]) == "channel"
    assert nearest("xyz", ["device", "channel"]) is None
    assert nearest(100, ["1000", "x"]) == "1000"
    assert nearest("a", []) is None


def test_choices_lists_all_names_and_points_out_the_nearest():
    assert choices(["month", "week"]) == "month, week"
    assert choices(["month", "week"], "weak") == "month, week (did you mean week?)"
    assert choices(["month", "week"], "xyz") == "month, week"
    assert choices(iter(["month"]), "mont") == "month (did you mean month?)"
