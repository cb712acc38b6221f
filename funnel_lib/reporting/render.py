"""One page from one notebook: its blocks in their order; no code, no script, nothing that loads."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from markupsafe import Markup

from funnel_lib.notation import Language
from funnel_lib.reporting import blocks, failures
from funnel_lib.reporting.blocks import MIME
from funnel_lib.reporting.markup import FOLDER, document, fragment
from funnel_lib.reporting.parts import Download, Fact, Link
from funnel_lib.reporting.wording import Number, Text, merged, plain

if TYPE_CHECKING:
    from nbformat import NotebookNode

# The order of a page. `other` is what cells of an analyst's own show; it keeps its place among the sections.
ORDER: Mapping[str, int] = {
    "header": 0, "alert": 1, "contents": 2, "summary": 3, "kpis": 4, "section": 5, "other": 5, "segments": 6,
    "definitions": 7, "method": 8, "run": 9, "manifest": 10, "downloads": 11,
}  # fmt: skip
LISTED = ("summary", "section", "definitions", "method", "run")
TAGS = (
    "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "div", "dl", "dt", "em", "h3",
    "h4", "hr", "i", "li", "ol", "p", "pre", "small", "span", "strong", "sub", "sup", "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "ul",
)  # fmt: skip
POSTER = ("header", "alert", "summary", "kpis")
IMAGES = ("image/svg+xml", "image/png", "image/jpeg")


@dataclass(frozen=True)
class PageFacts:
    """What a page says beside its blocks. All links are relative to the page.

    Parameters
    ----------
    title : of the window and of every printed page, such as “Conversion report 2026-05, all visitors”.
    workbook : title of the workbook.
    languages : the page in each of its languages, this one included; every link has its `lang`.
    segments : the same report for single groups.
    facts : the head of a page that has no blocks (see `failure`).
    run : run facts as names and values, shown where no block lists them.
    manifest : the run's manifest as JSON text, folded away at the end.

    """

    title: Text
    language: Language
    workbook: Text
    index: Link | None = None
    previous: Link | None = None
    next: Link | None = None
    languages: Sequence[Link] = ()
    segments: Sequence[Link] = ()
    downloads: Sequence[Download] = ()
    facts: Sequence[Fact] = ()
    run: Sequence[tuple[Text, Text]] = ()
    footer: Text = ""
    manifest: str = ""

    @property
    def paper(self) -> str:
        """What stands below every printed page."""
        return f"{plain(self.workbook, self.language)} · {plain(self.title, self.language)}"


@dataclass(frozen=True)
class _Piece:
    """A piece of the page: its kind, the id and label by which the contents list it, its HTML."""

    kind: str
    html: str
    id: str = ""
    label: str = ""


def page(notebook: NotebookNode, facts: PageFacts) -> str:
    """Return the executed notebook as one HTML page.

    Blocks are shown as they are. Of other outputs, tables and pictures are shown, cleaned of everything that
    acts or loads; texts, code and Markdown are not. The same notebook and facts give the same page.
    """
    import nbformat

    pieces = _arranged([*_pieces(notebook, facts.language), *_added(facts)], facts.language)
    cells = [_cell(piece.html) for piece in pieces]
    shown = cast(Any, nbformat.from_dict)({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    values = {"page": facts, "paper": _paper(facts, pieces)}
    frame = {name: document(facts.language, f"{name}.html.j2", **values) for name in ("opening", "closing")}
    html, _ = _exporter().from_notebook_node(shown, resources={"funnel": frame})
    return str(html)


def poster(notebook: NotebookNode, facts: PageFacts) -> str:
    """Return one page for a picture: head, key figures, summary and the notebook's first picture with its finding."""
    pieces = list(_pieces(notebook, facts.language))
    pictured = [piece for piece in pieces if piece.kind == "section" and "<figure" in piece.html][:1]
    shown = [piece for kind in POSTER for piece in pieces if piece.kind == kind] + pictured
    values = {"page": facts, "paper": _paper(facts, pieces), "pieces": [Markup(piece.html) for piece in shown]}  # noqa: S704 - blocks
    return document(facts.language, "poster.html.j2", **values)


def metrics(notebook: NotebookNode) -> dict[str, Number]:
    """Return all numbers that the notebook's blocks state."""
    return merged(*(payload["metrics"] for payload, _ in _payloads(notebook)))


def tables(notebook: NotebookNode) -> dict[str, str]:
    """Return the named tables of the notebook's blocks as CSV text (to be written as `utf-8-sig`)."""
    found: dict[str, str] = {}
    for payload, _ in _payloads(notebook):
        found |= payload["tables"]
    return found


def failure(facts: PageFacts, reason: Sequence[str], last_good: Link | None = None, *, empty: bool = False) -> str:
    """Return the page of a report that was not made: why, what to do, the last good one, the facts of the run.

    `reason` is the error's message by lines; `empty` says that nothing went wrong, but that there was no data.
    """
    said = failures.failure("\n".join(reason), facts.language)
    values = {"page": facts, "paper": facts.paper, "failure": said, "last_good": last_good, "empty": empty}
    return document(facts.language, "failure.html.j2", **values)


