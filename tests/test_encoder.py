"""The encoders: what SentenceEncoder computes, what the scripted one promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import InputError
from app.core.files import write_json
from app.models.encoder import HashEncoder, SentenceEncoder
from app.models.references import resolve
from app.models.sentence_files import POOLING_FILE, layout
from tests.helpers_models import tiny_bert

TEXTS = ["returns are free", "a", "the film is wonderful and moving " * 9, "", "退款需要五个工作日"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def encoder(bert: Path) -> SentenceEncoder:
    return SentenceEncoder(bert)


@pytest.fixture(params=["hash", "minilm"])
def either(
    request: pytest.FixtureRequest, encoder: SentenceEncoder
) -> HashEncoder | SentenceEncoder:
    return HashEncoder() if request.param == "hash" else encoder


def test_rows_are_float32_in_the_order_given(either) -> None:
    rows = either.encode(TEXTS)
    assert rows.shape == (len(TEXTS), either.dim)
    assert rows.dtype == np.float32
    for text, row in zip(TEXTS, rows, strict=True):
        assert np.allclose(either.encode([text])[0], row, atol=1e-5)


def test_rows_have_length_one(either) -> None:
    assert np.allclose(np.linalg.norm(either.encode(["kettle", "green tea"]), axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(either) -> None:
    assert either.encode([]).shape == (0, either.dim)


def test_batch_size_changes_nothing(encoder: SentenceEncoder) -> None:
    assert np.allclose(encoder.encode(TEXTS, 1), encoder.encode(TEXTS, 64), atol=1e-5)


def test_minilm_is_the_normalised_mean_of_the_token_states(
    encoder: SentenceEncoder, bert: Path
) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, body = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert)
    inputs = tokenizer(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        pooled = body.eval()(**inputs).last_hidden_state[0].mean(0).numpy()
    assert np.allclose(encoder.encode(TEXTS[:1])[0], pooled / np.linalg.norm(pooled), atol=1e-5)


def test_text_beyond_256_tokens_is_not_read(encoder: SentenceEncoder) -> None:
    long = "tea " * 254  # and [CLS], [SEP]
    same, other = encoder.encode([long, long + "kettle " * 50])
    assert np.allclose(same, other, atol=1e-5)
    assert not np.allclose(same, encoder.encode(["tea kettle"])[0], atol=1e-3)


def described(bert: Path, folder: Path, **files: Any) -> Path:
    """The tiny BERT with the files that sentence-transformers keeps beside a model."""
    shutil.copytree(bert, folder)
    kinds = files.pop("modules", ["Transformer", "Pooling", "Normalize"])
    listed = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    write_json(folder / "modules.json", listed)
    for name, found in files.items():
        path = {"pooling": POOLING_FILE, "length": "sentence_bert_config.json"}.get(name)
        write_json(folder / (path or "config_sentence_transformers.json"), found)
    return folder


CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


@pytest.mark.parametrize(
    ("pooling", "kind"),
    [
        (CLS, "first"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls"}, "first"),
    ],
)
def test_an_encoder_is_pooled_as_its_files_say(
    bert: Path, tmp_path: Path, pooling: dict[str, Any], kind: str
) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = described(bert, tmp_path / "e", pooling=pooling, prompts={"prompts": {"query": ""}})
    assert layout(folder) == (kind, 512)
    inputs = AutoTokenizer.from_pretrained(bert)(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(bert).eval()(**inputs).last_hidden_state[0].numpy()
    wanted = {"first": states[0], "last": states[-1], "mean": states.mean(0)}[kind]
    made = SentenceEncoder(folder).encode([TEXTS[0], TEXTS[2]])[0]  # beside a longer one
    assert np.allclose(made, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_an_encoder_reads_as_many_tokens_as_its_files_say(bert: Path, tmp_path: Path) -> None:
    folder = described(bert, tmp_path / "e", pooling=CLS, length={"max_seq_length": 8})
    assert layout(folder).max_tokens == 8
    made = SentenceEncoder(folder)
    same, other = made.encode(["tea " * 6, "tea " * 6 + "kettle"])
    assert np.allclose(same, other, atol=1e-5)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"pooling": CLS, "modules": ["Transformer", "Pooling", "Dense"]}, "has a Dense layer"),
        ({"pooling": {"pooling_mode_max_tokens": True}}, "found pooling_mode_max_tokens"),
        ({"pooling": CLS, "prompts": {"prompts": {"query": "query: "}}}, r"a prompt .*\(query\)"),
        ({}, r"lacks 1_Pooling/config.json"),
    ],
)
def test_an_encoder_that_would_be_served_wrongly_is_refused(
    bert: Path, tmp_path: Path, files: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        SentenceEncoder(described(bert, tmp_path / "e", **files))


def test_the_packaged_encoder_is_the_mean_of_256_tokens() -> None:
    assert layout(resolve("sentence-transformers/all-MiniLM-L6-v2").folder) == ("mean", 256)


def test_threads_may_share_an_encoder(encoder: SentenceEncoder) -> None:
    expected, wrong = encoder.encode(TEXTS), []

    def work() -> None:
        for _ in range(5):
            if not np.allclose(encoder.encode(TEXTS), expected, atol=1e-5):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_hash_encoder_puts_texts_with_shared_words_nearer() -> None:
    encoded = HashEncoder().encode(
        ["how to clean the kettle", "cleaning a kettle", "refund of my last order"]
    )
    near, far = encoded[0] @ encoded[1], encoded[0] @ encoded[2]
    assert near > far + 0.2


def test_hash_encoder_gives_the_zero_vector_for_a_text_without_words() -> None:
    assert not HashEncoder().encode(["?!"]).any()


def test_hash_encoder_is_the_same_in_every_process() -> None:
    code = (
        "import sys; from app.models.encoder import HashEncoder;"
        "print(HashEncoder(8).encode(['green tea']).tolist()); assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == str(HashEncoder(8).encode(["green tea"]).tolist())


def test_a_reference_becomes_the_encoder_that_it_names(bert: Path) -> None:
    from app.models.load import text_encoder

    assert text_encoder(resolve("scripted")).name == "hash"
    found = text_encoder(resolve(str(bert)))
    assert (found.name, found.dim) == (str(bert), 32)


@pytest.mark.slow
def test_packaged_minilm_knows_what_sentences_mean() -> None:
    encoder = SentenceEncoder(resolve("sentence-transformers/all-MiniLM-L6-v2").folder)
    encoded = encoder.encode(
        ["How do I get my money back?", "Refunds take five days.", "The kettle is blue."]
    )
    assert encoder.dim == 384
    assert encoded[0] @ encoded[1] > encoded[0] @ encoded[2] + 0.2


@pytest.mark.slow
def test_packaged_minilm_gives_the_cosines_of_sentence_transformers() -> None:
    """Those that its quickstart prints for this model and these three sentences."""
    encoder = SentenceEncoder(resolve("sentence-transformers/all-MiniLM-L6-v2").folder)
    a, b, c = encoder.encode(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    assert [round(float(x), 4) for x in (a @ b, a @ c, b @ c)] == [0.6660, 0.1046, 0.1411]
