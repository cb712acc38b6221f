"""Write the page of all systems: `python -m funnel_lib.collection.sources > docs/sources.md`."""

from __future__ import annotations

import sys

from funnel_lib.collection.catalogue import page
from funnel_lib.collection.sources import OFFERS

if __name__ == "__main__":
    sys.stdout.write(page(OFFERS.values()))
