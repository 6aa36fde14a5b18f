"""The chat bench in miniature: what its arms do, and what its speed-ups are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.models import dtype
from app.models.references import resolve
from eval.bench import bench, chat, speedups
from eval.bench.base import Outcome
from eval.task import Request
from tests.helpers_models import tiny_llama


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def small(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short answers of a tiny model, without OpenVINO."""
    monkeypatch.setattr(chat, "MODEL", str(tiny))
    monkeypatch.setattr(chat, "WRITTEN", 6)
    monkeypatch.setattr(chat, "openvino", lambda *_: {})
    monkeypatch.setattr(dtype, "choose", lambda *_: "float32")
    monkeypatch.setattr("app.models.local_chat.LocalChat._room", 10**6, raising=False)


@pytest.mark.usefixtures("small")
def test_every_arm_writes_what_the_weights_say_and_is_timed(tmp_path: Path) -> None:
    del tmp_path
    contest = bench("chat").build(Request(limit=2))
    assert [arm.name for arm in contest.arms] == ["product", "default", "tuned"]
    for arm in contest.arms:
        found = arm.run()
        assert sorted(found.speeds) == ["decode", "ttft_turn2", "users8"], arm.name
        assert all(value > 0 for value in found.speeds.values()), arm.name
        assert found.scores == [1.0] * 3, arm.name  # two users, and one alone


def test_the_second_turn_goes_on_from_the_first_and_has_its_length(tiny: Path) -> None:
    from app.models.transformers_chat import TransformersChat

    model = TransformersChat(tiny)
    for talk in chat.talks("demo:support", model, 2):
        first, second = model.prompt_ids(talk.first), model.prompt_ids(talk.second)
        assert second[: len(first)] == first
        assert chat.TALK_TOKENS - 40 <= len(second) <= chat.TALK_TOKENS


def test_a_wrong_token_lowers_the_agreement(tiny: Path) -> None:
    from app.models.transformers_chat import TransformersChat

    model = TransformersChat(tiny)
    prompt = list(range(5, 20))
    said = list(model.written(prompt, 4))
    assert chat.agreement(model, prompt, said) == 1.0
    assert chat.agreement(model, prompt, [*said[:3], said[3] + 1]) == 0.75


def test_generate_gives_the_same_tokens_padded_or_from_a_cache(tiny: Path) -> None:
    from app.models.transformers_chat import TransformersChat

    model = TransformersChat(tiny)
    prompts = [list(range(5, 20)), list(range(30, 39))]
    alone = [list(model.written(prompt, 5)) for prompt in prompts]
    answers, times = chat.generated(model.model, prompts, 5)
    assert answers == alone
    assert len(times) == 5
    cache = chat._read(model.model, prompts[0][:9])
    assert chat.generated(model.model, prompts[:1], 5, cache=cache)[0] == alone[:1]


def test_an_engine_that_breaks_off_is_left_out_and_said(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from app.models import openvino_chat
    from app.models.transformers_chat import TransformersChat

    def engine(file: Path, folder: Path, dtype: str) -> TransformersChat:
        del file
        made = TransformersChat(folder)
        made.dtype = dtype
        if dtype == "bfloat16":
            monkeypatch.setattr(made.rows, "step", broken)
        return made

    def broken() -> None:
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(openvino_chat, "installed", lambda: True)
    monkeypatch.setattr(openvino_chat, "merged_file", lambda _: tiny)
    monkeypatch.setattr(openvino_chat, "OpenVINOChat", engine)
    monkeypatch.setattr(chat, "WRITTEN", 4)
    exact = TransformersChat(tiny)
    work = chat.Work([], [list(range(5, 20))] * 3, exact, exact)
    found = list(chat.openvino(resolve(str(tiny)), work))
    assert found == ["openvino float32", "openvino float16"]
    assert "openvino bfloat16 cannot answer here" in capsys.readouterr().err


def test_speed_ups_carry_the_names_of_the_chat() -> None:
    said = Outcome({"ttft_turn2": 1.0, "users8": 1.0, "decode": 1.0}, [1.0])
    found = speedups.speedups(
        chat.BENCH, [dict.fromkeys(("product", "default", "tuned"), said)], "_avx2"
    )
    assert [metric.name for metric in found] == [
        "ttft_turn2_speedup_avx2", "ttft_turn2_tuned_speedup_avx2", "users8_speedup_avx2",
        "users8_tuned_speedup_avx2", "decode_speedup_avx2", "decode_tuned_speedup_avx2",
    ]  # fmt: skip
