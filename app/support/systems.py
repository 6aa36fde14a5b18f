"""The ways to answer that can be evaluated by name; `base` and `lora` are released as a model."""

from __future__ import annotations

from typing import Literal, get_args

System = Literal["quote", "base", "lora", "reader"]
SYSTEMS: tuple[str, ...] = get_args(System)
