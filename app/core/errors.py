"""The errors that Frontdesk shows to people; everything else is a bug and gets an id in the log.

AppError                  one message: what was expected, found, exists, what to do
|-- InputError            bad text, file, row or request          exit 2, HTTP 400
|   |-- ConfigError       bad key, type or value in a config      exit 2, HTTP 400
|   `-- TooLarge          a bound was passed                      exit 2, HTTP 413
|-- NotFound              no such thing, or not yours             exit 2, HTTP 404
|   `-- WeightsMissing    a model that is nowhere to be had       exit 2, HTTP 503
|-- Mismatch              an artefact is not what its record says exit 2, HTTP 503
|-- StoreDown             the database is full, locked or gone   exit 2, HTTP 503
|-- NotReady              still starting                          exit 2, HTTP 503
`-- TooMany               over the rate limit (`retry_after_s`)   exit 2, HTTP 429
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn


class AppError(Exception):
    """An error whose message is written for its reader; `zh` is the same sentence in Chinese.

    `code` is stable and machine-readable; `status` is the HTTP status it becomes.
    """

    code = "error"
    status = 500
    zh_default = "出了点问题，请稍后再试。"

    def __init__(self, message: str, *, zh: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.zh = zh or self.zh_default

    def in_language(self, language: str) -> str:
        """The message in `language` ("zh" or anything else for English)."""
        return self.zh if language.startswith("zh") else self.message


class InputError(AppError):
    """Bad text, file, row or request."""

    code, status, zh_default = "bad_input", 400, "输入有误，请检查后再试。"


class ConfigError(InputError):
    """A config, brief or settings file with a wrong key, type or value."""

    code = "bad_config"


class TooLarge(InputError):
    """An input above its bound."""

    code, status, zh_default = "too_large", 413, "内容太长了，请缩短后再试。"


class NotFound(AppError):
    """No such thing, or it belongs to somebody else (the two are not told apart)."""

    code, status, zh_default = "not_found", 404, "没有找到。"


class WeightsMissing(NotFound):
    """Model weights that are in no place that was looked at."""

    code, status, zh_default = "weights_missing", 503, "模型暂时不可用。"


class Mismatch(AppError):
    """An artefact that is not what its record says: another base, adapter, prompt or label map."""

    code, status, zh_default = "mismatch", 503, "模型校验未通过，暂时不可用。"


class StoreDown(AppError):
    """The database is full, locked, read-only, broken or gone; nothing of the call was stored.

    `cause` is a clause; what the reader can do is added.
    """

    code, status = "store_down", 503

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"{cause}. Nothing was changed; your text is still yours: please try again in a moment",
            zh="我们的数据库暂时不可用，没有任何改动，您的文字也没有丢失，请稍后再试。",
        )


class NotReady(AppError):
    """The model is still waking up."""

    code, status, zh_default = "not_ready", 503, "模型正在启动，请稍等几秒。"


class TooMany(AppError):
    """More requests than the limit allows."""

    code, status, zh_default = "too_many", 429, "发送得太快了，请稍等一下。"

    def __init__(self, message: str, *, retry_after_s: int, zh: str | None = None) -> None:
        super().__init__(message, zh=zh)
        self.retry_after_s = retry_after_s


def nearest(wrong: str, known: Iterable[str]) -> str:
    """A " Did you mean 'x'?" for the closest of `known`, or an empty string."""
    match = difflib.get_close_matches(wrong, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


def exit_with_message(error: AppError) -> NoReturn:
    """Print one sentence on stderr and leave with status 2."""
    print(f"error: {error.message}", file=sys.stderr)
    raise SystemExit(2)


def guarded(command: Callable[[], object]) -> None:
    """Run a command line: an AppError becomes a sentence and status 2, Ctrl-C status 130.

    The remaining exceptions are bugs and keep their traceback.
    """
    try:
        command()
    except AppError as error:
        exit_with_message(error)
    except KeyboardInterrupt:
        print("stopped; nothing half-written was left behind", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our pipe is gone; point stdout at nothing so that the exit is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
