"""What is selected of that which waits."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from ansible_collections.civicops.town.plugins.module_utils._patch.manager import Plan, Policy, Update, why
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sampled_from(["openssl", "libssl3", "nginx", "nginx-core", "linux-image-amd64"])
PATTERNS = st.lists(NAMES | st.sampled_from(["*", "lib*", "linux-*", "nginx?core", "[no]*", "["]), max_size=3)
UPDATES = st.builds(
    Update, NAMES, st.sampled_from(["amd64", "all"]), st.just("1"), st.just("2"), st.none() | st.booleans(),
    source=st.none() | NAMES,
)  # fmt: skip
POLICIES = st.builds(Policy, st.sampled_from(["security", "all"]), PATTERNS.map(tuple), PATTERNS.map(tuple))


@given(policy=POLICIES, update=UPDATES, holds=st.sets(NAMES))
def test_whatever_is_denied_or_held_is_refused(policy: Policy, update: Update, holds: set[str]) -> None:
    refusal = policy.refusal(update, holds)
    names = [name for name in (update.name, update.source) if name is not None]
    if update.name in holds or any(fnmatchcase(name, one) for name in names for one in policy.deny):
        assert refusal in ("held by an administrator", "on the deny list")
    elif policy.allow and not any(fnmatchcase(name, one) for name in names for one in policy.allow):
        assert refusal == "not on the allow list"
    elif policy.scope == "security" and update.security is not True:
        assert refusal in ("no security update", "not known whether it is a security update")
    else:
        assert refusal is None


@pytest.mark.parametrize(
    ("security", "refusal"),
    [(True, None), (False, "no security update"), (None, "not known whether it is a security update")],
)
def test_the_scope_security_wants_it_known(security: bool | None, refusal: str | None) -> None:
    update = Update("a", "amd64", "1", "2", security)
    assert Policy().refusal(update, set()) == refusal
    assert Policy("all").refusal(update, set()) is None


def test_a_plans_rows_are_what_the_document_has_columns_for() -> None:
    plan = Plan([Update("a", "all", "1", "2", selected=True), Update("b", "all", "1", "2")])
    assert [one.name for one in plan.install] == ["a"]
    assert {len(row) for row in plan.table()["rows"]} == {len(plan.table()["columns"])}


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("Reading...\nE: a\nW: b\ndpkg: error processing c\n", "E: a / dpkg: error processing c"),
        ("one\n\n two \n", "one / two"),
        ("", ""),
        ("E: " + "x" * 5000, "E: " + "x" * 697),
    ],
)
def test_the_last_words_of_a_manager_that_failed(output: str, told: str) -> None:
    assert why(output) == told
