"""Tickets: only this run's own opens, only for its host, and nothing that a hostile variable holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible._internal._datatag._tags import Origin, TrustedAsTemplate
from ansible.errors import AnsibleActionFail
from ansible_collections.civicops.town.plugins.plugin_utils import ticket
from hypothesis import given
from hypothesis import strategies as st

MEANT = {"town": "riverton", "run": "r1", "job": "wait", "host": "web1", "check": False}


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ticket, "_key", b"")
    ticket.new_seal()
    yield


def a_ticket(**more: Any) -> ticket.Ticket:
    values: dict[str, Any] = MEANT | {"until": "02:00", "deadline": ticket.boottime() + 60, "needed": 5.0}
    return ticket.Ticket(**(values | {"may_start": True, "adopts": False} | more))


def tagged(value: Any) -> Any:
    """A value as Ansible hands it on from an extra variable or a template."""
    if isinstance(value, dict):
        return {tagged(key): tagged(item) for key, item in value.items()}
    mark = Origin(description="<extra vars>")
    return TrustedAsTemplate().tag(mark.tag(value)) if isinstance(value, str) else mark.tag(value)


def test_a_ticket_opens_for_what_it_was_given() -> None:
    given_one = a_ticket()
    assert ticket.opened(ticket.seal(given_one), **MEANT) == given_one
    assert ticket.opened(tagged(ticket.seal(given_one)), **MEANT) == given_one


@pytest.mark.parametrize("field", ["town", "run", "job", "host", "check"])
def test_a_ticket_for_something_else_opens_nothing(field: str) -> None:
    other: Any = True if field == "check" else "other"
    with pytest.raises(AnsibleActionFail, match="another host or run"):
        ticket.opened(ticket.seal(replace(a_ticket(), **{field: other})), **MEANT)


@pytest.mark.parametrize("field", [name for name in asdict(a_ticket()) if name != "seal"])
def test_a_changed_ticket_opens_nothing(field: str) -> None:
    value = ticket.seal(a_ticket())
    changed: Any = not value[field] if isinstance(value[field], bool) else 1e12
    with pytest.raises(AnsibleActionFail, match="not one of this run"):
        ticket.opened(value | {field: changed}, **MEANT)


def test_a_ticket_of_another_process_opens_nothing() -> None:
    value = ticket.seal(a_ticket())
    ticket.new_seal()
    with pytest.raises(AnsibleActionFail, match="not one of this run"):
        ticket.opened(value, **MEANT)


def test_without_the_callback_no_ticket_is_given_or_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    value = ticket.seal(a_ticket())
    monkeypatch.setattr(ticket, "_key", b"")
    for use in (lambda: ticket.opened(value, **MEANT), lambda: ticket.seal(a_ticket())):
        with pytest.raises(AnsibleActionFail, match="callbacks_enabled"):
            use()


def test_the_key_is_in_no_environment() -> None:
    assert not [name for name, value in os.environ.items() if value and ticket._key.hex() in value]


def test_an_expired_ticket_has_nothing_left() -> None:
    assert ticket.opened(ticket.seal(a_ticket(deadline=ticket.boottime() - 5)), **MEANT).remaining == 0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(value=ANYTHING, seal=ANYTHING)
def test_whatever_a_variable_holds_it_opens_nothing(value: Any, seal: Any) -> None:
    for one in (value, asdict(a_ticket()) | {"seal": seal}, {"seal": seal, "x": value}):
        with pytest.raises(AnsibleActionFail):
            ticket.opened(one, **MEANT)
