"""The tables. A change here needs a migration (tests/test_migrations.py compares the two).

Types are those that SQLite and PostgreSQL share. Ids are random texts, so that they can be shown to
their owner without telling how many there are. Times are UTC, money is in cents.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

ID = String(64)
OWNER = String(128)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware time in UTC on every database: SQLite itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Constraints carry names, so that migrations can drop them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UTCDateTime, dict[str, Any]: JSON, list[Any]: JSON}


def new_id() -> str:
    """A random id of 32 hex digits."""
    return uuid4().hex


def utc_now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


def after_all(session: Session, column: InstrumentedAttribute[datetime]) -> datetime:
    """Now, or just after the latest of `column` where the clock went back: a time never returns."""
    latest = session.scalar(select(func.max(column)))
    return max(utc_now(), latest + timedelta(microseconds=1)) if latest else utc_now()


class Conversation(Base):
    """A chat of one owner."""

    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(OWNER, index=True)
    language: Mapped[str] = mapped_column(String(8))
    created: Mapped[datetime] = mapped_column(default=utc_now)
    updated: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    title: Mapped[str | None] = mapped_column(String(200))
    """As its owner renamed it; none: the beginning of its first question."""
    memory: Mapped[dict[str, Any] | None]
    """app.core.memory.Memory as JSON; none before the first answer."""
    handled_by: Mapped[str | None] = mapped_column(String(64))
    """Name of the agent who has taken it over; none: the bot answers."""


class Message(Base):
    """A turn of a conversation (kind "chat"), or a classified text (kind "sentiment", no chat)."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("conversation_id", "position"),
        CheckConstraint("kind in ('chat', 'sentiment')", name="kind"),
        CheckConstraint("role in ('user', 'assistant')", name="role"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16), default="chat")
    owner: Mapped[str] = mapped_column(OWNER, index=True)
    conversation_id: Mapped[str | None] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE")
    )
    position: Mapped[int | None]
    """0, 1, ... in its conversation; none for a classified text."""
    role: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)
    predicted: Mapped[str | None] = mapped_column(String(128))
    """The label given to a classified text."""
    citations: Mapped[list[Any]] = mapped_column(default=list)
    release: Mapped[str | None] = mapped_column(String(128))
    prompt_version: Mapped[str | None] = mapped_column(String(64))
    finish: Mapped[str | None] = mapped_column(String(16))
    """stop, length, declined; cancelled and error keep what was said until then. Of a question:
    "replaced" where the next question took its place (app.store.branches)."""
    confidence: Mapped[float | None]
    intent: Mapped[str | None] = mapped_column(String(64))
    """What the turn was taken for: a flow's name, question, small_talk ... Of answers alone."""
    author: Mapped[str | None] = mapped_column(String(64))
    """Name of the agent who wrote it; none: the customer or the bot, by role."""
    created: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class Feedback(Base):
    """What an owner thinks of one message; given again, it replaces what was there."""

    __tablename__ = "feedback"
    __table_args__ = (
        UniqueConstraint("message_id", "owner"),
        CheckConstraint("rating in (-1, 1)", name="rating"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    owner: Mapped[str] = mapped_column(OWNER)
    rating: Mapped[int]
    reason: Mapped[str | None] = mapped_column(Text)
    correction: Mapped[str | None] = mapped_column(Text)
    consent: Mapped[bool]
    """Whether it may be trained on; false unless the box was ticked."""
    created: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class User(Base):
    """Somebody who can log in."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role in ('customer', 'agent', 'admin')", name="role"),)

    name: Mapped[str] = mapped_column(ID, primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(default=utc_now)


class Login(Base):
    """A session of a user, by the hash of its token."""

    __tablename__ = "logins"

    token_sha256: Mapped[str] = mapped_column(ID, primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    expires: Mapped[datetime] = mapped_column(index=True)


class Customer(Base):
    """A customer of the shop (not a visitor of the chat: those are only an `owner`)."""

    __tablename__ = "customers"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), index=True)
    country: Mapped[str] = mapped_column(String(2))
    language: Mapped[str] = mapped_column(String(8))
    since: Mapped[date]


class Product(Base):
    """Something the shop sells."""

    __tablename__ = "products"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    category: Mapped[str] = mapped_column(String(100))
    price_cents: Mapped[int]
    stock: Mapped[int | None]


class Order(Base):
    """What a customer ordered at once."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    customer_id: Mapped[str] = mapped_column(
        ForeignKey("customers.id", ondelete="CASCADE"), index=True
    )
    ordered: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(16))
    """placed, packed, shipped, delivered or cancelled."""
    address: Mapped[str] = mapped_column(Text)


class OrderLine(Base):
    """One product of an order, at the price of that day."""

    __tablename__ = "order_lines"

    order_id: Mapped[str] = mapped_column(
        ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True
    )
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"), primary_key=True)
    quantity: Mapped[int]
    price_cents: Mapped[int]
    """Of one piece."""


class Return(Base):
    """Pieces of one order that a customer sends back."""

    __tablename__ = "returns"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"))
    quantity: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(default=utc_now)


class Write(Base):
    """A change of an order that was made, by its idempotency key."""

    __tablename__ = "writes"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    """cancel, change_address or return."""
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    result: Mapped[str] = mapped_column(ID)
    """Id of what was written."""
    created: Mapped[datetime] = mapped_column(default=utc_now)


class Ticket(Base):
    """A conversation handed to a person."""

    __tablename__ = "tickets"
    __table_args__ = (CheckConstraint("status in ('open', 'taken', 'closed')", name="status"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    conversation_id: Mapped[str | None] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    owner: Mapped[str] = mapped_column(OWNER, index=True)
    """Of the conversation."""
    status: Mapped[str] = mapped_column(String(16), default="open", index=True)
    reason: Mapped[str] = mapped_column(String(32))
    priority: Mapped[int] = mapped_column(default=0)
    """Higher comes first."""
    packet: Mapped[dict[str, Any]]
    """app.core.desk.Packet as JSON."""
    agent: Mapped[str | None] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    updated: Mapped[datetime] = mapped_column(default=utc_now)


class Curated(Base):
    """An answer that an agent wrote: it comes before the model and the articles."""

    __tablename__ = "curated"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(8))
    author: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(default=utc_now)
    updated: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class Article(Base):
    """A help article that was ingested."""

    __tablename__ = "articles"
    __table_args__ = (CheckConstraint("visibility in ('public', 'agents')", name="visibility"),)

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    """Path of its file from the folder that was ingested, whose name is the first part."""
    sha256: Mapped[str] = mapped_column(ID)
    """Of the file and of how it was read (app.knowledge.ingest.run)."""
    title: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(8))
    visibility: Mapped[str] = mapped_column(String(16), default="public")
    url: Mapped[str] = mapped_column(Text, default="")
    questions: Mapped[list[Any]] = mapped_column(default=list)
    """Questions that it is known to answer: a field of their own in retrieval."""
    updated: Mapped[datetime] = mapped_column(default=utc_now, index=True)
