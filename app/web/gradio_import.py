"""Import Gradio in about half the time, and without its writing into site-packages.

At every import Gradio 6 parses the source of its 80 component classes to bring the .pyi files
beside them up to date, for editors: half of the time before the page can paint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_MODULE, _STUBS = "gradio.component_meta", "create_or_modify_pyi"


class _WithoutStubs(MetaPathFinder):
    """Finds the one module as usual, and puts a function that does nothing in place of _STUBS."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == _MODULE else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            setattr(module, _STUBS, lambda *_: None)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def quicken() -> None:
    """Make the next import of Gradio quick; does nothing where it is imported already."""
    if "gradio" not in sys.modules:
        sys.meta_path.insert(0, _WithoutStubs())
