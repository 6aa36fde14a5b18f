"""perplexity: how surprised is the chat model by the answers that it should give?

Data: a support folder (its English questions) or a file of conversations that end with the answer.
Over a folder the prompt is what SupportChat gives its model for the question, with the passages
that search finds; the answer is the first gold answer, else the sentences of the gold articles that
state the facts, else, where no article answers, the sentence that declines. The loss is on the
answer's tokens and its end alone, in fp32. It tells what a model learnt, not what the product says:
grounding, quoting and thresholds play no part. Slices by kind. Systems: base, lora (--adapter DIR);
without options the released model, or the default base where the release quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from app.core import data as references
from app.core.errors import InputError
from app.core.files import release_dir, sha256_text
from app.core.kinds import Corpus, Query
from app.core.messages import Conversation, Message, Passage
from app.core.prompt import DECLINE, support_messages
from eval import batched, chats, engines, prompts, questions, runs
from eval.metrics import facts, perplexity
from eval.samples import Sample, Scored
from eval.task import Data, Request, System, Task

if TYPE_CHECKING:
    from app.models.transformers_chat import TransformersChat

Prompt = Callable[[Sample], Sequence[Message]]


class Gold(NamedTuple):
    """What stands around a question, and the answer whose tokens are measured."""

    history: list[Message]
    answer: str
    passages: Sequence[Passage] = ()
    """Given with a conversation; over a folder they are searched."""


class Surprise(NamedTuple):
    """Of one answer."""

    loss: float
    """Mean over the tokens, in nats."""
    tokens: int


class Built(NamedTuple):
    """The model under test."""

    model: TransformersChat
    name: str
    prompt: str
    """Template that it is asked with."""
    identity: dict[str, Any]


def read(ref: str) -> Data:
    """Answers to be given; the source is the corpus, None for conversations."""
    if not references.is_corpus(ref):
        rows = references.conversations(ref)
        return Data([_of_conversation(number, row) for number, row in enumerate(rows)], {})
    corpus = references.corpus(ref)
    english = [query for query in corpus.queries if query.lang == "en"]
    asked = questions.samples(ref, english, questions.Originals(corpus.docs))
    texts = {str(doc["id"]): str(doc["text"]) for doc in corpus.docs}
    samples = [_of_query(sample, texts) for sample in asked]
    kept = [sample for sample in samples if sample.source.answer]
    if not kept:
        raise InputError(f"{ref}: no English question has an answer, so there is nothing to read")
    return Data(kept, {}, corpus)


def build(request: Request, data: Data) -> System:
    """The language model, and how it is asked. Raises InputError for one without probabilities."""
    made = _model(request)
    prompt = _as_written(made.prompt) if data.source is None else _by_chat(made, data.source)

    def predict(samples: Sequence[Sample]) -> list[Surprise]:
        return [surprise(made.model, prompt(s), s.source.answer) for s in samples]

    return System(made.name, predict, made.identity | {"prompt": prompts.identity(made.prompt)})


def score(sample: Sample, said: Surprise | None) -> Scored:
    """The perplexity of one answer; a failure is the worst there is."""
    if said is None:
        words = max(1, len(sample.source.answer.split()))
        return Scored({"perplexity": perplexity.WORST, "tokens": words}, {})
    return Scored({"perplexity": perplexity.of_answer(said.loss), "tokens": said.tokens}, {})


def surprise(model: TransformersChat, messages: Sequence[Message], answer: str) -> Surprise:
    """The loss of `answer` after `messages`, on its tokens and the one that ends the turn.

    Raises InputError where both do not fit the model, or its chat template writes the turns before
    an answer otherwise than when it asks for one.
    """
    import torch

    asked, wanted = _tokens(model, messages, answer)
    room = getattr(model.model.config, "max_position_embeddings", None)
    if room is not None and len(asked) + len(wanted) > room:
        raise InputError(f"{len(asked)} + {len(wanted)} tokens do not fit {model.name} ({room})")
    with torch.inference_mode():
        ids = torch.tensor([[*asked, *wanted]], device=model.model.device)
        kept = len(wanted) + 1  # the logits at a place are of the token that follows
        logits = model.model(input_ids=ids, logits_to_keep=kept, use_cache=False).logits[0, :-1]
        gold = torch.tensor(wanted, device=logits.device)
        loss = torch.nn.functional.cross_entropy(logits.float(), gold)
    return Surprise(float(loss), len(wanted))


def _tokens(
    model: TransformersChat, messages: Sequence[Message], answer: str
) -> tuple[list[int], list[int]]:
    """Tokens of the prompt and of the answer, up to the end of its turn."""
    asked = model.prompt_ids(messages)
    turns = [*messages, Message(role="assistant", content=answer)]
    made = model.tokenizer.apply_chat_template(
        [turn.model_dump() for turn in turns], return_dict=True, sanitize_control_tokens=True
    )
    whole: list[int] = made["input_ids"]
    if whole[: len(asked)] != asked:
        raise InputError(f"{model.name}: its chat template changes the prompt behind an answer")
    wanted = whole[len(asked) :]
    ends = [place for place, token in enumerate(wanted) if token == model.tokenizer.eos_token_id]
    return asked, wanted[: ends[0] + 1] if ends else wanted


def _model(request: Request) -> Built:
    from app.models.adapters import read_card
    from app.support.build import CHAT

    adapter, served = request.adapter, engines.released("support")
    if request.system not in (None, "lora" if adapter else "base"):
        raise InputError("system `lora` and an adapter (--adapter DIR) go together")
    if adapter is not None:
        base = read_card(adapter).base
        return _loaded("lora", adapter, request.model or base.ref, base.sha256)
    if request.model or request.system or served is None or served.mode != "model":
        return _loaded("base", None, request.model or CHAT)
    folder = release_dir() / "support" if served.adapter_sha256 else None
    made = _loaded("released", folder, served.base.ref, served.base.sha256)
    return made._replace(identity=made.identity | {"release": served.id})


def _loaded(name: str, adapter: Path | None, ref: str, sha256: str | None = None) -> Built:
    """The model in fp32 with its adapter, which brings its prompt."""
    from app.models import adapters
    from app.models.load import chat_model, resolve

    weights = resolve(ref, sha256=sha256)
    version, identity = chats.BASE_PROMPT, {"model": engines.record(weights.record())}
    if adapter is not None:
        card = adapters.read_card(adapter)
        adapters.check(card, weights)
        version, identity["adapter"] = card.prompt_version, runs.adapter(adapter)
    model = chat_model(weights, adapter)
    if not hasattr(model, "prompt_ids"):
        raise InputError(f"{ref} gives no probabilities of tokens: expected a model with weights")
    return Built(cast("TransformersChat", model), name, version, identity)


def _by_chat(made: Built, corpus: Corpus) -> Prompt:
    """The prompt that the chat makes of a question, however sure it is of its passages."""
    from app.knowledge.retrieve import Knowledge
    from app.support.chat import SupportChat

    served = engines.released("support")
    encoder, made.identity["encoder"] = engines.encoder(None, served.encoder if served else None)
    knowledge = Knowledge.build(corpus.docs, encoder)
    chat = SupportChat(knowledge, "model", made.model, prompt_version=made.prompt, threshold=0.0)

    def prompt(sample: Sample) -> Sequence[Message]:
        found = batched.prompt(chat, (sample.text, sample.source.history))
        if found is None:
            raise InputError("the chat answers this question without its model")
        return found

    return prompt


def _as_written(version: str) -> Prompt:
    """The turns before the answer; with passages, the question is rendered over them."""

    def prompt(sample: Sample) -> Sequence[Message]:
        history, _, passages = sample.source
        if passages:
            return support_messages(sample.text, passages, history=history, version=version)
        return [*history, Message(role="user", content=sample.text)]

    return prompt


def _of_conversation(number: int, row: Conversation) -> Sample:
    *history, asked, answer = row.messages
    name = sha256_text(f"{number}\0{row.model_dump_json()}")[:16]
    gold = Gold(history, answer.content, row.passages)
    return Sample(name, asked.content, None, {}, gold)


def _of_query(sample: Sample, texts: Mapping[str, str]) -> Sample:
    """`sample` with its answer, which is empty where the gold articles state not all its facts."""
    from app.knowledge.split import sentences

    query: Query = sample.source
    every = [s for article in query.gold for s in sentences(texts[article])]
    stating = [next((s for s in every if facts.states(s, fact)), "") for fact in query.facts]
    if not query.gold:
        answer = DECLINE["en"]
    elif query.answers:
        answer = query.answers[0]
    else:
        answer = " ".join(dict.fromkeys(stating)) if stating and all(stating) else ""
    gold = Gold(questions.history(sample), answer)
    return sample._replace(gold=None, slices={"kind": query.kind}, source=gold)


TASK = Task(
    name="perplexity",
    summary="how surprised is the chat model by the answers that it should give?",
    data="demo:support#test",
    metrics=(perplexity.METRIC,),
    systems=("base", "lora"),
    packages=("app/support", "app/knowledge"),
    read=read,
    build=build,
    score=score,
)
