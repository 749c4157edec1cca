"""What a morning report says of each host and of the night: by the last word, and never better than what is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.report.nights import (
    CHANCE,
    SHA,
    Evening,
    groups_of_sixty,
    patch_body,
    probe,
    reboot,
    rollback,
    sixty,
    town_parts,
    updates_body,
)
from tests.unit.towns import MakeTown

from civicops.ledger.store import Ledger
from civicops.report.night import Night
from civicops.report.night_collect import collect_night, newest_run, with_chances
from civicops.report.night_words import words_of
from civicops.runs.journal import NoSuchRunError
from civicops.state import TownState

Read = Callable[[Evening], Night]
NONE = {"columns": ["name", "arch", "before", "after"], "rows": []}
IDLE = {"changes": NONE, "restarts": {"done": [], "failed": [], "left": []}, "away_at_most": 0.0}


@pytest.fixture
def read(state: TownState, make_town: MakeTown) -> Read:
    town = make_town(zone="America/New_York")

    def written(evening: Evening) -> Night:
        with Ledger("riverton", state=state) as ledger:
            evening.write(ledger)
            return collect_night(ledger, town, evening.run)

    return written


def of_web1(read: Read, *, ended: str | None = "changed", **work: Any) -> Night:
    """A night in which web1 alone was let through, and told this."""
    evening = Evening()
    evening.begun("web1")
    evening.patched("web1", **work)
    if ended is not None:
        evening.ended({"web1": ended})
    return read(evening)


@pytest.mark.parametrize(
    ("outcome", "becomes", "plain"),
    [
        ("done", "done", None),
        ("failed", "failed", "not well after the work, and not taken back"),
        ("interrupted", "failed", "interrupted in the middle of the work, which is not finished"),
        ("rolled_back", "rolled_back", "not well with the updates, so they were taken back; it is as it was before"),
        ("refused", "put_off", "left for another night: its time had run out before anything began"),
        ("overrun", "overrun", "done, but later than it was allowed to"),
        ("running", "running", "still being worked on when last heard of"),
        ("unknown", "unknown", "not known: the work began and told no end"),
    ],
)
def test_each_outcome_has_its_state_and_plain_words(read: Read, outcome: str, becomes: str, plain: str | None) -> None:
    night = of_web1(read, outcome=outcome)
    words = words_of(night)
    assert (night.hosts[0].state, night.counts) == (becomes, {becomes: 1})
    assert [line.what for line in words.left] == ([plain] if plain else [])
    assert (words.done, words.wanted) == (int(becomes == "done"), 1)
    assert bool(words.alarms) == (becomes in ("failed", "running", "unknown", "overrun"))


Write = Callable[[Evening], None]


@pytest.mark.parametrize(
    ("write", "becomes", "reason"),
    [
        (lambda night: None, "unknown", "no word came from it"),
        (lambda night: night.opened("web1"), "unknown", "it told no end"),
        (lambda night: night.refused("web1", "late", "12 min are left"), "put_off", "12 min are left"),
        (lambda night: night.refused("web1", "observe_only", "never changed"), "left_alone", "never changed"),
        (
            lambda night: night.refused("web1", "observe_only", "not in the inventory"),
            "put_off",
            "not in the inventory",
        ),
        (lambda night: (night.refused("web1", "pair"), night.patched("web1")), "done", ""),
        (lambda night: (night.patched("web1"), night.refused("web1", "halt")), "done", ""),
        (lambda night: night.contact("web1", "unreachable"), "unreachable", "No route to host"),
        (lambda night: night.contact("web1", "unreachable", ignored=True), "unreachable", "No route to host"),
        (lambda night: night.contact("web1", "failed", "no python"), "failed", "no python"),
        (lambda night: (night.patched("web1"), night.contact("web1", "failed", "Close")), "done", ""),
        (lambda night: (night.patched("web1"), night.contact("web1", "unreachable")), "unreachable", "No route"),
        (lambda night: (night.contact("web1", "unreachable"), night.patched("web1")), "done", ""),
        (lambda night: (night.patched("web1", "running"), night.patched("web1", adopted=True)), "done", ""),
        (lambda night: (night.patched("web1"), night.patched("web1", "unknown")), "unknown", ""),
        (
            lambda night: (
                night.patched("web1"),
                night.add("patch", "web1", {"bytes": 9}, status="rejected", reason="too large"),
            ),
            "failed",
            "its answer was refused: too large",
        ),
        (
            lambda night: night.add("patch", "web1", {}, version=9, status="pending", reason="reads patch up to 1"),
            "unknown",
            "reads patch up to 1",
        ),
    ],
)
def test_the_last_word_counts_and_none_is_not_known(read: Read, write: Write, becomes: str, reason: str) -> None:
    evening = Evening()
    evening.begun("web1")
    write(evening)
    evening.ended({"web1": "ok"})
    (host,) = read(evening).hosts
    assert host.state == becomes
    assert reason in host.reason


def test_a_host_that_the_run_itself_calls_unreachable_is_not_done(read: Read) -> None:
    assert of_web1(read, ended="unreachable").hosts[0].state == "unreachable"


def test_a_blocked_host_says_what_it_takes_and_was_not_touched(read: Read) -> None:
    blockers = [{"code": "disk", "text": "/var is full"}, {"code": "backup", "text": "3 days old"}]
    night = of_web1(read, outcome="blocked", blockers=blockers, away_at_most=None)
    (line,) = words_of(night).left
    assert line.what == "left untouched: its disk is too full; its last backup is too old, or not known"
    assert line.needs == "room on its disk, and a fresh backup"
    assert night.hosts[0].reason == "/var is full; 3 days old"
    assert words_of(night).away == "Nothing that people use was disturbed."


def test_what_was_interrupted_and_can_not_be_put_right_is_not_called_untouched(read: Read) -> None:
    blockers = [{"code": "lock", "text": "apt holds the lock"}]
    night = of_web1(read, outcome="blocked", blockers=blockers, recovered=True)
    assert night.hosts[0].state == "failed"
    assert "interrupted" in words_of(night).left[0].what


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"away_at_most": 52.5}, "for more than 1 minute (an upper bound)"),
        ({"away_at_most": 60.1}, "for more than 2 minutes (an upper bound)"),
        ({"away_at_most": 7201.0}, "for more than 3 hours (an upper bound)"),
        ({"away_at_most": None}, "is not known (1 computer)"),
        ({"outcome": "running", "away_at_most": 5.0}, "is not known (1 computer)"),
        ({"outcome": "failed", "away_at_most": 5.0, "probes": [probe(after="red")]}, "is not known (1 computer)"),
        (IDLE | {"away_at_most": None}, "Nothing that people use was disturbed"),
        ({"began": False}, "Nothing that people use was disturbed"),
        ({"began": None, "outcome": "unknown"}, "is not known (1 computer)"),
    ],
)
def test_how_long_services_were_away_is_a_bound_or_not_known(read: Read, more: dict[str, Any], told: str) -> None:
    assert told in words_of(of_web1(read, **more)).away


def test_a_host_that_was_let_through_and_vanished_is_not_known_to_serve(read: Read) -> None:
    evening = Evening()
    evening.begun("web1", "web2")
    evening.patched("web1")
    evening.opened("web2")
    evening.contact("web2", "unreachable")
    evening.ended({"web1": "changed", "web2": "unreachable"})
    words = words_of(read(evening))
    assert "for 1 computer it is not known: web2" in words.away
    assert words.left[0].what == "not answering since its turn began, so how it is is not known"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"reboot": reboot(done=False, why_not="never")}, "it still has to be restarted before the updates count"),
        ({"reboot": reboot(wanted=None, done=False)}, "whether it has to be restarted is not known"),
        ({"reboot": reboot()}, None),
        ({"restarts": {"done": [], "failed": ["cups.service"], "left": []}}, "a program on it did not start again"),
        ({"restarts": {"done": [], "failed": [], "left": ["x"]}}, "some programs on it run in the old version"),
        ({"failed_units": {"before": ["a"], "after": ["a", "b"]}}, "a service on it has failed that ran before"),
        ({"failed_units": {"before": ["a"], "after": ["a"]}}, None),
        ({"probes": [probe(before="red", after="red")]}, "not all of the checks on it are well"),
        ({"probes": [probe(after="not_run")]}, "not all of the checks on it are well"),
        ({"probes": [probe(before="not_run", after="not_run")]}, None),
    ],
)
def test_a_done_host_tells_what_is_left(read: Read, more: dict[str, Any], told: str | None) -> None:
    words = words_of(of_web1(read, **more))
    assert words.done == 1
    assert len(words.remarks) == (told is not None)
    assert told is None or words.remarks[0][0].startswith(told)


@pytest.mark.parametrize(
    ("told", "back"),
    [
        (rollback(done=True), "it is as it was before"),
        (rollback(done=True, identical=False), "not everything on it is known to be as before"),
        (rollback(done=True, files_identical=None), "not everything on it is known to be as before"),
        (rollback(done=True, differences=["/etc/motd (changed by somebody since, left)"]), "it is as it was before"),
    ],
)
def test_taken_back_says_whether_all_is_as_before(read: Read, told: dict[str, Any], back: str) -> None:
    words = words_of(of_web1(read, outcome="rolled_back", rollback=told))
    assert back in words.left[0].what
    assert ("(all as before)" in words.taken_back[0]) == (back == "it is as it was before")


def test_not_well_though_taken_back(read: Read) -> None:
    words = words_of(of_web1(read, outcome="failed", rollback=rollback(done=True)))
    assert words.left[0].what == "not well, though its updates were taken back"


def test_a_night_that_was_halted_says_so_and_whom_it_kept(read: Read) -> None:
    evening = Evening()
    evening.begun("web1", "web2", "web3")
    evening.patched("web1", "rolled_back", ring="canary")
    for host in ("web2", "web3"):
        evening.refused(host, "halt", "halted: 1 of 1 hosts of the ring canary came to harm (web1), 0 allowed")
    evening.ended(dict.fromkeys(("web1", "web2", "web3"), "ok"))
    night = read(evening)
    words = words_of(night)
    assert night.was_halted and len(night.halted) == 2
    assert "2 computers were left untouched because of that" in words.halted
    assert words.headline == "0 of 3 computers done, 3 not."
    assert [(ring.ring, ring.hosts, bool(ring.opened_at)) for ring in night.rings] == [
        ("canary", 1, True),
        ("broad", 2, False),
    ]


def test_a_run_without_an_end_says_so_first(read: Read) -> None:
    evening = Evening()
    evening.begun("web1", "web2")
    evening.patched("web1")
    words = words_of(read(evening))
    assert words.alarms[0].startswith("This night has not come to its end")
    assert words.summary[1] == words.alarms[0]
    assert words.headline == "1 of 2 computers done, 1 not."
    assert words.halted == "", "whether it is halted yet is not known"


def test_a_run_that_was_killed_after_its_last_host_has_ended(read: Read) -> None:
    assert of_web1(read, ended=None).ended


def test_a_resumed_run_is_one_night(read: Read) -> None:
    evening = Evening()
    evening.begun("web1", "web2")
    evening.patched("web1")
    evening.begun("web2", not_asked=("web1",))
    evening.patched("web2")
    evening.ended({"web1": "not_asked", "web2": "changed"})
    night = read(evening)
    assert (night.ended, night.counts, night.not_asked) == (True, {"done": 2}, ())


def test_a_plan_that_has_not_begun_is_no_night(read: Read) -> None:
    evening = Evening()
    hosts = {"web1": {"ring": "canary", "changes": []}}
    evening.add("plan", "", {"job": "patch", "window": "night", "starts_at": CHANCE[0], "hosts": hosts})
    night = read(evening)
    assert (night.begun, night.ended, night.counts) == (False, False, {"unknown": 1})
    assert night.hosts[0].ring == "canary"
    assert words_of(night).alarms[0].startswith("This night has not begun")


def test_a_rehearsal_counts_as_nothing_done(read: Read) -> None:
    evening = Evening(check=True)
    evening.begun("web1")
    evening.patched("web1", "planned")
    evening.ended({"web1": "ok"})
    words = words_of(read(evening))
    assert words.headline == "a rehearsal, in which nothing was changed; 1 of 1 computer could be done."
    assert words.left == ()


def test_hosts_of_other_kinds_and_those_never_changed_are_not_counted(read: Read) -> None:
    evening = Evening()
    evening.begun("web1", "panel1", not_asked=("switch1",))
    evening.patched("web1", **IDLE)
    evening.refused("panel1", "observe_only", "never changed")
    evening.ended({"web1": "ok", "panel1": "ok", "switch1": "not_asked"})
    night = read(evening)
    words = words_of(night)
    assert words.headline == "1 computer done (it needed nothing)."
    assert words.others[0] == "1 computer is only watched and never changed, by the town's own word: panel1."
    assert night.not_asked == ("switch1",)


def test_who_said_yes_and_who_overrode(read: Read) -> None:
    evening = Evening()
    evening.approved("Ann <b>", ["web1"], plan="b" * 64)
    evening.begun("web1", "web2")
    evening.add("approval", "", {"by": "Bob", "user": "bob", "ring": "broad"})
    said = {"reason": "urgent", "approver": "Chief", "user": "ann"}
    evening.opened("web1", window="override", override=said)
    evening.add("patch", "web1", patch_body())
    evening.opened("web2", override=said)
    evening.add("patch", "web2", patch_body())
    evening.ended({"web1": "changed", "web2": "changed"})
    night = read(evening)
    assert [(one.by, one.ring, one.of_last_plan, one.hosts) for one in night.approvals] == [
        ("Ann <b>", None, True, 1),
        ("Bob", "broad", True, 0),
    ]
    assert [(one.approver, one.hosts) for one in night.overrides] == [("Chief", 1)]
    told = " ".join(words_of(night).approved)
    assert "Approved by Ann <b>" in told and "called broad" in told and "Chief allowed work" in told


def test_an_approval_of_an_earlier_plan_is_told_as_such(read: Read) -> None:
    evening = Evening()
    evening.approved("Ann", ["web1"], plan=SHA)
    hosts = {"web1": {"ring": "canary", "changes": []}}
    evening.add("plan", "", {"job": "patch", "window": "night", "starts_at": CHANCE[0], "hosts": hosts})
    assert not read(evening).approvals[0].of_last_plan
    assert "an earlier plan" in words_of(read(evening)).approved[0]


def test_updates_that_stay_are_counted_by_why(read: Read) -> None:
    evening = Evening()
    evening.run = "20261123T230000Z-patch_stage-0a1b2c"
    evening.job = "patch_stage"
    evening.add("updates", "web1", updates_body(held_by_an_administrator=1, not_a_security_update=3))
    staged, evening.run, evening.job = evening.run, Evening().run, "patch"
    evening.begun("web1")
    evening.patched("web1")
    left = read(evening).hosts[0].left
    assert left is not None
    assert (left.run, left.selected, left.not_selected) == (staged, 1, 4)
    assert left.why == {"not a security update": 3, "held by an administrator": 1}
    assert left.holds == ("postgresql-15",)


def test_a_taking_back_is_told_as_such(read: Read) -> None:
    evening = Evening(run="20261124T080000Z-rollback-0a1b2c", job="rollback")
    evening.begun("web1", "web2", "web3")
    evening.patched("web1", of_run="r", rollback=rollback(done=True))
    evening.patched("web2", of_run="r", rollback=rollback(done=True, identical=False))
    evening.patched("web3", of_run="r", began=False, reason="nothing was installed here", **IDLE)
    evening.ended(dict.fromkeys(("web1", "web2", "web3"), "changed"))
    words = words_of(read(evening))
    assert words.title.startswith("Riverton: updates taken back of")
    assert words.headline == "all 3 computers taken back (1 of them needed nothing)."
    assert words.taken_back == ("Updates were taken back on 2 computers, on 1 of them with everything as before.",)
    assert [text for text, _ in words.remarks] == ["not everything on it is as it was before"]


def test_sixty_computers_of_a_town(state: TownState, make_town: MakeTown) -> None:
    town = make_town(zone="America/New_York", **town_parts())
    evening = sixty()
    with Ledger("riverton", state=state) as ledger:
        evening.write(ledger)
        night = with_chances(collect_night(ledger, town, evening.run, groups=groups_of_sixty()), groups_of_sixty())
    words = words_of(night)
    assert words.headline.startswith("55 of 60 computers done")
    assert night.counts == {"failed": 1, "unreachable": 1, "rolled_back": 1, "blocked": 1, "put_off": 1, "done": 55}
    assert words.title == "Riverton: patch night of Monday 23 November 2026", "in the town's own zone"
    assert [part.name for part in words.departments[:3]] == ["City clerk", "Police, with dispatch", "Fire and rescue"]
    assert sum(part.hosts for part in words.departments) == 60
    assert (words.departments[0].done, words.departments[0].hosts) == (3, 4)
    assert words.systems[-1].name == "Other computers"
    assert words.next == "Next chance: Mon 30 Nov, 20:00 for all 5 that are left."
    by_calendar = {host.name for host in night.hosts if host.by_calendar}
    assert by_calendar == {"clerk-pc-02", "pd-pc-07", "fire-pc-03", "water-pc-04"}, "the gate has told the other"
    assert not {"openssl", "cups", "linux-image", "ssh"} & set(" ".join(words.summary).split()), "no names of packages"


def test_which_run_is_the_last(state: TownState, make_town: MakeTown) -> None:
    with Ledger("riverton", state=state) as ledger:
        with pytest.raises(NoSuchRunError, match="no patch night yet: civicops run patch riverton"):
            newest_run(ledger)
        for run, job, check in (("r1", "patch", False), ("r2", "rollback", False), ("r3", "patch", True)):
            evening = Evening(run=run, job=job, check=check)
            evening.begun("web1")
            evening.write(ledger)
        assert newest_run(ledger) == "r2", "a rehearsal is not the last night"
        waited = Evening(run="r4", job="wait")
        waited.begun("web1")
        waited.write(ledger)
        for wrong, message in (("r9", "has no run 'r9'"), ("../r1", "has no run"), ("r4", "is a run of wait")):
            with pytest.raises(NoSuchRunError, match=message):
                collect_night(ledger, make_town(), wrong)
