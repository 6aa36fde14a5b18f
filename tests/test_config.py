"""Configs are strict: a wrong key, type or value is named with what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.core import brief, config, settings
from app.core.errors import ConfigError
from app.core.files import ROOT


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


def test_a_made_secret_is_never_seen_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, replace = list[int](), os.replace

    def appears(*paths: Path) -> None:
        seen.append(os.stat(paths[0]).st_mode & 0o777)
        replace(*paths)

    monkeypatch.setattr(os, "replace", appears)
    settings.signing_secret(settings.Settings())
    assert seen == [0o600]


def test_a_value_that_is_no_yaml_says_how_to_quote_it(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    with pytest.raises(ConfigError, match="quote the whole for the shell"):
        config.load(brief.Brief, file, ["data.train=[file:a.csv,"])


def test_a_brief_states_contact_and_order_numbers_and_is_read_again_where_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.support.flows import heard, words
    from app.support.phrases import decline

    file = tmp_path / "brief.yaml"
    text = (ROOT / "brief.yaml").read_text("utf-8")
    text = text.replace("hello@fernandkettle.example", "help@bikes.example")
    file.write_text(text.replace("prefix: FK, digits: 5", "prefix: BB, digits: 7"), "utf-8")
    monkeypatch.setenv("FRONTDESK_BRIEF", str(file))
    assert "help@bikes.example" in decline("en")
    assert heard.orders("where is bb 1234567, or FK-10924") == ["BB-1234567"]
    assert "it begins with BB" in words.of(words.NUMBER, "en")
    assert "BB 加 7 位数字" in words.of(words.MISTYPED, "zh")
    file.write_text(text, "utf-8")
    os.utime(file, ns=(1, 1))
    assert brief.current().order_numbers.prefix == "FK"


def test_a_feature_that_the_brief_leaves_out_is_named() -> None:
    with pytest.raises(ConfigError, match=r"says nothing of intents: expected features\.intents"):
        brief.read().feature("intents")
