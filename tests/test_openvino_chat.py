"""OpenVINO on our own merged GGUF: the contract, what is written, and faults that are found out."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.errors import AppError, InputError, NotFound
from app.core.files import read_json
from app.core.messages import Message
from app.core.release import Engine
from app.models import merged_gguf, openvino_chat, openvino_half, pick
from app.models.adapters import Card
from app.models.base import Options, complete
from app.models.weights import Weights, cached_sha256, from_folder
from deploy import chat_parity, export
from deploy.chat_parity import Probe, Unequal
from tests.helpers_models import ChatModelContract, tiny_gpt2, tiny_llama

OPENVINO = openvino_chat.installed()
needs = pytest.mark.skipif(not OPENVINO, reason=f"OpenVINO: {openvino_chat.INSTALL}")
ASKED = [
    [Message(role="user", content=text)]
    for text in ("returns?", "How do I clean my kettle?", "我可以退货吗？", "Can I pay by invoice?")
]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRONTDESK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """A tiny model whose weights F16 holds exactly, as it holds bf16's."""
    from safetensors.torch import load_file, save_file

    folder = tiny_llama(tmp_path_factory.mktemp("tiny"))
    file = folder / "model.safetensors"
    exact = {name: tensor.half().float() for name, tensor in load_file(file).items()}
    save_file(exact, file, metadata={"format": "pt"})
    return from_folder(str(folder), folder, "folder")


