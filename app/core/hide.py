"""Import a library without the optional heavy ones that it would try: 1.3 s instead of 7 s."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Within the block, new imports of `packages` fail in this thread, as if not installed.

    Other threads import as ever, and what is loaded already stays so.
    """
    finder = _Hide(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Hide(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages
        self._thread = threading.get_ident()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 (the protocol's)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        here = threading.get_ident() == self._thread
        if here and fullname.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{fullname} is hidden", name=fullname)
        return None
