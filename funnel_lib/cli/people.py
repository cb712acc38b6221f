"""The commands about people: `funnel identity`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import lazy_loader

from funnel_lib.cli.options import WorkbookFile, argument
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib import config
    from funnel_lib.collection import keys, who
    from funnel_lib.collection import store as stores
else:  # the help must not wait for pandas
    config, keys, who, stores = (
        lazy_loader.load(f"funnel_lib.{name}", suppress_warning=True)
        for name in ("config", "collection.keys", "collection.who", "collection.store")
    )

EXAMPLE = "Example: [bold]funnel identity params/education.yml U100002[/]"


def identity(
    workbook: WorkbookFile,
    user: Annotated[str, argument("Any id of a person: a login, a browser, a hash of an address …")],
) -> None:
    """Show which ids are one person and why: each link, its source and file, and the rule that refused it."""
    book = config.load(workbook)
    found = who.trace(stores.Store(book.processed), user)
    if found.empty:
        terminal.say(f"{user} is linked with no other id.")
        return
    terminal.links(found)
    people = list(dict.fromkeys(found.loc[found["rule"] == "", "person"]))
    if people:
        terminal.say(f"One person: {', '.join(people)}")
    terminal.say("To undo a merge, list the id that joins them under identity.split in the workbook.")


def warn(store: stores.Store) -> None:
    """Say so when addresses and numbers were hashed with a key that everybody knows."""
    facts = store.facts()
    if facts["key"] == "demo" and facts["hashed"]:
        terminal.say(
            f"E-mail addresses and telephone numbers were hashed with the demo's key, which everybody knows. Set "
            f"{keys.SECRET} to a secret text of your own before you collect real data.",
            "yellow",
        )
