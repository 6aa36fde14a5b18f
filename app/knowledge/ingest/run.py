"""One ingest: what is new in the folder is read, and the store follows in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from app.core.errors import InputError
from app.core.files import sha256_text
from app.core.language import detect
from app.knowledge import alternates
from app.knowledge.asked import LEAST
from app.knowledge.ingest import files
from app.knowledge.ingest.document import VISIBILITIES, Document, Note, Read, Unreadable
from app.knowledge.ingest.readers import VERSION, reader_of
from app.knowledge.ingest.report import Fault, Report
from app.knowledge.split import split
from app.store.articles import Articles, Source

MAX_ID = 160
"""Characters of an article's id; a longer one is cut and made unique by its hash."""

Progress = Callable[[int, int, str], object]
"""Files done, files in all, the one at hand."""
Reading = Callable[[bytes, str], Read]
"""Bytes and name of a file to what it holds; raises Unreadable."""
Prepare = Callable[[Sequence[Mapping[str, Any]]], object]
"""Is given the new articles, as app.knowledge takes them, before they are written."""
Values = dict[str, Any]
"""Of one article, as app.store.articles takes them."""


def read_here(data: bytes, name: str) -> Read:
    """Read in this process, without limits of memory and time."""
    return reader_of(name)(data, PurePosixPath(name).stem)


def ingest(
    folder: Path,
    articles: Articles,
    *,
    visibility: str = "public",
    dry_run: bool = False,
    read: Reading = read_here,
    prepare: Prepare | None = None,
    progress: Progress | None = None,
) -> Report:
    """Make the store's articles of `folder` what its files say; returns what was done.

    A folder is known by its own name: a second one of that name replaces it. Files whose content
    and default `visibility` are as before are not parsed. A file that became unreadable keeps its
    earlier articles, hidden from customers (it may be meant for agents now) until it is read again,
    and the report says so.
    Raises InputError for no folder, a wrong visibility, or a folder of which nothing can be read;
    nothing is changed then but what is hidden.
    """
    if visibility not in VISIBILITIES:
        raise InputError(f"visibility: expected public or agents, found {visibility!r}")
    run = _Run(collection(folder), visibility, read)
    run.before = articles.sources(f"{run.name}/")
    found = list(files.walk(folder))
    for done, file in enumerate(found, 1):
        run.take(file)
        if progress:
            progress(done, len(found), file.name)
    report = run.report(dry_run)
    if not report.read:
        if run.hidden and not dry_run:
            articles.replace({}, hidden=run.hidden)
        raise InputError(_nothing(folder, report, run.before))
    if not dry_run and (run.put or run.gone or run.hidden):
        if prepare:
            prepare([_doc(values) for rows in run.put.values() for values in rows])
        articles.replace(run.put, run.gone, run.hidden)
    return report


def remove(folder: Path, articles: Articles, *, dry_run: bool = False) -> Report:
    """Take all articles of `folder` out; it need not exist any more.

    Raises InputError where there are none.
    """
    name = collection(folder)
    before = articles.sources(f"{name}/")
    if not before:
        raise InputError(f"no articles of a folder {name!r} are in the store: nothing to remove")
    if not dry_run:
        articles.replace({}, before)
    return Report(name, dry_run, removed=sorted(before))


def collection(folder: Path) -> str:
    """What a folder is known by in the store: its own name."""
    return files.shown(folder.resolve().name) or "articles"


def _ways(values: Values) -> int:
    """How many ways to ask an article carries."""
    return sum(way.answered for way in alternates.of(_doc(values)))


