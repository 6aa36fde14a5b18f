"""Several answers at once: who joins, who leaves, in what order; the engine itself only steps.

One thread a model, and only while somebody is being answered. Between two steps whoever was stopped
leaves, and those who wait join, first come, first served. A step serves everybody who has joined,
so one long answer keeps nobody waiting, and whoever leaves disturbs nobody.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

from app.models.base import Finish, Options


@dataclass(eq=False)
class Ticket:
    """An answer that is asked for. Its reader takes from `out` what the batcher puts there."""

    prompt: Sequence[int]
    options: Options
    stopped: Callable[[], Finish | None]
    """Asked between steps: why the answer is to end now, or None."""
    ends: frozenset[int]
    """Tokens that end a turn; they are not part of the answer."""
    shared: int = 0
    """Tokens at the start of the prompt that are the same in everybody's: the system message."""
    opening: int | None = None
    """Tokens up to the end of the first question, where an answer to it follows in the prompt."""
    out: SimpleQueue[int | Finish | BaseException] = field(default_factory=SimpleQueue)
    written: int = 0


class Rows(Protocol):
    """What an engine does for the answers under way. Called from one thread at a time."""

    def room(self, ticket: Ticket) -> bool:
        """Whether one more fits now; always where there is none."""
        ...

    def join(self, ticket: Ticket) -> None:
        """Begin with its prompt at the next step."""
        ...

    def step(self) -> list[tuple[Ticket, int]]:
        """Go on with all; the tokens that were written, at most one for each."""
        ...

    def leave(self, ticket: Ticket) -> None:
        """Forget it; what it read may be kept for a prompt that begins alike."""
        ...

    def clear(self) -> None:
        """Forget all, after an error."""
        ...


class Batcher:
    """Runs `rows` for all tickets that are submitted, until there is none left."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.stepped = time.monotonic()
        """When the last step ended: a model that hangs is known by it."""
        self._lock = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._active: list[Ticket] = []
        self._thread: threading.Thread | None = None

    def submit(self, *tickets: Ticket) -> None:
        """Put them in the queue. Their readers hear of everything, errors included."""
        with self._lock:
            self._waiting.extend(tickets)
            if self._thread is None:
                self.stepped = time.monotonic()
                self._thread = threading.Thread(target=self._run, daemon=True, name="answer")
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not (self._waiting or self._active):
                    self._thread = None
                    return
            try:
                self._let_go()
                self._let_in()
                if self._active:
                    self._step()
            except BaseException as error:  # the thread goes on: others may be waiting
                self._broke(error)
            self.stepped = time.monotonic()

    def _let_go(self) -> None:
        for ticket in list(self._active):
            try:
                end: Finish | BaseException | None = ticket.stopped()
            except Exception as error:  # its own: the others are asked for themselves
                end = error
            if end is not None:
                self._end(ticket, end)

    def _let_in(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        full = False
        for ticket in waiting:
            if self._waits(ticket, full):
                full = True  # nobody overtakes
                continue
            with self._lock:
                self._waiting.remove(ticket)

    def _waits(self, ticket: Ticket, full: bool) -> bool:
        """Whether it stays in the queue; else it joined, or its reader was told why it did not."""
        try:
            if finish := ticket.stopped():
                ticket.out.put(finish)
            elif full or not self.rows.room(ticket):
                return True
            else:
                self.rows.join(ticket)
                self._active.append(ticket)
        except BaseException as error:  # whatever it is: left in the queue it would be met again
            ticket.out.put(error)
        return False

    def _step(self) -> None:
        for ticket, token in self.rows.step():
            if token in ticket.ends:
                self._end(ticket, "stop")
                continue
            ticket.out.put(token)
            ticket.written += 1
            if ticket.written >= ticket.options.max_new_tokens:
                self._end(ticket, "length")

    def _broke(self, error: BaseException) -> None:
        for ticket in self._active:
            ticket.out.put(error)
        self._active.clear()
        self.rows.clear()

    def _end(self, ticket: Ticket, end: Finish | BaseException) -> None:
        self._active.remove(ticket)
        ticket.out.put(end)  # first: it is whole, whatever becomes of the others
        self.rows.leave(ticket)
