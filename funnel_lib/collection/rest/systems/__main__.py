"""Print what the interfaces offer, as docs/collect-from-apis.md lists it."""

from __future__ import annotations

import sys

from funnel_lib.collection.rest.listing import listing
from funnel_lib.collection.rest.systems import INTERFACES

if __name__ == "__main__":
    sys.stdout.write(listing(INTERFACES.values()))
