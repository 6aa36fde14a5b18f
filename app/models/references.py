"""Model references: one string everywhere, and where the weights behind it are found.

    scripted                    deterministic, no weights
    PATH                        a folder with config.json, tokenizer and safetensors
    org/name[@revision]         a Hub name: staged beside the app, else in the local cache, else on
                                the Hub, else packaged
    openai:URL#name             a model behind an OpenAI-compatible server, for the chat alone

A base that a release or an adapter records is found by its sha256 first, in any source: the name
alone does not say which weights were evaluated (the packaged chat model differs from the Hub's).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from app.core.errors import AppError, InputError, Mismatch, WeightsMissing, nearest
from app.core.files import ROOT
from app.models import hub, packaged, scripted
from app.models.hub import Absent
from app.models.weights import Weights, cached_sha256, from_folder

__all__ = ["Reference", "Weights", "parse", "resolve"]
log = logging.getLogger(__name__)
BESIDE = ROOT / "weights"
"""Weights staged beside the app, as <org>--<name>/: they are meant, so they are looked at first."""
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([\w./-]+))?")
_OPENAI = re.compile(r"openai:(https?://[^\s#]+)#(\S+)")


class Reference(NamedTuple):
    """A parsed model reference."""

    kind: Literal["scripted", "folder", "hub", "openai"]
    name: str
    """Folder, Hub name, or the server's name for the model."""
    revision: str | None = None
    url: str | None = None


class _Differs(Absent):
    """A source that has the name, with other weights."""


_Source = Callable[[Reference, str | None], Weights]


def parse(ref: str) -> Reference:
    """Read a model reference. Raises InputError, listing the forms, where it is none of them."""
    if ref == "scripted":
        return Reference("scripted", ref)
    if ref.startswith("openai:"):
        return _server(ref)
    folder = Path(ref).expanduser()
    if (ref and folder.is_dir()) or ref.startswith(("/", "./", "../", "~")):
        return Reference("folder", str(folder))
    if match := _NAME.fullmatch(ref):
        return Reference("hub", match[1], revision=match[2])
    raise _no_reference(repr(ref), nearest(ref, ["scripted", *packaged.PACKAGED]))


def _server(ref: str) -> Reference:
    """A reference is logged and stands in reports: one that may hold a secret is not even told."""
    match = _OPENAI.fullmatch(ref)
    try:
        address = urlsplit(match[1]) if match else None
        if address is None or not address.hostname or address.port == 0:
            raise ValueError
    except ValueError:
        raise _no_reference("what follows `openai:`", "") from None
    if "@" in address.netloc or "?" in ref.partition("#")[0]:
        raise InputError(
            "openai: expected an address without user, password and query; a key goes into "
            "FRONTDESK_OPENAI_API_KEY"
        )
    assert match is not None
    return Reference("openai", match[2], url=match[1].rstrip("/"))


def _no_reference(what: str, hint: str) -> InputError:
    return InputError(
        f"{what} is no model reference.{hint} Expected `scripted`, a folder, "
        "`org/name[@revision]` or `openai:http://host:port/v1#name`"
    )


def resolve(ref: str, *, sha256: str | None = None, allow_base: bool = False) -> Weights:
    """The weights behind `ref`, ready to be loaded.

    sha256: the recorded base; weights with it are looked for in every source, and others under the
    same name are refused unless `allow_base`.

    Raises InputError (no reference, a server, a folder without weights), WeightsMissing (nowhere;
    says every place looked at and what to do), Mismatch (other weights under this name).
    """
    reference = parse(ref)
    if reference.kind == "openai":
        raise InputError(
            f"{ref}: a server answers chats and shows no weights; expected a model that can be "
            "loaded here: scripted, a folder or org/name[@revision]"
        )
    by_sha, by_name = _SOURCES[reference.kind]
    looked: list[tuple[str, Absent]] = []
    found = _first(by_sha, reference, sha256, looked) if sha256 else None
    if found is None and (sha256 is None or allow_base):
        found = _first(by_name, reference, None, looked)
        if found is not None and sha256 is not None:
            log.warning("%s: another base than the recorded one, as allowed", ref)
    if found is None:
        raise _refusal(reference, sha256, looked)
    log.info("%s: %s from %s, sha256 %s", ref, found.file, found.source, found.sha256)
    return found


def _first(
    sources: list[tuple[str, _Source]],
    reference: Reference,
    sha256: str | None,
    looked: list[tuple[str, Absent]],
) -> Weights | None:
    for name, source in sources:
        try:
            return source(reference, sha256)
        except Absent as absent:
            looked.append((name, absent))
    return None


