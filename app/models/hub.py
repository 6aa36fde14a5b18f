"""The Hugging Face Hub and its local cache, as two sources of weights that may be absent.

HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to huggingface_hub.
"""

from __future__ import annotations

import functools
import socket
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.core.errors import InputError
from app.models.weights import shipped_file

CONNECT_S = 3.0
ANSWER_S = 10.0
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
_UNWANTED = ["[!1]*/*"]
"""onnx/, openvino/, original/ hold the same weights in other formats; 1_Pooling/ is wanted."""


class Absent(Exception):
    """A source that cannot serve the weights; the message is the rest of "the Hub: ..."."""


def cache_folder() -> Path:
    """The local cache of the Hub's files."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def endpoint() -> str:
    """The Hub in use."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def cached(name: str, revision: str | None) -> Path:
    """The snapshot of `name` in the local cache. Raises Absent without a whole one."""
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name,
            revision=revision,
            local_files_only=True,
            allow_patterns=_WANTED,
            ignore_patterns=_UNWANTED,
        )
    except (OSError, ValueError) as error:
        raise Absent("not there, or not whole") from error
    return _loadable(Path(found))


def snapshots(name: str) -> list[Path]:
    """All loadable snapshots of `name` in the local cache, whatever their revision."""
    from huggingface_hub.file_download import repo_folder_name

    home = cache_folder() / repo_folder_name(repo_id=name, repo_type="model") / "snapshots"
    found = []
    for folder in sorted(home.glob("*")):
        try:
            found.append(_loadable(folder))
        except Absent:
            continue
    return found


def published_sha256(name: str, revision: str | None) -> str | None:
    """sha256 of model.safetensors as the Hub states it, or None where it states none.

    Raises Absent with the reason: offline, unreachable, unknown, not allowed.
    """
    info = _info(name, revision)
    for file in info.siblings or []:
        if file.rfilename == "model.safetensors":
            return str(file.lfs.sha256) if file.lfs else None
    return None


def download(name: str, revision: str | None) -> Path:
    """The snapshot of `name` from the Hub, in the local cache. Raises Absent with the reason."""
    from huggingface_hub import snapshot_download

    _info(name, revision)
    try:
        found = snapshot_download(
            name, revision=revision, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except Exception as error:  # every way in which a download can break off means the same to us
        raise Absent(f"the download broke off ({_first_line(error)})") from error
    return _loadable(Path(found))


def _loadable(folder: Path) -> Path:
    try:
        shipped_file(folder)
    except InputError as error:
        raise Absent(error.message) from error
    return folder


def _info(name: str, revision: str | None) -> Any:
    """What the Hub says of `name`. Raises Absent; takes about 3 s at most where there is no Hub."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if constants.is_offline_mode():
        raise Absent("not asked, since HF_HUB_OFFLINE is set")
    if not _reachable(endpoint(), minute=int(time.monotonic() // 60)):
        raise Absent(f"{endpoint()} cannot be reached within {CONNECT_S:.0f} s")
    try:
        return HfApi().model_info(name, revision=revision, files_metadata=True, timeout=ANSWER_S)
    except GatedRepoError as error:
        raise Absent("gated: accept its terms there, then `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise Absent(f"has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise Absent("has no such model, or not for you (`hf auth login`)") from error
    except HfHubHTTPError as error:
        raise Absent(f"answered with an error ({_first_line(error)})") from error
    except Exception as error:  # the client's own network errors share no public base class
        raise Absent(f"no answer ({type(error).__name__})") from error


@functools.lru_cache(maxsize=4)
def _reachable(url: str, minute: int) -> bool:  # noqa: ARG001 (asked anew each minute)
    """Whether the Hub, or the proxy to it, takes a connection within CONNECT_S, look-up included.

    A resolver without a network can hang for long and takes no time-out, hence the thread.
    """
    parts = urlsplit(url)
    proxies = {} if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies()
    target = urlsplit(proxies.get(parts.scheme) or url)
    port = target.port or (443 if target.scheme == "https" else 80)
    reached = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((target.hostname, port), CONNECT_S).close()
            reached.set()
        except OSError:
            pass

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(CONNECT_S)
    return reached.is_set()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