@dataclass
class _Run:
    """What is known so far of one ingest."""

    name: str
    visibility: str
    read: Reading
    before: dict[str, Source] = field(default_factory=dict)
    put: dict[str, list[Values]] = field(default_factory=dict)
    """New articles by source."""
    same: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Sources that cannot be read any more."""
    unreadable: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def take(self, file: files.File) -> None:
        """Read one file, if it is not as it was."""
        source = f"{self.name}/{file.name}"
        try:
            if source in self.seen:
                raise Unreadable("has the name of another file", "rename one of them")
            self.seen.add(source)
            reader_of(file.name)
            data = files.content(file.path)
            digest = self._digest(data)
            if source in self.before and self.before[source].sha256 == digest:
                self.same.append(source)
                return
            rows, notes = self._articles(source, digest, self.read(data, file.name))
        except Unreadable as error:
            if source in self.before and source not in (*self.kept, *self.same, *self.put):
                self.kept.append(source)
                error.reason += "; its earlier articles stay, for agents alone"
            self.unreadable.append(Fault(file.name, error.reason, error.remedy))
            return
        self.put[source] = rows
        self.notes += [Fault(file.name, note.reason, note.remedy) for note in notes]

    @property
    def gone(self) -> list[str]:
        """Sources whose files are not there any more."""
        return sorted(self.before.keys() - self.seen)

    @property
    def hidden(self) -> list[str]:
        """Of those that stay unread, the ones that customers see something of."""
        before = self.before
        return [at for at in self.kept if before[at].agents_only < before[at].articles]

    def report(self, dry_run: bool) -> Report:
        """What is about to be done."""
        same = [self.before[source] for source in self.same]
        kept = sum(self.before[source].articles for source in self.kept)
        rows = [values for articles in self.put.values() for values in articles]
        own = [source.removeprefix(f"{self.name}/") for source in self.put]
        known = {source.removeprefix(f"{self.name}/") for source in self.before}
        return Report(
            self.name,
            dry_run,
            added=[name for name in own if name not in known],
            changed=[name for name in own if name in known],
            unchanged=[source.removeprefix(f"{self.name}/") for source in self.same],
            removed=[source.removeprefix(f"{self.name}/") for source in self.gone],
            unreadable=self.unreadable,
            notes=[*self.notes, *_same_titles(rows)],
            articles=len(rows) + kept + sum(source.articles for source in same),
            agents_only=_agents(rows) + kept + sum(source.agents_only for source in same),
            passages=sum(len(split(_doc(values))) for values in rows),
            few_ways=sum(_ways(values) < LEAST for values in rows),
        )

    def _digest(self, data: bytes) -> str:
        """Of the bytes and of how they are read: another default visibility is another article."""
        return sha256(f"{VERSION}\0{self.visibility}\0".encode() + data).hexdigest()

    def _articles(self, source: str, digest: str, found: Read) -> tuple[list[Values], list[Note]]:
        """Raises Unreadable where no document has text."""
        notes, rows = list(found.notes), list[Values]()
        for document in found.documents:
            if split({"id": "", "text": document.text}):
                rows.append(self._values(source, digest, document))
        if not rows:
            raise Unreadable("holds no text", "write some, or take it out")
        return rows, notes

    def _values(self, source: str, digest: str, document: Document) -> Values:
        return {
            "id": _id(f"{source}:{document.key}" if document.key else source),
            "sha256": digest,
            "title": document.title,
            "text": document.text,
            "language": document.lang or detect(document.text),
            "visibility": document.visibility or self.visibility,
            "url": document.url,
            "questions": list(document.questions),
        }


def _agents(rows: Sequence[Values]) -> int:
    return sum(values["visibility"] == "agents" for values in rows)


def _doc(values: Values) -> dict[str, Any]:
    return {**values, "lang": values["language"]}


def _id(name: str) -> str:
    return name if len(name) <= MAX_ID else f"{name[:MAX_ID]}~{sha256_text(name)[:16]}"


def _same_titles(rows: Sequence[Values]) -> list[Fault]:
    """A citation shows the title alone."""
    first, notes = dict[tuple[str, str], str](), list[Fault]()
    for values in rows:
        key = values["language"], values["title"].casefold()
        earlier = first.setdefault(key, values["id"])
        if earlier != values["id"]:
            reason = f"has the title of {earlier.partition('/')[2]}: {values['title'][:60]!r}"
            notes.append(Fault(values["id"].partition("/")[2], reason, "give each its own"))
    return notes


def _nothing(folder: Path, report: Report, before: Mapping[str, Source]) -> str:
    stay = (
        f" Its {sum(s.articles for s in before.values())} earlier articles stay; "
        "`--remove` takes them out."
        if before
        else ""
    )
    if not report.unreadable:
        return f"{folder} holds no file: expected help articles (.md, .html, .csv, ...).{stay}"
    why = "; ".join(f"{f.file} {f.reason} ({f.remedy})" for f in report.unreadable[:5])
    more = f"; and {len(report.unreadable) - 5} more" if len(report.unreadable) > 5 else ""
    return f"nothing in {folder} can be read: {why}{more}.{stay}"