def _from_beside(reference: Reference, sha256: str | None) -> Weights:
    folder = BESIDE / reference.name.replace("/", "--")
    if not folder.is_dir():
        raise Absent("not there")
    return _checked(from_folder(reference.name, folder, "folder"), sha256)


def _from_package(reference: Reference, sha256: str | None) -> Weights:
    name = reference.name
    file = packaged.shipped(name)
    if file is None:
        hint = packaged.install_hint(name)
        raise Absent(f"not installed ({hint})" if hint else "none has this name")
    if sha256 is None and reference.revision not in (None, "main"):
        raise Absent("carry no revisions")
    _same(cached_sha256(file), sha256)  # before anything is unpacked
    return packaged.weights(name, file)


def _from_cache(reference: Reference, sha256: str | None) -> Weights:
    if sha256 is None:
        return from_folder(reference.name, hub.cached(reference.name, reference.revision), "cache")
    others = []
    for folder in hub.snapshots(reference.name):
        found = from_folder(reference.name, folder, "cache")
        if found.sha256 == sha256:
            return found
        others.append(found.sha256)
    if others:
        raise _Differs(f"other weights, sha256 {', '.join(others)}")
    raise Absent("not there")


def _from_hub(reference: Reference, sha256: str | None) -> Weights:
    name, revision = reference.name, reference.revision
    if sha256 is not None and (published := hub.published_sha256(name, revision)):
        _same(published, sha256)  # before a download of gigabytes
    return _checked(from_folder(name, hub.download(name, revision), "hub"), sha256)


def _from_folder(reference: Reference, sha256: str | None) -> Weights:
    folder = Path(reference.name)
    if not folder.is_dir():
        raise InputError(f"no such model folder: {folder}")
    return _checked(from_folder(reference.name, folder.resolve(), "folder"), sha256)


def _from_code(reference: Reference, sha256: str | None) -> Weights:
    file = Path(scripted.__file__)
    found = Weights(
        reference.name, file.parent, "code", file.name, cached_sha256(file), kind="scripted"
    )
    return _checked(found, sha256)


_STAGED: tuple[str, _Source] = ("the folder weights/ beside the app", _from_beside)
_PACKAGE: tuple[str, _Source] = ("packaged weights", _from_package)
_CACHE: tuple[str, _Source] = ("the local cache", _from_cache)
_HUB: tuple[str, _Source] = ("the Hub", _from_hub)
_FOLDER: tuple[str, _Source] = ("the folder", _from_folder)
_CODE: tuple[str, _Source] = ("the code", _from_code)
_SOURCES: dict[str, tuple[list[tuple[str, _Source]], list[tuple[str, _Source]]]] = {
    "hub": ([_STAGED, _PACKAGE, _CACHE, _HUB], [_STAGED, _CACHE, _HUB, _PACKAGE]),
    "folder": ([_FOLDER], [_FOLDER]),
    "scripted": ([_CODE], [_CODE]),
}


def _checked(found: Weights, wanted: str | None) -> Weights:
    _same(found.sha256, wanted)
    return found


def _same(found: str, wanted: str | None) -> None:
    if wanted not in (None, found):
        raise _Differs(f"other weights, sha256 {found}")


def _refusal(
    reference: Reference, sha256: str | None, looked: list[tuple[str, Absent]]
) -> AppError:
    places = "; ".join(f"{name}: {absent}" for name, absent in looked)
    if any(isinstance(absent, _Differs) for _, absent in looked):
        return Mismatch(
            f"{reference.name}: expected the recorded base with sha256 {sha256}, found others "
            f"under that name ({places}). Put back the base that was evaluated, or train and "
            f"evaluate on this one; --allow-base serves another only with its own gate report"
        )
    hint = packaged.install_hint(reference.name)
    revision = f"@{reference.revision}" if reference.revision else ""
    wanted = f" with sha256 {sha256}" if sha256 else ""
    similar = "" if hint else nearest(reference.name, packaged.PACKAGED)
    return WeightsMissing(
        f"no weights for {reference.name}{revision}{wanted}.{similar} "
        f"Looked in {places}. What to do: `hf download {reference.name}` where there is a network "
        f"(HF_ENDPOINT=https://<mirror> for a mirror of the Hub; unset HF_HUB_OFFLINE)"
        f"{f'; {hint}' if hint else ''}; or name a folder with config.json and model.safetensors"
    )
