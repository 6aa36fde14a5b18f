"""Strict YAML configs: every key known, every value typed, `--set a.b=c` on top, saved resolved.

What a config class says under a field is its only documentation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.errors import ConfigError, nearest
from app.core.files import write_text


class Strict(BaseModel):
    """A frozen pydantic model that refuses unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )


C = TypeVar("C", bound=BaseModel)


def load(kind: type[C], path: Path, overrides: list[str] | None = None) -> C:
    """Read `path` as a `kind`, with `overrides` such as "optim.lr=1e-4" applied last.

    Raises ConfigError naming file, key, what was expected, what was found, and the nearest key.
    """
    tree = read_yaml(path)
    for override in overrides or []:
        _apply(tree, override)
    return parse(kind, tree, str(path))


def parse(kind: type[C], tree: Any, where: str) -> C:
    """`tree` as a `kind`. Raises ConfigError with one line for each fault."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        faults = "; ".join(_fault(kind, dict(e)) for e in error.errors()[:5])
        raise ConfigError(f"{where}: {faults}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError where it is missing or not a mapping."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        place = "this folder" if path.parent == Path() else path.parent
        hint = f" {place} has {', '.join(beside)}." if beside else ""
        raise ConfigError(f"no config file {path}.{hint}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} is not YAML in UTF-8: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found {type(tree).__name__}")
    return tree


def save(config: BaseModel, path: Path) -> None:
    """Write the resolved config as YAML, atomically, so that a run can be repeated from it."""
    write_text(path, dump(config))


def dump(config: BaseModel) -> str:
    """The resolved config as YAML text, keys in the order of the class."""
    tree = config.model_dump(mode="json")
    return str(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected key=value, such as --set optim.lr=1e-4")
    *groups, leaf = key.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {group} holds a value, not a group of keys")
    tree[leaf] = _scalar(value)


def _scalar(text: str) -> Any:
    """YAML's reading of `text`, except that 1e-4 is a number (YAML 1.1 takes it for a word)."""
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set ...={text}: expected a value of YAML, such as 3, word or [a, b]; where it has "
            "a space, quote the whole for the shell: --set 'key=[a, b]'"
        ) from error
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _fault(kind: type[BaseModel], error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        known = _keys_at(kind, error["loc"][:-1])
        hint = nearest(str(error["loc"][-1]), known)
        return f"unknown key {where!r}.{hint} Known here: {', '.join(known)}"
    said = str(error["msg"])[:1].lower() + str(error["msg"])[1:]
    found = f", found {error['input']!r}" if error["loc"] else ""
    return f"{where}: {said}{found}"[:300]


def _keys_at(kind: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    for part in path:
        field = kind.model_fields.get(str(part))
        inner = field.annotation if field else None
        if field is None:  # a key of a dict[..., model], which was stepped into before
            continue
        candidates = [inner, *getattr(inner, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return []
        kind = models[0]
    return list(kind.model_fields)
