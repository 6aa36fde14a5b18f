"""Which flow a message asks for, if any: a question about a matter is not the wish to do it.

"I want to return my mug" starts a flow, "how long can I send it back?" is for the articles. Rules
alone decide, flow by flow (each flow's `starts`): the same with every encoder, and readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from app.core.errors import InputError
from app.support import flows
from app.support.flows import heard
from app.support.flows.base import Flow, Tools

_ORDER = ("human", "complaint", "cancel", "change_address", "return", "order_status", "recommend")


@cache
def registry() -> Mapping[str, Flow]:
    """All flows by name: every module of this package that has a FLOW, ours first.

    Raises InputError, naming the file, for one that cannot be read or whose FLOW is no flow.
    """
    found: dict[str, Flow] = {}
    for module in iter_modules(flows.__path__):
        flow = _flow_of(module.name)
        if flow is not None and flow.name in found:
            raise InputError(f"flows/{module.name}.py: there is a flow {flow.name!r} already")
        if flow is not None:
            found[flow.name] = flow
    order = {name: place for place, name in enumerate(_ORDER)}
    return dict(sorted(found.items(), key=lambda pair: order.get(pair[0], len(order))))


def _flow_of(module: str) -> Flow | None:
    try:
        flow = getattr(import_module(f"{flows.__name__}.{module}"), "FLOW", None)
    except Exception as error:
        raise InputError(f"flows/{module}.py cannot be read: {error!r}") from error
    if flow is not None and not (isinstance(flow, Flow) and getattr(flow, "name", "")):
        raise InputError(
            f"flows/{module}.py: expected FLOW to be an instance of Flow with a name, such as "
            f"FLOW = MyFlow(), found {flow!r}"
        )
    return flow


def route(text: str, tools: Tools) -> Flow | None:
    """The flow that `text` starts, or None: then it is for the articles."""
    clean = heard.plain(text)
    for flow in registry().values():
        if flow.started(clean) and flow.available(tools) and not flow.asks_about(clean):
            return flow
    return None
