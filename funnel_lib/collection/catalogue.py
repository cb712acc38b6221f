"""The page of all systems, `docs/sources.md`: what each offers, in its module's own words."""

from __future__ import annotations

from collections.abc import Iterable

from funnel_lib.collection.offer import Offer

_HEAD = """# The systems that exports come from

Written by `python -m funnel_lib.collection.sources` from the modules themselves; a test compares the two. How to add
one: [add-a-source.md](add-a-source.md).

In the workbook a source names its system and its files:

```yaml
sources:
  crm:
    system: hubspot
    files: crm/*.csv
    aliases: {amount: [Deal value]}   # a column that your export calls otherwise
```

Header texts are told in any order, with other columns beside them; capitals, spaces, `_` and `-` do not matter, and a
currency in brackets may follow. `aliases` adds to them, by the canonical name or by `table.name`; for `users` and
`deals`, `table.name` also takes a further attribute. Files may be gzip, and zip or tar archives where they come so.

| system | of | tables | fetched too |
|---|---|---|---|
"""


def page(offers: Iterable[Offer]) -> str:
    """Return the page in Markdown, the systems in the order given."""
    listed = list(offers)
    rows = [f"| [`{o.name}`](#{o.name}) | {o.title} | {_tables(o)} | {'yes' if o.api else ''} |\n" for o in listed]
    return _HEAD + "".join(rows) + "".join(_section(offer) for offer in listed)


def _tables(offer: Offer) -> str:
    return "the one that the workbook names" if offer.mapped else ", ".join(offer.fills)


def _section(offer: Offer) -> str:
    """Return what one system offers: files, interface, how sure, and the header texts that are known."""
    lines = [f"\n## {offer.name}\n", f"{offer.title}.\n", f"* **Files**: {offer.files}"]
    if offer.api is not None:
        lines.append(f"* **Interface**: {offer.api.title}. {offer.api.sure}")
    lines.append(f"* **How sure**: {offer.confirmed}")
    for table, columns in offer.aliases.items():
        told = [f"`{name}`: {', '.join(texts)}" for name, texts in columns.items() if not name.startswith("_")]
        lines.append(f"* **Header texts of `{table}`**: {'; '.join(told)}.")
    return "\n".join(lines) + "\n"
