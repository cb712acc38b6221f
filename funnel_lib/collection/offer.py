"""What a source module offers: the contract between one system and the rest of the collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Aliases, check_aliases
from funnel_lib.errors import ConfigError, choices
from funnel_lib.schema import TableName
from funnel_lib.settings import Source

Reader = Callable[[Sequence[Path], Export], Iterator[Batch]]
"""Reads the files of one source, in their order, into batches whose counts add up."""


class Api(Protocol):
    """How a system is asked for its rows over the network."""

    @property
    def title(self) -> str:
        """Which interface it is."""

    @property
    def sure(self) -> str:
        """What of it is known for sure, where from, and what is not."""


@dataclass(frozen=True)
class Offer:
    """One system that exports can come from; each source module has one, called `SYSTEM`.

    Parameters
    ----------
    name : the system as workbooks call it; also the name of its module.
    title : the system as its maker calls it.
    reads : reads the files of a source.
    fills : the canonical tables that rows can get into, the main one first.
    files : what to export from the system, for the person who does it.
    confirmed : what of the format is known, where from, and what is not known for sure.
    aliases : table -> canonical column -> the texts that its header may hold, the best first.
    mapped : whether the workbook has to say `table` and `columns`.
    check : looks at the source before anything is read; raises ConfigError.
    together : whether each file can only be read beside all others of its source; otherwise only those that are new or
        have changed are read again.
    prepare : brings the files of the source up to date before they are looked for.
    api : how the system's rows are fetched, where that is possible.
    """

    name: str
    title: str
    reads: Reader
    fills: tuple[TableName, ...]
    files: str
    confirmed: str
    aliases: Aliases = field(default_factory=dict)
    mapped: bool = False
    check: Callable[[Export], None] | None = None
    together: bool = False
    prepare: Callable[[Export], None] | None = None
    api: Api | None = None

    def tables(self, source: Source) -> tuple[str, ...]:
        """Return the tables that this source of the system can fill."""
        return (source.table,) if source.table is not None else self.fills

    def require(self, export: Export) -> None:
        """Check what the workbook says of a source of this system.

        Raises
        ------
        ConfigError : it lacks its mapping, has one where the system knows its own columns, or gives
            aliases for a column that the system does not have.
        """
        source = export.source
        if not self.mapped and (source.table or source.columns):
            raise ConfigError(
                f"The system {self.name} knows its tables and columns.", where=export.where,
                found="table" if source.table else "columns", allowed="aliases: {canonical name: [header texts]}",
                do="Leave out table and columns, or use system: table.",
            )  # fmt: skip
        if self.mapped and (source.table is None or not source.columns):
            raise ConfigError(
                f"The system {self.name} needs table and columns.", where=export.where,
                found="only " + ", ".join(sorted(source.model_fields_set)),
                allowed=f"table: one of {choices(self.fills)}; columns: {{canonical name: column of the file}}",
                do="Add them to the source.",
            )  # fmt: skip
        check_aliases(export, self.aliases)
        if self.check is not None:
            self.check(export)
