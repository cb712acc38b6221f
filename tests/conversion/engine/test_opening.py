"""Which feeder events get, told by the name of their type alone."""

import pytest

from funnel_lib.conversion.engine.opening import open_source
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError

FUNNEL = Funnel([Step("a", event="A")])


def test_memory_is_not_silently_ignored_for_spark():
    frame = type("DataFrame", (), {"__module__": "pyspark.sql.classic.dataframe"})()
    with pytest.raises(ConfigError, match="memory of a Spark cluster") as error:
        open_source(frame, FUNNEL, memory="2GB")
    assert "spark.executor" in str(error.value)


@pytest.mark.parametrize("events", [3, {"user_id": [1]}, None, object()])
def test_events_of_another_kind_are_refused(events):
    with pytest.raises(DataError, match="this kind") as error:
        open_source(events, FUNNEL)
    assert type(events).__name__ in str(error.value)
