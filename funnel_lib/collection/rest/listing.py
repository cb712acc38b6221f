"""The interfaces as a page for people: what each can fetch, which credentials and options it takes, how sure it is."""

from __future__ import annotations

from collections.abc import Iterable

from funnel_lib.collection.rest.api import Api, Stream

_EVERY = {"day": "by day", "month": "by month", "changes": "what changed", "whole": "all, every time"}


def listing(interfaces: Iterable[Api]) -> str:
    """Return the list in Markdown, the interfaces in the order given."""
    return "\n".join(_section(api) for api in interfaces)


def _section(api: Api) -> str:
    optional = [f"`{name}` if need be" for name in api.auth.optional]
    credentials = ", ".join([*(f"`{name}`" for name in api.auth.needs), *optional])
    lines = [f"### {api.system}\n", f"{api.title}; server `{api.server}`.\n", f"* **Credentials**: {credentials}"]
    if api.options:
        lines.append("* **Options**: " + "; ".join(f"`{name}`: {text}" for name, text in api.options.items()))
    lines.append("* **Streams**: " + "; ".join(_stream(stream) for stream in api.streams))
    lines.append(f"* **How sure**: {api.sure}")
    return "\n".join(lines) + "\n"


def _stream(stream: Stream) -> str:
    facts = [f"for each row of `{stream.of}`" if stream.of else _EVERY[stream.every]]
    if stream.aside:
        facts.append("only explains others")
    if not stream.default:
        facts.append("on request")
    return f"`{stream.name}` ({', '.join(facts)})"