@pytest.fixture(scope="module")
def run(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose adapter changes what is said."""
    import torch

    from app.models import adapters
    from app.models.loading import causal_model
    from app.models.lora import attach_lora

    torch.manual_seed(1)
    model = attach_lora(causal_model(weights.folder, "float32"), rank=4, targets=["q_proj"])
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor, std=0.5)
    folder = tmp_path_factory.mktemp("run")
    card = Card(kind="chat", base=weights.record(), prompt_version="support/1")
    adapters.save(model, folder / "adapter", card)
    return folder


@pytest.fixture(scope="module")
def base(weights: Weights):
    from app.models.transformers_chat import TransformersChat

    return TransformersChat(weights.folder)


@pytest.fixture(scope="module")
def merged(weights: Weights, run: Path):
    from app.models.transformers_chat import TransformersChat

    return TransformersChat(weights.folder, run / "adapter")


@pytest.fixture(scope="module")
def chat(weights: Weights):
    return openvino_chat.OpenVINOChat(openvino_chat.merged_file(weights), weights.folder)


@pytest.fixture
def small_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_parity, "QUESTIONS", 3)
    monkeypatch.setattr(export, "DTYPES", ("float32",))


@pytest.fixture(scope="module")
def half(weights: Weights):
    """Weights in F16, sums in f32."""
    file = openvino_chat.merged_file(weights)
    return openvino_chat.OpenVINOChat(file, weights.folder, "float16")


@needs
class TestOpenVINO(ChatModelContract):
    @pytest.fixture
    def model(self, chat):
        return chat


@needs
class TestOpenVINOInHalfTheMemory(ChatModelContract):
    @pytest.fixture
    def model(self, half):
        return half


@needs
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_it_says_what_transformers_says_also_at_once(dtype: str, chat, half, base) -> None:
    engine = {"float32": chat, "float16": half}[dtype]
    assert engine.dtype == dtype
    options = Options(max_new_tokens=30)
    assert [said.text for said in engine.generate_batch(ASKED, options)] == [
        complete(base, messages, options) for messages in ASKED
    ]


@needs
def test_prompts_that_begin_alike_and_are_read_at_once_stay_apart(chat, base) -> None:
    # With OpenVINO's own prefix cache, a tenth of these came out wrong.
    from app.models.batcher import Ticket

    draw = random.Random(1)
    prompt, more = ([draw.randrange(5, 330) for _ in range(n)] for n in (60, 24))
    asked = [Ticket([*prompt, *more[:n]], Options(max_new_tokens=1), lambda: None, frozenset())
             for n in range(24)]  # fmt: skip
    chat._batcher.submit(*asked)
    assert [ticket.out.get(timeout=20) for ticket in asked] == base.predicted(prompt, more)
    assert chat.predicted(prompt, more) == base.predicted(prompt, more)


@needs
def test_a_dtype_that_does_not_compile_falls_back_to_f32(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compiled = openvino_chat._compiled

    def without_bf16(file: Path, dtype: str):
        if dtype == "bfloat16":
            raise RuntimeError("bf16 is not supported\nhere")
        return compiled(file, dtype)

    monkeypatch.setattr(openvino_chat, "_compiled", without_bf16)
    file = openvino_chat.merged_file(weights)
    found = openvino_chat.OpenVINOChat(file, weights.folder, "bfloat16")
    assert found.dtype == "float32"
    assert "bf16 is not supported" in caplog.text


# Weights in F16


def compiled_weights(graph: Path) -> set[str]:
    """Types of the matrices that OpenVINO multiplies with, once compiled."""
    import openvino

    core = openvino.Core()
    asked = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    runs = core.compile_model(core.read_model(graph), "CPU", asked).get_runtime_model()
    return {
        node.input(1).get_source_output().get_element_type().to_string()
        for node in runs.get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    }


@needs
def test_marked_matrices_stay_in_f16_and_others_are_widened(
    weights: Weights, tmp_path: Path
) -> None:
    made = openvino_half.folder(openvino_chat.merged_file(weights))
    assert compiled_weights(made / openvino_half.GRAPH) == {"f16"}
    text = (made / openvino_half.GRAPH).read_text()
    plain = tmp_path / openvino_half.GRAPH
    plain.write_text(re.sub("<rt_info><attribute name=.decompression.*?</rt_info>", "", text))
    shutil.copy(made / openvino_half.VALUES, tmp_path)
    assert compiled_weights(plain) == {"f32"}
    assert openvino_half.marked(plain) == 2 * 7 + 1  # two layers, and words
    assert compiled_weights(plain) == {"f16"}


@needs
def test_openvinos_form_is_made_once_and_anew_where_it_was_changed(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = openvino_chat.merged_file(weights)
    made = openvino_half.folder(file)
    values = (made / openvino_half.VALUES).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(openvino_half, "_saved", None)  # whoever calls it fails
        assert openvino_half.folder(file) == made
    (made / openvino_half.VALUES).write_bytes(values[:-1])
    assert (openvino_half.folder(file) / openvino_half.VALUES).read_bytes() == values
    assert [path.name for path in made.parent.iterdir() if path.is_dir()] == [made.name]


def no_room(_: Path) -> Path:
    raise OSError(28, "no room")


@needs
def test_a_graph_without_f16_is_refused_and_f32_serves(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    graph = tmp_path / "graph.xml"
    graph.write_text("<net><layers><layer type='Const'/></layers></net>")
    with pytest.raises(AppError, match="no matrix in F16 to keep: serve float32 instead"):
        openvino_half.marked(graph)
    file = openvino_chat.merged_file(weights)
    for why in (lambda _: openvino_half.marked(graph), no_room):
        monkeypatch.setattr(openvino_half, "folder", why)
        assert openvino_chat.OpenVINOChat(file, weights.folder, "float16").dtype == "float32"
    assert "OpenVINO in float16 failed (no matrix" in caplog.text.replace(f"{graph} has ", "")
    assert "OpenVINO in float16 failed ([Errno 28] no room)" in caplog.text


def test_without_openvino_the_command_that_installs_it_is_named(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_chat, "installed", lambda: False)
    with pytest.raises(NotFound, match=r"not installed here: pip install -e '\.\[cpu\]'"):
        openvino_chat.OpenVINOChat(Path("x.gguf"), weights.folder)


# The file


def test_the_same_weights_give_the_same_bytes(merged, tmp_path: Path) -> None:
    for name in ("one", "two"):
        merged_gguf.write(merged.model, merged.tokenizer, tmp_path / name, "tiny")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert merged_gguf.differs(tmp_path / "one", merged.model, merged.tokenizer) is None


def test_a_model_without_gguf_here_is_refused_by_its_type(tmp_path: Path) -> None:
    from app.models.loading import causal_model, tokenizer

    model = causal_model(tiny_gpt2(tmp_path), "float32")
    with pytest.raises(InputError, match="GGUF of a gpt2: expected one of llama"):
        merged_gguf.write(model, tokenizer(tmp_path), tmp_path / "x.gguf", "x")


@pytest.mark.slow
def test_metadata_of_the_packaged_model_is_that_of_its_own_file(tmp_path: Path) -> None:
    from gguf import GGUFReader

    from app.models.loading import causal_model, tokenizer
    from app.models.packaged import shipped
    from app.models.references import resolve

    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    folder, file = resolve(name).folder, shipped(name)
    assert file is not None
    merged_gguf.write(causal_model(folder, "float32"), tokenizer(folder), tmp_path / "f", name)
    ours, theirs = GGUFReader(tmp_path / "f"), GGUFReader(file)
    for key, field in theirs.fields.items():
        if key.startswith(("llama.", "tokenizer.")):
            found = ours.get_field(key)
            assert found is not None, key
            assert found.contents() == field.contents(), key


# Planted faults


def unpermuted(values, heads: int):
    del heads
    return values


FAULTS = {
    "the base instead of the merged weights": "has other values than the merged weights",
    "rows of q and k as they were": "has other values than the merged weights",
    "another dtype": "is F32, expected F16",
    "another template": "its chat template is another",
    "a tensor left out": "it lacks output_norm.weight",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_not_what_was_evaluated_is_refused(
    fault: str, base, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tensors, half = merged_gguf.write, merged_gguf._tensors, merged_gguf._half

    def planted(model, tokenizer, file: Path, name: str) -> None:
        with monkeypatch.context() as patch:
            if fault.startswith("the base"):
                model = base.model
            elif fault.startswith("rows"):
                patch.setattr(merged_gguf, "_in_pairs", unpermuted)
            elif fault == "another dtype":
                patch.setattr(merged_gguf, "_half", lambda a, n: half(a, n).astype("float32"))
            elif fault == "another template":
                patch.setattr(tokenizer, "chat_template", tokenizer.chat_template + " ")
            else:
                patch.setattr(merged_gguf, "_tensors", lambda m: (
                    t for t in tensors(m) if t.name != "output_norm.weight"))  # fmt: skip
            write(model, tokenizer, file, name)

    monkeypatch.setattr(merged_gguf, "write", planted)
    with pytest.raises(Unequal, match=FAULTS[fault]):
        export.export(str(run), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


class Said:
    """An engine that runs `model`'s weights, whatever file it was given."""

    def __init__(self, model, dtype: str) -> None:
        self.predicted, self.answers, self.dtype = model.predicted, model.answers, dtype


def test_an_engine_that_ignores_the_adapter_is_refused(base, merged) -> None:
    probe = Probe(merged, ASKED)
    assert probe.compare(Said(merged, "float32"), exact=True)["top1_agreement"] == 1.0
    with pytest.raises(Unequal, match="the adapter is not in what this engine runs"):
        export.engines(probe, lambda dtype: Said(base, dtype), "0" * 64)


def test_half_precision_that_differs_is_left_out_and_f32_stays(base, merged) -> None:
    probe = Probe(merged, ASKED)
    load = {"float32": merged, "bfloat16": base, "float16": base}
    found = export.engines(probe, lambda dtype: Said(load[dtype], dtype), "0" * 64)
    assert [(e.engine, e.dtype) for e in found] == [("openvino", "float32")]


def test_an_engine_that_is_right_alone_and_wrong_with_others_is_refused(base, merged) -> None:
    engine = Said(merged, "float32")
    engine.answers = base.answers
    with pytest.raises(Unequal, match=r"found 100\.0% of \d+ tokens, \d+\.\d% with all asked"):
        Probe(merged, ASKED).compare(engine, exact=False)


def test_a_dtype_that_became_another_is_not_listed(merged) -> None:
    found = export.engines(Probe(merged, ASKED), lambda _: Said(merged, "float32"), "0" * 64)
    assert [engine.dtype for engine in found] == ["float32"]


def test_more_than_one_wrong_token_in_a_hundred_is_too_many_but_ties_do_not_count(merged) -> None:
    class Sometimes(Said):
        def __init__(self, wrong: int) -> None:
            super().__init__(merged, "float32")
            self.wrong, self.predicted = wrong, self.told

        def told(self, prompt: Sequence[int], answer: Sequence[int]) -> list[int]:
            del prompt
            said = [token + 1 if n < self.wrong else token for n, token in enumerate(answer)]
            self.wrong = 0
            return said

    probe = Probe(merged, ASKED)
    first = probe._said[0]
    assert len(first.answer) >= 3
    with pytest.raises(Unequal):
        probe.compare(Sometimes(3), exact=False)
    probe._said[0] = first._replace(tied=[True] * len(first.answer))
    assert probe.compare(Sometimes(3), exact=False)["top1_agreement"] == 1.0


# The command, and what is served


@needs
@pytest.mark.usefixtures("small_probe")
def test_a_run_is_exported_with_its_parity(run: Path, merged, weights, tmp_path: Path) -> None:
    found = export.export(str(run), tmp_path / "out")
    assert read_json(tmp_path / "out" / "export.json")["sha256"] == found.sha256
    assert cached_sha256(tmp_path / "out" / "model.gguf") == found.sha256
    (engine,) = found.engines
    assert (engine.engine, engine.dtype) == ("openvino", "float32")
    assert engine.parity["top1_agreement"] >= 0.99
    assert engine.parity["sha256"] == found.sha256
    engine_chat = openvino_chat.OpenVINOChat(tmp_path / "out" / "model.gguf", weights.folder)
    prompt = merged.prompt_ids(ASKED[0])
    assert engine_chat.greedy(prompt, 5) == merged.greedy(prompt, 5)
    with pytest.raises(InputError, match="is there already: name another --out"):
        export.export(str(run), tmp_path / "out")


def test_an_unknown_format_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no export format 'onnx': there is gguf"):
        export.export("scripted", tmp_path / "out", "onnx")


@needs
def test_the_probe_chooses_among_the_engines_that_the_release_lists(
    weights: Weights, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = cached_sha256(openvino_chat.merged_file(weights, run / "adapter"))
    fast = {"openvino/float32": 1.0, "openvino/bfloat16": 3.0, "openvino/float16": 0.5,
            "transformers/float32": 2.0}  # fmt: skip
    monkeypatch.setattr(pick.dtypes, "choose", lambda *_: "float32")

    def chosen(*listed: Engine) -> str:
        makers = pick.candidates(weights, run / "adapter", listed)
        monkeypatch.setattr(pick, "remembered", lambda *_: {pair: fast[pair] for pair in makers})
        best = pick.best(weights, run / "adapter", listed)
        return f"{type(best).__name__} {getattr(best, 'dtype', 'float32')}"

    right = [Engine(engine="openvino", dtype=d, parity={"sha256": sha256})
             for d in ("float32", "bfloat16", "float16")]  # fmt: skip
    assert chosen() == "TransformersChat float32"
    assert chosen(*right) == "OpenVINOChat float16"
    assert chosen(*right[:2]) == "OpenVINOChat float32"
    assert chosen(right[1]) == "TransformersChat float32"
    changed = Engine(engine="openvino", dtype="float32", parity={"sha256": "0" * 64})
    assert chosen(changed) == "TransformersChat float32"


def test_the_cost_of_an_engine_is_measured_on_its_own_weights(base) -> None:
    cost = pick._cost(lambda: base)
    assert 0 < cost < 60

    def broken():
        raise RuntimeError("no such kernel")

    assert pick._cost(broken) > 1e6
