"""What a mirror knows of each of its files: the ETag of the object, and which file was that object (SQLite).

It is a cache. Where it is lost, files are fetched again.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUSY_S = 60.0  # other processes of the host write a row now and then


@dataclass(frozen=True, slots=True)
class Row:
    etag: str
    size: int
    inode: int
    modified: int  # nanoseconds

    def is_of(self, file: os.stat_result, dated: bool) -> bool:
        """Whether a file is the one that was the object. A file that is replaced is another one; `dated`: one that may
        be written to in its place has its time, too."""
        same = (file.st_ino, file.st_size) == (self.inode, self.size)
        return same and (not dated or file.st_mtime_ns == self.modified)


UNDERWAY = Row("", 0, 0, 0)  # of an object that is being taken: where that breaks off, it is taken again


class Table:
    def __init__(self, path: Path):
        self.path = path
        with self._open() as base:
            base.execute(
                "create table if not exists files (name text primary key, etag text, size int, inode int, modified int)"
            )
            base.execute("create table if not exists said (key text primary key, value text)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        base = sqlite3.connect(self.path, timeout=BUSY_S)
        base.execute("pragma synchronous=off")
        try:
            with base:
                yield base
        finally:
            base.close()

    def rows(self) -> dict[str, Row]:
        with self._open() as base:
            return {name: Row(*rest) for name, *rest in base.execute("select * from files")}

    def below(self, name: str) -> dict[str, Row]:
        """The row of a file, or those of a folder's files."""
        with self._open() as base:
            # "0" follows "/": a range of the key, where LIKE would read the table.
            found = base.execute(
                "select * from files where name = ? or (name >= ? and name < ?)", (name, f"{name}/", f"{name}0")
            )
            return {name: Row(*rest) for name, *rest in found}

    def keep(self, rows: Iterable[tuple[str, Row]]) -> None:
        given = [(name, row.etag, row.size, row.inode, row.modified) for name, row in rows]
        with self._open() as base:
            base.executemany("insert or replace into files values (?, ?, ?, ?, ?)", given)

    def forget(self, names: Iterable[str]) -> None:
        with self._open() as base:
            base.executemany("delete from files where name = ?", [(name,) for name in names])

    def said(self, key: str) -> str:
        with self._open() as base:
            found = base.execute("select value from said where key = ?", (key,)).fetchone()
            return str(found[0]) if found else ""

    def say(self, key: str, value: str) -> None:
        with self._open() as base:
            base.execute("insert or replace into said values (?, ?)", (key, value))
