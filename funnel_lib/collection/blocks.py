"""Lines of text files as columns, some megabytes at a time: each with its file, its number, and what is wrong with it.

No line becomes an object of its own, so that reading costs little more than unpacking.
"""

from __future__ import annotations

import codecs
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.collection.batch import FILE, LINE, LONGEST_RAW, RAW
from funnel_lib.collection.files import opened
from funnel_lib.collection.lines import Line, parts

_Task = TypeVar("_Task")
_Made = TypeVar("_Made")
_OBJECTS = "CREATE OR REPLACE TEMP VIEW objects AS SELECT line, text FROM lines WHERE text[1] = '{'"
_FEED = ord("\n")


@dataclass(frozen=True)
class Piece:
    """Whole lines of one file, as bytes; or one faulty line with the rule that it breaks.

    Parameters
    ----------
    file : its name as the tally holds it.
    first : the number of the first line.
    """

    file: str
    first: int
    text: bytes
    rule: str = ""


@dataclass(frozen=True)
class Block:
    """The lines of some pieces that hold anything, without space around them.

    Parameters
    ----------
    files : every file that the pieces are of, also those without a line.
    code : the place of each line's file in `files`.
    number : of each line, as a person counts them.
    rule : what each line breaks as text: ``bad_encoding``, ``too_long``, ``cut_off``; empty for nothing.
    text : the lines.
    """

    files: tuple[str, ...]
    code: npt.NDArray[np.int32]
    number: npt.NDArray[np.int64]
    rule: npt.NDArray[np.object_]
    text: pa.ChunkedArray

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> Block:
        """Take pieces apart into lines."""
        files = tuple(dict.fromkeys(piece.file for piece in pieces))
        codes, numbers, rules, texts = [], [], [], []
        for piece in pieces:
            number, rule, text = _taken_apart(piece)
            codes.append(np.full(len(text), files.index(piece.file), dtype=np.int32))
            numbers.append(number)
            rules.append(rule)
            texts.append(text)
        return cls(
            files, np.concatenate(codes), np.concatenate(numbers), np.concatenate(rules),
            pa.chunked_array(texts, pa.string()),
        )  # fmt: skip

    def counts(self) -> dict[str, int]:
        """Return how many lines there are of each file."""
        found = np.bincount(self.code, minlength=len(self.files)).tolist()
        return dict(zip(self.files, found, strict=True))

    def lines(self, places: npt.NDArray[np.int64]) -> Iterator[Line]:
        """Yield number, text and rule of the lines at `places`."""
        texts = self.text.take(pa.array(places)).to_pylist()
        for number, text, rule in zip(self.number[places].tolist(), texts, self.rule[places], strict=True):
            yield number, text, rule or ("null_bytes" if "\x00" in text else "")

    def objects(self, connection: duckdb.DuckDBPyConnection, query: str, *values: object) -> pa.Table:
        """Return what `query` finds in the view `objects`: `line` (a place) and `text` of each line that is an object.

        What is no whole object of JSON is not in the view.
        """
        table = {"line": np.arange(len(self.rule)), "text": pc.if_else(pa.array(self.rule == ""), self.text, None)}
        connection.register("lines", pa.table(table))
        connection.execute(_OBJECTS)
        try:
            return connection.sql(query, params=list(values)).to_arrow_table()
        except duckdb.InvalidInputException:  # a broken line; to look at each line first is only worth it then
            connection.execute(f"{_OBJECTS} AND json_valid(text)")
            return connection.sql(query, params=list(values)).to_arrow_table()

    def origin(self, places: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Return FILE, LINE and RAW of the lines at `places`."""
        asked = pc.ascii_rtrim(self.text.take(pa.array(places)), "\r\n")
        return self.place(places).assign(**{RAW: pc.utf8_slice_codeunits(asked, 0, LONGEST_RAW).to_pandas()})

    def place(self, places: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Return FILE and LINE of the lines at `places`."""
        named = pa.DictionaryArray.from_arrays(pa.array(self.code[places]), pa.array(self.files, pa.string()))
        return pd.DataFrame({FILE: named.cast(pa.string()).to_pandas(), LINE: self.number[places]}).astype(
            {FILE: "str"}
        )


def pieces(path: Path, file: str) -> Iterator[Piece]:
    """Yield the text of a file, packed or not, in pieces; the first is without lines, so that every file has one.

    Parameters
    ----------
    file : its name as the tally holds it.

    Raises
    ------
    DataError : the packed file is damaged.
    """
    first = 1
    yield Piece(file, first, b"")
    with opened(path, part=True) as stream:
        for part, rule in parts(stream):
            text = part.removeprefix(codecs.BOM_UTF8) if first == 1 else part
            yield Piece(file, first, text, rule)
            first += 1 if rule else text.count(b"\n") + (not text.endswith(b"\n"))


def gathered(found: Iterable[Piece], size: int) -> Iterator[list[Piece]]:
    """Yield pieces together that hold about `size` bytes."""
    held: list[Piece] = []
    held_size = 0
    for piece in found:
        held.append(piece)
        held_size += len(piece.text)
        if held_size >= size:
            yield held
            held, held_size = [], 0
    if held:
        yield held


def side_by_side(work: Callable[[_Task], _Made], tasks: Iterable[_Task]) -> Iterator[_Made]:
    """Yield what `work` makes of each task, in their order; a thread for each processor works, few tasks wait."""
    workers = os.cpu_count() or 1
    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def _taken_apart(piece: Piece) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_], pa.Array]:
    """Return number, rule and text of each line that holds anything; a faulty one counts in any case."""
    if piece.rule:
        text = pa.array([piece.text.strip().decode("utf-8", "replace")], pa.string())
        return np.array([piece.first]), np.array([piece.rule], dtype=object), text
    try:
        text = _lines(piece.text).cast(pa.string())
        rule = np.full(len(text), "", dtype=object)
    except pa.ArrowInvalid:
        found = piece.text.removesuffix(b"\n").split(b"\n")
        decoded = [line.decode("utf-8", "replace") for line in found]
        bad = [text.encode() != line for text, line in zip(decoded, found, strict=True)]
        text, rule = pa.array(decoded, pa.string()), np.where(bad, "bad_encoding", "").astype(object)
    trimmed = pc.ascii_trim_whitespace(text)
    full = pc.greater(pc.binary_length(trimmed), 0)
    places = np.flatnonzero(full.to_numpy(zero_copy_only=False))
    if len(places) < len(trimmed):
        rule, trimmed = rule[places], trimmed.filter(full)
    return piece.first + places, rule, trimmed


def _lines(text: bytes) -> pa.Array:
    """Return the lines with their line feeds, without a copy of the text."""
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == _FEED).astype(np.int32) + 1
    if text and (not len(ends) or ends[-1] != len(text)):
        ends = np.append(ends, np.int32(len(text)))
    starts = pa.py_buffer(np.concatenate([np.zeros(1, dtype=np.int32), ends]))
    return pa.Array.from_buffers(pa.binary(), len(ends), [None, starts, pa.py_buffer(text)])
