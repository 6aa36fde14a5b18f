"""The shop's customers, products and orders, as far as the help desk may see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, insert, select

from app.core.errors import InputError
from app.core.records import Row, pick, read_rows
from app.store.models import Base, Customer, Order, OrderLine, Product

if TYPE_CHECKING:
    from app.store.db import Store

_PRODUCTS = ("item", "title", "category", "price", "stock")
_CUSTOMERS = ("customer", "name", "email", "country", "language", "since")
_LINES = ("order", "customer", "date", "item", "quantity", "price", "status", "address")


class Counts(NamedTuple):
    """How much of the shop is in the database."""

    customers: int
    products: int
    orders: int
    lines: int


class Orders:
    """The demo's tables now; a shop's own system behind the same calls later."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def counts(self) -> Counts:
        """Rows of each table; zeros before the demo shop is loaded."""
        tables = (Customer, Product, Order, OrderLine)
        with self._store.read() as session:
            return Counts(
                *(session.scalar(select(func.count()).select_from(t)) or 0 for t in tables)
            )

    def load_demo(self, demo: Path) -> Counts:
        """Put the demo shop of the folder `demo` in place of what is there, in one transaction.

        Reads recommend/items.csv, shop/customers.csv and shop/orders.csv. Raises InputError with
        file and line; then nothing has changed.
        """
        products = [_product(row) for row in _read(demo / "recommend" / "items.csv", _PRODUCTS)]
        customers = [_customer(row) for row in _read(demo / "shop" / "customers.csv", _CUSTOMERS)]
        rows = _read(demo / "shop" / "orders.csv", _LINES)
        orders = list({row["order"]: _order(row) for row in rows}.values())
        tables: list[tuple[type[Base], list[dict[str, Any]]]] = [
            (Customer, customers), (Product, products), (Order, orders),
            (OrderLine, [_line(row) for row in rows]),
        ]  # fmt: skip
        with self._store.write() as session:
            for table, _ in reversed(tables):
                session.execute(delete(table))
            for table, values in tables:
                session.execute(insert(table), values)
        return self.counts()


def _read(path: Path, fields: tuple[str, ...]) -> list[Row]:
    return pick(read_rows(path), dict.fromkeys(fields, "required"), {})


def _cents(row: Mapping[str, Any]) -> int:
    try:
        return int(Decimal(row["price"]) * 100)
    except InvalidOperation as error:
        raise InputError(
            f"{row['_where']}: expected a price such as 4.90, found {row['price']!r}"
        ) from error


def _whole(row: Mapping[str, Any], field: str) -> int:
    try:
        return int(row[field])
    except ValueError as error:
        raise InputError(
            f"{row['_where']}: expected a whole number in {field!r}, found {row[field]!r}"
        ) from error


def _time(row: Mapping[str, Any], field: str) -> datetime:
    try:
        return datetime.fromisoformat(row[field]).replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(
            f"{row['_where']}: expected a date such as 2026-03-01, found {row[field]!r}"
        ) from error


def _product(row: Row) -> dict[str, Any]:
    stock = _whole(row, "stock") if row["stock"] else None
    return {"id": row["item"], "title": row["title"], "category": row["category"],
            "price_cents": _cents(row), "stock": stock}  # fmt: skip


def _customer(row: Row) -> dict[str, Any]:
    since: date = _time(row, "since").date()
    kept = {field: row[field] for field in ("name", "email", "country", "language")}
    return {"id": row["customer"], "since": since, **kept}


def _order(row: Row) -> dict[str, Any]:
    return {"id": row["order"], "customer_id": row["customer"], "ordered": _time(row, "date"),
            "status": row["status"], "address": row["address"]}  # fmt: skip


def _line(row: Row) -> dict[str, Any]:
    return {"order_id": row["order"], "product_id": row["item"],
            "quantity": _whole(row, "quantity"), "price_cents": _cents(row)}  # fmt: skip
