"""Configs are strict: a wrong key, type or value is named with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core import brief, config, settings
from app.core.errors import ConfigError


class Optim(config.Strict):
    """A group of a config."""

    lr: float = 1e-3
    schedule: str = "linear"


class Toy(config.Strict):
    """A config of two groups."""

    name: str
    optim: Optim = Optim()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_values_come_from_the_file_and_set_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\noptim: {lr: 0.1}\n")
    loaded = config.load(Toy, path, ["optim.lr=1e-4", "name=b"])
    assert (loaded.name, loaded.optim.lr) == ("b", 1e-4)


def test_an_unknown_key_names_the_nearest_and_all_known(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\noptim: {lrr: 0.1}\n")
    with pytest.raises(ConfigError, match=r"'optim.lrr'.*Did you mean 'lr'.*lr, schedule"):
        config.load(Toy, path)


def test_a_wrong_type_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optim.lr: .*number.*found 'fast'"):
        config.load(Toy, written(tmp_path, "name: a\noptim: {lr: fast}\n"))


def test_a_missing_file_lists_its_neighbours(tmp_path: Path) -> None:
    written(tmp_path, "name: a\n")
    with pytest.raises(ConfigError, match=r"no config file .*toi.yaml.*toy.yaml"):
        config.load(Toy, tmp_path / "toi.yaml")


@pytest.mark.parametrize("content", [b"- a\n", b"a: [", b"name: \xff"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "toy.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"toy.yaml"):
        config.load(Toy, path)


def test_a_set_without_a_value_shows_the_form() -> None:
    with pytest.raises(ConfigError, match=r"expected key=value"):
        config._apply({}, "optim.lr")


def test_a_saved_config_loads_as_itself(tmp_path: Path) -> None:
    toy = Toy(name="茶", optim=Optim(lr=3e-4))
    config.save(toy, tmp_path / "out.yaml")
    assert config.load(Toy, tmp_path / "out.yaml") == toy


def test_the_shipped_brief_is_valid() -> None:
    shipped = brief.read()
    assert shipped.features["sentiment"].margin == 0.10
    assert set(shipped.languages) == {"en", "zh"}


def test_flags_beat_the_environment_and_that_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("port: 1000\nhost: 0.0.0.0\nmodel: scripted\n")
    monkeypatch.setenv("FRONTDESK_PORT", "2000")
    assert settings.load(path).port == 2000
    assert settings.load(path, port=3000, host=None).port == 3000
    assert settings.load(path).host == "0.0.0.0"


def test_a_made_secret_is_kept_and_private(own_var: Path) -> None:
    first = settings.signing_secret(settings.Settings())
    assert settings.signing_secret(settings.Settings()) == first
    assert (own_var / "secret").stat().st_mode & 0o077 == 0
    assert first not in repr(settings.Settings(secret=first))
