"""Several answers at once on one model: as if each were alone, and nothing of one in another."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.messages import Message
from app.models.base import Options
from app.models.batcher import Batcher, Ticket
from tests.helpers_models import CHATML, tiny_gpt2, tiny_llama

torch = pytest.importorskip("torch")

SYSTEM = "You are the help desk of an online shop. Answer from the passages only."
ENDLESS: frozenset[int] = frozenset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def llama(folder: Path):
    from app.models.transformers_chat import TransformersChat

    return TransformersChat(folder)


def talk(*texts: str, system: str = SYSTEM) -> list[Message]:
    """A conversation that its user began."""
    roles = itertools.cycle(("user", "assistant"))
    said = [Message(role=role, content=text) for role, text in zip(roles, texts)]  # noqa: B905
    return [Message(role="system", content=system), *said]


def ticket(prompt: Sequence[int], new: int = 12, stop: threading.Event | None = None) -> Ticket:
    """For rows that are stepped by hand, or by a batcher."""
    stopped = lambda: "cancelled" if stop and stop.is_set() else None  # noqa: E731
    return Ticket(prompt, Options(max_new_tokens=new), stopped, ENDLESS)


def alone(model, prompt: Sequence[int], count: int) -> list[int]:
    """What plain greedy decoding without any cache says."""
    ids = list(prompt)
    for _ in range(count):
        with torch.inference_mode():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def prompts(model, *lengths: int) -> list[list[int]]:
    """Random prompts of these lengths."""
    draw = torch.Generator().manual_seed(5)
    return [torch.randint(5, model.config.vocab_size, (n,), generator=draw).tolist()
            for n in lengths]  # fmt: skip


def stepped(rows, joins: dict[int, Ticket], leaves: dict[int, Ticket], steps: int):
    """Tokens of each ticket, where some join and leave before a given step."""
    said: dict[int, list[int]] = {}
    for number in range(steps):
        if number in leaves:
            rows.leave(leaves[number])
        if number in joins:
            rows.join(joins[number])
        for one, token in rows.step():
            said.setdefault(id(one), []).append(token)
    return said


def test_rows_that_join_and_leave_between_steps_say_what_each_says_alone(llama) -> None:
    rows = llama.rows
    asked = [ticket(p) for p in prompts(llama.model, 9, 40, 3, 21)]
    said = stepped(
        rows, {n * 3: one for n, one in enumerate(asked)}, {7: asked[0], 11: asked[2]}, 20
    )
    for one in asked:
        tokens = said[id(one)]
        assert tokens == alone(llama.model, one.prompt, len(tokens))
    assert [len(said[id(one)]) for one in asked] == [7, 17, 5, 11]


def test_a_long_prompt_is_read_in_pieces_between_the_tokens_of_others(
    llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.kv_rows.READ", 10)
    short, long = (ticket(p) for p in prompts(llama.model, 5, 95))
    said = stepped(llama.rows, {0: short, 1: long}, {}, 14)
    assert len(said[id(short)]) == 14  # a token at every step, whatever the other reads
    assert said[id(long)] == alone(llama.model, long.prompt, 14 - 10)


def test_a_batch_of_gpt2_and_a_model_with_windows_answer_alike(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    from app.models.transformers_chat import TransformersChat

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2(tmp_path / "gpt2"))
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(tmp_path / "gpt2")
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=8, initializer_range=0.3,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(tmp_path / "mistral")
    tokenizer.save_pretrained(tmp_path / "mistral")
    for name in ("gpt2", "mistral"):
        chat = TransformersChat(tmp_path / name)
        asked = [ticket(p) for p in prompts(chat.model, 12, 30)]
        said = stepped(chat.rows, dict(enumerate(asked)), {}, 9)
        for one in asked:
            assert said[id(one)] == alone(chat.model, one.prompt, len(said[id(one)])), name


def test_cancelling_one_disturbs_no_other(llama) -> None:
    stop, batcher = threading.Event(), Batcher(llama.rows)
    stops = (None, stop, None)
    one, gone, two = map(ticket, prompts(llama.model, 9, 14, 30), (30, 30, 30), stops)
    batcher.submit(one, gone, two)
    first = gone.out.get()
    stop.set()
    assert drained(gone.out)[-1] == "cancelled"
    for kept in (one, two):
        *tokens, finish = drained(kept.out)
        assert (tokens, finish) == (alone(llama.model, kept.prompt, 30), "length")
    assert first == alone(llama.model, gone.prompt, 1)[0]


def test_first_come_first_served_and_a_free_place_is_taken_at_once(folder: Path) -> None:
    from app.models.kv_rows import KVRows
    from app.models.loading import causal_model

    class Watched(KVRows):
        order: list[Ticket] = []  # noqa: RUF012
        most = 0

        def join(self, ticket: Ticket) -> None:
            super().join(ticket)
            self.order.append(ticket)
            self.most = max(self.most, len(self._reading) + len(self._writing))

    rows = Watched(causal_model(folder, "float32").eval(), most_rows=2)
    batcher = Batcher(rows)
    asked = [ticket(p, 4 + n) for n, p in enumerate(prompts(rows.model, 4, 9, 5, 7, 6))]
    batcher.submit(*asked)
    for n, one in enumerate(asked):
        assert len(drained(one.out)) == 4 + n + 1
    assert (rows.order, rows.most) == (asked, 2)


def test_the_memory_of_rows_has_a_bound_but_one_always_fits(
    llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.kv_rows.MOST_TOKENS", 64)
    large, small = (ticket(p, 10) for p in prompts(llama.model, 100, 5))
    assert llama.rows.room(large)
    llama.rows.join(large)
    assert not llama.rows.room(small)
    llama.rows.clear()
    llama.rows.join(small)
    assert llama.rows.room(small)


@pytest.mark.parametrize("need", [60, 100, 180])
def test_short_rows_that_join_beside_a_long_one_and_after_it_stay_within_the_bound(
    llama, monkeypatch: pytest.MonkeyPatch, need: int
) -> None:
    monkeypatch.setattr("app.models.kv_rows.MOST_TOKENS", 1024)
    monkeypatch.setattr("app.models.kv_rows._BLOCK", 64)
    rows, said = llama.rows, dict[int, list[int]]()

    def step() -> None:
        for one, token in rows.step():
            said.setdefault(id(one), []).append(token)
        keys = rows._slots.held[0].keys
        assert keys.shape[0] * keys.shape[2] <= 1024

    long, *short = (ticket(p, 30) for p in prompts(llama.model, 470, *[need - 30] * 17))
    joined = []
    rows.join(long)
    while not joined:  # the long one is read in pieces
        step()
        if id(long) in said:
            joined.append(short[0])
            rows.join(short[0])
    step()
    rows.leave(long)
    for one in short[1:]:
        if rows.room(one):
            joined.append(one)
            rows.join(one)
            step()
    assert len(joined) == min(16, 1024 // need)
    for one in joined:
        assert said[id(one)] == alone(llama.model, one.prompt, len(said[id(one)]))


class Sevens:
    """Rows of no model: each step writes a 7 for everybody. A short prompt fits beside others.

    broken: called with what is asked and for whom; it may raise.
    """

    def __init__(self, broken: Callable[[str, Ticket], None] = lambda *_: None) -> None:
        self.broken = broken
        self.held: list[Ticket] = []
        self.joined: list[Ticket] = []

    def room(self, ticket: Ticket) -> bool:
        self.broken("room", ticket)
        return not self.held or len(ticket.prompt) < 10

    def join(self, ticket: Ticket) -> None:
        self.broken("join", ticket)
        self.held.append(ticket)
        self.joined.append(ticket)

    def step(self) -> list[tuple[Ticket, int]]:
        time.sleep(0.001)
        return [(one, 7) for one in self.held]

    def leave(self, ticket: Ticket) -> None:
        self.held.remove(ticket)
        self.broken("leave", ticket)

    def clear(self) -> None:
        self.held.clear()


def fails(what: str, whose: Ticket) -> Callable[[str, Ticket], None]:
    def broken(asked: str, ticket: Ticket) -> None:
        if asked == what and ticket is whose:
            raise RuntimeError(f"{what}: out of memory")

    return broken


def test_an_error_while_one_is_stopped_is_heard_by_all_and_the_next_is_answered() -> None:
    stop = threading.Event()
    gone, other, later = ticket([1], 10**6, stop), ticket([1], 10**6), ticket([1], 3)
    batcher = Batcher(Sevens(fails("leave", gone)))
    batcher.submit(gone, other)
    assert (gone.out.get(timeout=20), other.out.get(timeout=20)) == (7, 7)
    stop.set()
    assert drained(gone.out)[-1] == "cancelled"
    assert str(drained(other.out)[-1]) == "leave: out of memory"
    batcher.submit(later)
    assert drained(later.out) == [7, 7, 7, "length"]


@pytest.mark.parametrize("what", ["room", "join"])
def test_who_cannot_be_let_in_alone_hears_why(what: str) -> None:
    first, refused, later = ticket([1], 300), ticket([2], 3), ticket([3], 3)
    batcher = Batcher(Sevens(fails(what, refused)))
    batcher.submit(first, refused, later)
    (error,) = drained(refused.out)
    assert str(error) == f"{what}: out of memory"
    assert drained(later.out) == [7, 7, 7, "length"]
    assert drained(first.out) == [7] * 300 + ["length"]


@pytest.mark.parametrize("waits", [True, False])
def test_a_reader_whose_stop_cannot_be_asked_alone_hears_why(waits: bool) -> None:
    broken, first = threading.Event(), ticket([1], 300)

    def stopped() -> None:
        if broken.is_set():
            raise RuntimeError("no stop")

    odd = Ticket([2] * (20 if waits else 1), Options(max_new_tokens=10**6), stopped, ENDLESS)
    batcher = Batcher(Sevens())
    batcher.submit(first, odd)
    assert first.out.get(timeout=20) == 7
    broken.set()
    *_, error = drained(odd.out)
    assert str(error) == "no stop"
    assert drained(first.out) == [7] * 299 + ["length"]


def test_who_is_stopped_in_a_full_queue_lets_nobody_overtake() -> None:
    end, left = threading.Event(), threading.Event()
    first, gone = ticket([1], 10**6, end), ticket([1], 3, left)
    large, small = ticket([1] * 20, 3), ticket([1], 3)
    rows = Sevens()
    batcher = Batcher(rows)
    batcher.submit(first, large, gone, small)
    assert first.out.get(timeout=20) == 7
    left.set()
    assert drained(gone.out) == ["cancelled"]
    for _ in range(5):  # there would be room for the small one
        first.out.get(timeout=20)
    assert rows.joined == [first]
    end.set()
    assert drained(small.out) == [7, 7, 7, "length"]
    assert rows.joined == [first, large, small]


def drained(out: SimpleQueue) -> list:
    """All up to the end of an answer."""
    items = []
    while True:
        item = out.get(timeout=20)
        items.append(item)
        if not isinstance(item, int):
            return items


# The prefix cache


def answered(chat, messages: list[Message], new: int = 12) -> str:
    return "".join(d.text for d in chat.stream(messages, Options(max_new_tokens=new)))


def test_the_second_turn_reads_only_what_is_new_and_says_the_same(llama, folder: Path) -> None:
    from app.models.transformers_chat import TransformersChat

    first = talk("How do I clean my kettle?")
    said = answered(llama, first)
    second = [*first, *after(said, "Where is my order?")]
    before, whole = llama.rows.read, len(llama.prompt_ids(second))
    again = answered(llama, second)
    assert llama.rows.read - before <= whole - len(llama.prompt_ids(first))
    assert again == answered(TransformersChat(folder), second)


def test_the_system_prompt_is_read_once_for_everybody(llama) -> None:
    answered(llama, talk("How do I clean my kettle?"))
    before = llama.rows.read
    other = talk("我可以退货吗？")
    answered(llama, other)
    assert llama.rows.read - before < len(llama.prompt_ids(other)) - 20
    before = llama.rows.read
    answered(llama, talk("我可以退货吗？", system="Another shop speaks here, and not like that."))
    assert llama.rows.read - before > 20


def test_how_fast_a_guess_is_read_does_not_tell_what_others_wrote(llama) -> None:
    secret = "My order number is FK-2041 and my card ends in 4242."
    answered(llama, talk(secret))
    costs = []
    for guess in (secret, secret[:-5] + "9999.", secret.replace("2041", "7777")):
        before = llama.rows.read
        answered(llama, talk(guess), new=1)
        costs.append(len(llama.prompt_ids(talk(guess))) - (llama.rows.read - before))
    assert len(set(costs)) == 1  # the system message, whether the guess is right or not


def after(said: str, asked: str) -> list[Message]:
    return [Message(role="assistant", content=said), Message(role="user", content=asked)]


def test_no_word_of_one_conversation_reaches_another(llama, folder: Path) -> None:
    from app.models.transformers_chat import TransformersChat

    canaries = [f"canary-{n:04d}-{'xyzw'[n % 4]}" for n in range(12)]
    said: dict[str, list[str]] = {c: [] for c in canaries}
    errors: list[BaseException] = []

    def user(canary: str) -> None:
        try:
            messages = talk(f"Remember {canary}. Refunds?")
            for turn in range(3):
                said[canary].append(answered(llama, messages, new=16))
                messages += after(said[canary][-1], f"And {canary} again, {turn}?")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=user, args=(c,)) for c in canaries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for canary in canaries:  # word for word what each would hear in a shop of their own
        shop = TransformersChat(folder)
        messages = talk(f"Remember {canary}. Refunds?")
        for turn, heard in enumerate(said[canary]):
            assert heard == answered(shop, messages, new=16), (canary, turn)
            messages += after(heard, f"And {canary} again, {turn}?")


def layers(tokens: Sequence[int]):
    """A layer whose keys are its tokens, so that it shows whose they are."""
    from app.models.prefix import Layer

    keys = torch.tensor(list(tokens), dtype=torch.float32)[None, None, :, None]
    return [Layer(keys, keys.clone())]


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=6),
    st.lists(st.integers(0, 2), min_size=1, max_size=8),
    st.integers(0, 8),
    st.one_of(st.none(), st.integers(1, 8)),
)
def test_only_what_the_same_tokens_gave_is_ever_reused(
    kept: list[list[int]], prompt: list[int], shared: int, opening: int | None
) -> None:
    from app.models.prefix import PrefixCache

    cache = PrefixCache()
    for tokens in kept:
        cache.keep(tokens, layers(tokens))
    asked = ticket(prompt)
    asked.shared, asked.opening = shared, opening
    known, found = cache.find(asked)
    assert known < len(prompt)
    assert [layer.keys.flatten().tolist() for layer in found] == [prompt[:known]] * bool(known)
    if opening is None or known < opening:
        assert known <= shared


def test_what_is_kept_is_bounded_and_the_least_recently_used_goes_first() -> None:
    from app.models.prefix import PrefixCache

    cache = PrefixCache(most_bytes=3 * 4 * 8)
    for first in (1, 2, 3):
        cache.keep([first] * 4, layers([first] * 4))
    used, later = ticket([1, 1, 1, 7]), ticket([2, 2, 2, 7])
    used.opening = later.opening = 1
    assert cache.find(used)[0] == 3
    cache.keep([4] * 4, layers([4] * 4))
    assert cache.bytes == 96
    assert cache.find(later)[0] == 0
    assert cache.find(used)[0] == 3


def test_a_longer_turn_takes_the_place_of_the_one_it_goes_on_from() -> None:
    from app.models.prefix import PrefixCache

    cache = PrefixCache()
    cache.keep([1, 2], layers([1, 2]))
    cache.keep([1, 2, 3], layers([1, 2, 3]))
    assert cache.bytes == 3 * 8


def test_no_more_than_so_many_conversations_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.models import prefix

    monkeypatch.setattr(prefix, "ENTRIES", 2)
    cache = prefix.PrefixCache()
    for first in (1, 2, 3):
        cache.keep([first] * 4, layers([first] * 4))
    oldest = ticket([1, 1, 1, 7])
    oldest.opening = 1
    assert cache.find(oldest)[0] == 0
    assert cache.bytes == 2 * 4 * 8
