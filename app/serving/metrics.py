"""Counts and timings for /metrics (Prometheus): no text, no ids, a bounded set of labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0)


class Metrics:
    """The numbers of one application; each has its own registry."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "frontdesk_http_requests", "HTTP requests", ["route", "status"], registry=registry
        )
        self.turns = Counter(
            "frontdesk_turns", "Chat turns by how they ended", ["finish"], registry=registry
        )
        self.feedback = Counter(
            "frontdesk_feedback", "Thumbs", ["kind", "rating"], registry=registry
        )
        self.handoffs = Counter(
            "frontdesk_handoffs", "Hand-offs delivered to the desk", ["reason"], registry=registry
        )
        self.handoffs_failed = Counter(
            "frontdesk_handoffs_failed", "Hand-offs that could not be delivered", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "frontdesk_call_seconds", "Time of a call", ["call"], buckets=SECONDS, registry=registry
        )
        self.ready = Gauge(
            "frontdesk_ready", "1 where the feature answers", ["feature"], registry=registry
        )

    @contextmanager
    def timed(self, call: str) -> Iterator[None]:
        """Time the block, also where it raises."""
        with self.seconds.labels(call).time():
            yield

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