@cache
def _exporter() -> Any:
    """Return nbconvert's exporter with the template of a page; setting it up costs more than a page does."""
    from nbconvert.exporters.html import HTMLExporter
    from nbconvert.exporters.templateexporter import TemplateExporter
    from nbconvert.filters import Highlight2HTML
    from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter

    class Plain(HTMLExporter):
        """Leaves what the template gave as it is: nbconvert would parse it all to mend cells of its own templates."""

        def from_notebook_node(self, nb: Any, resources: Any = None, **options: Any) -> Any:
            told = cast(Any, self)
            told.register_filter("highlight_code", cast(Any, Highlight2HTML)(parent=self))
            told.register_filter(
                "filter_data_type", cast(Any, WidgetsDataTypeFilter)(notebook_metadata=told._nb_metadata, parent=self)
            )
            return TemplateExporter.from_notebook_node(self, nb, resources, **options)

    return cast(Any, Plain)(
        template_name="funnel", extra_template_basedirs=[str(FOLDER)], exclude_input=True,
        exclude_input_prompt=True, exclude_output_prompt=True,
    )  # fmt: skip


def _paper(facts: PageFacts, pieces: Sequence[_Piece]) -> str:
    """Return what stands below every printed page: the report, and what its head warns of."""
    return " · ".join([facts.paper, *(piece.label for piece in pieces if piece.kind == "header" and piece.label)])


def _payloads(notebook: NotebookNode) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the payload and the HTML of every block, in the notebook's order."""
    for output in _outputs(notebook):
        if MIME in output:
            yield output[MIME], _joined(output["text/html"])


def _outputs(notebook: NotebookNode) -> Iterator[Mapping[str, Any]]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []) if cell.cell_type == "code" else []:
            if output.output_type in ("display_data", "execute_result"):
                yield output.data


def _pieces(notebook: NotebookNode, language: Language) -> Iterator[_Piece]:
    """Yield what the notebook shows, in its order."""
    for data in _outputs(notebook):
        if MIME in data:
            payload = data[MIME]
            if payload["kind"] in ORDER:
                yield _Piece(payload["kind"], _joined(data["text/html"]), payload["id"], payload["label"])
        elif "text/html" in data:
            yield _Piece("other", _foreign(_clean(_joined(data["text/html"]))))
        elif kind := next((kind for kind in IMAGES if kind in data), None):
            source = _joined(data[kind])
            encoded = base64.b64encode(source.encode()).decode() if kind == IMAGES[0] else "".join(source.split())
            yield _Piece("other", _foreign(fragment(language, "image", f"data:{kind};base64,{encoded}")))


def _added(facts: PageFacts) -> Iterator[_Piece]:
    """Yield what the page adds to the notebook's blocks."""
    if facts.segments:
        yield _Piece("segments", fragment(facts.language, "segments", facts.segments))
    if facts.run:
        block = blocks.run_facts(facts.run, language=facts.language)
        yield _Piece("run", block.html, block.id, block.label)
    if facts.manifest:
        yield _Piece("manifest", fragment(facts.language, "manifest", facts.manifest))
    if facts.downloads:
        yield _Piece("downloads", blocks.downloads(facts.downloads, language=facts.language).html)


def _arranged(pieces: Sequence[_Piece], language: Language) -> list[_Piece]:
    """Return the pieces in the page's order, with the contents; a second list of run facts is left out."""
    runs = [piece for piece in pieces if piece.kind == "run"]
    kept = [piece for piece in pieces if piece not in runs[1:]]
    ordered = sorted(kept, key=lambda piece: ORDER[piece.kind])
    listed = [piece for piece in ordered if piece.kind in LISTED]
    contents = _Piece("contents", fragment(language, "contents", [(piece.id, piece.label) for piece in listed]))
    return sorted([contents, *ordered], key=lambda piece: ORDER[piece.kind]) if listed else ordered


def _cell(html: str) -> dict[str, Any]:
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": str(html)}}
    return {
        "cell_type": "code",
        "metadata": {},
        "source": "",
        "execution_count": None,
        "outputs": [output],
        "id": "0",
    }


def _foreign(html: Markup) -> str:
    return str(Markup('<div class="foreign" tabindex="0">{}</div>').format(html))


def _clean(html: str) -> Markup:
    """Return HTML of a stranger's output without scripts, styles, handlers, links and pictures."""
    from nbconvert.preprocessors.sanitize import SanitizeHTML

    # The tags alone would be taken out and their contents shown as text.
    text = re.sub(r"<(script|style|head|template)\b.*?(</\1\s*>|$)", "", html, flags=re.DOTALL | re.IGNORECASE)
    text = re.sub(r"<th[^>]*>\s*</th>", "<td></td>", text)
    allowed = {
        "*": ["lang"],
        "td": ["colspan", "rowspan"],
        "th": ["colspan", "rowspan", "scope"],
        "ol": ["start"],
    }
    cleaner = cast(Any, SanitizeHTML)(tags=list(TAGS), attributes=allowed, strip=True)
    return Markup(cleaner.sanitize_html_tags(text))  # noqa: S704 - cleaned


def _joined(text: str | Sequence[str]) -> str:
    """Return a text that a notebook file may hold as a list of lines."""
    return text if isinstance(text, str) else "".join(text)
