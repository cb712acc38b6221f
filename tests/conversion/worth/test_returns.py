from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.returns import returns

CREDITS = pd.DataFrame(
    [("last", "search", 100.0, 5000.0), ("last", "direct", 50.0, 2500.0), ("last", "mail", 2.0, 90.0),
     ("first", "search", 60.0, 3000.0)],
    columns=["model", "channel", "conversions", "value"],
)  # fmt: skip


def test_return_on_spend_is_not_return_on_investment():
    before = CREDITS.copy(deep=True)
    found = returns(CREDITS, {"search": 2000, "banner": 300, "mail": 10}, margin=0.5, rules=Rules())
    rows = found.set_index(["model", "channel"])
    # Last touch: 5000 / 2000 = 2.5; (0.5 x 5000 - 2000) / 2000 = 0.25. First touch: 1.5 and -0.25.
    assert rows.loc[("last", "search"), ["roas", "roi"]].tolist() == [2.5, 0.25]
    assert rows.loc[("first", "search"), ["roas", "roi"]].tolist() == [1.5, -0.25]
    reasons = found[found["model"] == "last"].set_index("channel")["reason"].to_dict()
    assert reasons == {"search": "", "direct": "no_costs", "mail": "too_few", "banner": "no_customers"}
    assert found.loc[found["reason"] != "", ["roas", "roi"]].isna().all().all()
    pd.testing.assert_frame_equal(CREDITS, before)


def test_the_interval_is_that_of_chance_and_wider_where_amounts_differ():
    plain = returns(CREDITS, {"search": 2000}, margin=1, rules=Rules()).iloc[0]
    assert plain["roas_high"] / plain["roas"] == pytest.approx(math.exp(1.959964 / 10))
    # 5 000 orders, a fifth worth 5 and the others nothing: mean 1, variance 5 - 1 = 4, so the spread is 2; the freedom
    # 2 x 25 000^2 / 625 000 = 2 000, of which Student's quantile is 1.961.
    amounts = [5.0, 0, 0, 0, 0] * 1000
    wide = returns(CREDITS, {"search": 2000}, margin=1, amounts=amounts, rules=Rules()).iloc[0]
    assert wide["roas_high"] / wide["roas"] == pytest.approx(math.exp(1.961151 * math.sqrt(5) / 10))
    few = returns(CREDITS, {"search": 2000}, margin=1, amounts=amounts[:15], rules=Rules()).iloc[0]  # freedom 6: 2.447
    assert few["roas_high"] / few["roas"] == pytest.approx(math.exp(2.446912 * math.sqrt(5) / 10))
    assert wide["roi_low"] == wide["roas_low"] - 1


def test_no_conversions_at_all():
    assert returns(CREDITS[:0], {"search": 10}, margin=1, rules=Rules()).empty
    none = CREDITS.assign(conversions=np.nan, value=np.nan)
    assert set(returns(none, {"search": 10}, margin=1, rules=Rules())["reason"]) == {"no_customers", "no_costs"}
