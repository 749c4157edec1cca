"""What a recipient is told of one matter, whatever happens in which order, deliveries that fail or overlap included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from civicops.alerts.matter import KEPT, LONGEST_PAUSE, REMIND_AFTER, Matter, identity, opened
from civicops.alerts.notice import Notice

START = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
PROBLEM = Notice("failure", "run:patch", "Patch run failed", "pc1: no space left")
OVER = Notice("failure", "run:patch", "Patch run went well", "", resolved=True)


def test_told_once_then_reminded_after_a_day_then_resolved() -> None:
    matter: Matter | None = opened(PROBLEM, START)
    assert matter is not None
    matter = matter.tried(START).told(matter, START)
    assert matter is not None
    assert matter.raised(PROBLEM, START + REMIND_AFTER - timedelta(seconds=1)) is matter
    reminded = matter.raised(PROBLEM, START + REMIND_AFTER)
    assert reminded.telling == "reminder"
    closed = reminded.closed(OVER, START + REMIND_AFTER)
    assert closed is not None
    assert closed.telling == "resolved"
    assert closed.told(closed, START + REMIND_AFTER) is None


def test_a_problem_that_nobody_heard_of_vanishes_when_it_is_over() -> None:
    assert opened(PROBLEM, START).closed(OVER, START) is None


def test_a_problem_that_was_tried_is_told_as_over() -> None:
    closed = opened(PROBLEM, START).tried(START).closed(OVER, START)
    assert closed is not None
    assert (closed.telling, closed.told_at) == ("resolved", None)


def test_over_and_back_before_anybody_heard_is_nothing_new() -> None:
    told = opened(PROBLEM, START).told(opened(PROBLEM, START), START)
    assert told is not None
    closed = told.closed(OVER, START)
    assert closed is not None
    assert closed.raised(PROBLEM, START).telling == "nothing"


def test_pauses_double_from_a_minute_to_an_hour() -> None:
    matter, pauses = opened(PROBLEM, START), []
    for _ in range(9):
        matter = matter.tried(START)
        assert matter.next_try_at is not None
        pauses.append((matter.next_try_at - START).total_seconds() / 60)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_clock_that_was_wrong_does_not_hold_a_message_back() -> None:
    matter = opened(PROBLEM, START).tried(START + timedelta(days=3650))
    assert matter.due(START)


def test_given_up_after_seven_days() -> None:
    matter = opened(PROBLEM, START)
    assert not matter.too_old(START + KEPT)
    assert matter.too_old(START + KEPT + timedelta(seconds=1))
    assert matter.given_up() is None


def test_keys_differ_in_every_character() -> None:
    keys = ["a", "A", "a ", "a\u202e", "a\udc80", "a" * 300, "a" * 301]
    names = {identity(Notice("failure", key, "", "")) for key in keys} | {identity(Notice("halt", "a", "", ""))}
    assert len(names) == len(keys) + 1


class OneRecipient(RuleBasedStateMachine):
    """A matter between a source and a recipient: tries succeed, fail, or arrive although they seem to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.matter: Matter | None = None
        self.really_open = False
        self.heard: list[str] = []
        self.flying: Matter | None = None

    @rule(minutes=st.integers(0, 3000))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def raise_it(self) -> None:
        self.really_open = True
        self.matter = self.matter.raised(PROBLEM, self.now) if self.matter else opened(PROBLEM, self.now)

    @rule()
    def resolve_it(self) -> None:
        self.really_open = False
        self.matter = self.matter.closed(OVER, self.now) if self.matter else None

    @precondition(lambda self: self.flying is None and self.matter is not None and self.matter.due(self.now))
    @rule()
    def begin_to_send(self) -> None:
        assert self.matter is not None
        self.flying = self.matter
        self.matter = self.matter.tried(self.now)

    @precondition(lambda self: self.flying is not None)
    @rule(arrives=st.booleans(), known=st.booleans())
    def end_to_send(self, arrives: bool, known: bool) -> None:
        sent, self.flying = self.flying, None
        assert sent is not None
        if arrives:
            self.heard.append("closed" if sent.telling == "resolved" else "open")
        if arrives and known and self.matter is not None:
            self.matter = self.matter.told(sent, self.now)

    @invariant()
    def the_next_try_is_never_far(self) -> None:
        if self.matter is not None and self.matter.next_try_at is not None:
            assert self.matter.next_try_at - self.now <= LONGEST_PAUSE

    @invariant()
    def in_the_end_the_recipient_knows(self) -> None:
        """Were everything delivered now, the last word that was heard would be true."""
        matter, heard, now = self.matter, list(self.heard), self.now
        if self.flying is not None:
            return
        for _ in range(3):
            if matter is not None and matter.waits:
                heard.append("closed" if matter.telling == "resolved" else "open")
                matter = matter.tried(now).told(matter, now)
        assert matter is None or not matter.waits
        assert ((heard or ["closed"])[-1] == "open") == self.really_open
        assert (matter is not None) == self.really_open


OneRecipient.TestCase.settings = settings(max_examples=300, stateful_step_count=25, deadline=None)
TestOneRecipient = OneRecipient.TestCase
