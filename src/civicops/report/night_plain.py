"""What became of a host that is not done, and what it takes, in words for people who run a town.

Each word of a host's or the gate's has its plain one in a table; one that is not there calms nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from civicops.report.night import NightHost, Remark, State

REMARKS: dict[Remark, str] = {
    "stopped": "a program on it did not start again",
    "failed_units": "a service on it has failed that ran before",
    "red": "not all of the checks on it are well",
    "not_as_before": "not everything on it is as it was before",
    "reboot": "it still has to be restarted before the updates count",
    "reboot_unknown": "whether it has to be restarted is not known",
    "old_programs": "some programs on it run in the old version until they are restarted",
}
"""What a host that is done still wants."""

# What stood in the way on a host (codes of `blockers`), and what it takes.
_BLOCKERS = {
    "backup": ("its last backup is too old, or not known", "a fresh backup"),
    "broken": ("earlier installations on it were left unfinished", "IT to repair them"),
    "clock": ("its clock is wrong", "its clock to be set"),
    "disk": ("its disk is too full", "room on its disk"),
    "error": ("it could not be looked at", "a look by IT"),
    "lists": ("it could not find out what updates there are", "IT to check its way to the updates"),
    "lock": ("another program was installing software on it", "IT to see what that was"),
    "manager": ("its updates can't be managed from here", "a look by IT"),
    "probe": ("something on it was not well even before the work", "IT to put that right first"),
    "rollback": (
        "its updates could not be taken back if they went wrong",
        "a decision whether to update it all the same",
    ),
    "users": ("somebody was logged in on it", "people to log off before the night"),
}
_BLOCKER = ("something on it stood in the way", "a look by IT")

# Why the gate has put a host off, by its codes.
_GATE = {
    "approval": ("nobody had approved its updates", "somebody's approval"),
    "cancelled": ("the night was called off before its turn", "another night"),
    "canary": ("the computers that try updates first had not been done well", "those to be done first"),
    "claimed": ("other work was going on there", "another night"),
    "frozen": ("the town's calendar does not allow work there now", "another night"),
    "halt": (
        "the night was halted before its turn, to keep the trouble small",
        "the cause of the halt to be put right",
    ),
    "late": ("too little time was left for it", "another night"),
    "locked": ("another night's work was still going on", "another night"),
    "observe_only": ("it is not in the list of computers that the night began with", "IT to check that list"),
    "pair": ("its partner was being worked on, or came to harm", "another night"),
    "ring": ("the computers before it were not finished", "another night"),
    "order": ("what it depends on was not done", "that to be done first"),
    "ring_approval": ("nobody had said yes to its part of the night", "somebody's yes"),
    "soak": ("the computers before it were still being watched", "another night"),
    "window": ("its hours for such work had ended or not begun", "another night"),
    "refused": ("its time had run out before anything began", "another night"),
}
_PUT_OFF = ("the rules for such work said no", "a look by IT")


def plain(host: NightHost) -> tuple[str, str]:
    """What happened to a host that is not done, and what it takes."""
    work = host.work
    if host.state == "blocked":
        codes = list(dict.fromkeys(code for code, _ in work.blockers)) if work is not None else []
        found = [_BLOCKERS.get(code, _BLOCKER) for code in codes[:3]] or [_BLOCKER]
        return (
            f"left untouched: {'; '.join(what for what, _ in found)}",
            ", and ".join(dict.fromkeys(needs for _, needs in found)),
        )
    if host.state == "put_off":
        what, needs = _GATE.get(host.code, _PUT_OFF)
        return f"left for another night: {what}", needs
    if host.state == "rolled_back":
        whole = work is not None and work.rollback is not None and work.rollback.identical
        back = "it is as it was before" if whole else "not everything on it is known to be as before"
        return f"not well with the updates, so they were taken back; {back}", "IT to find out why"
    return _PLAIN[host.state](host)


def _failed(host: NightHost) -> tuple[str, str]:
    if host.code in ("interrupted", "blocked"):
        return "interrupted in the middle of the work, which is not finished", "IT to repair it before people use it"
    if not host.touched:
        return "not begun, as it could not be worked on; nothing was changed there", "a look by IT"
    if host.code == "rejected":
        return "not known for sure, as its answer could not be read", "a look by IT before people use it"
    if host.work is None:
        return "not finished, as the work failed there; how it is is not known", "a look by IT before people use it"
    if host.work.rollback is not None and host.work.rollback.done:
        return "not well, though its updates were taken back", "IT to repair it before people use it"
    if host.work.of_run is not None:
        return "not well, and its updates could not all be taken back", "IT to repair it before people use it"
    return "not well after the work, and not taken back", "IT to repair it before people use it"


def _unreachable(host: NightHost) -> tuple[str, str]:
    if host.touched:
        return "not answering since its turn began, so how it is is not known", "somebody to go and look at it"
    return "not answering, so nothing was done there", "to be switched on and connected"


def _unknown(host: NightHost) -> tuple[str, str]:
    if host.touched:
        return "not known: the work began and told no end", "a look by IT before people use it"
    return "not known: no word came from it", "a look by IT"


_PLAIN: dict[State, Callable[[NightHost], tuple[str, str]]] = {
    "failed": _failed,
    "running": lambda host: ("still being worked on when last heard of", "another look: how it ends is not known yet"),
    "unknown": _unknown,
    "unreachable": _unreachable,
    "overrun": lambda host: ("done, but later than it was allowed to", "IT to find out why"),
    "planned": lambda host: ("only rehearsed, and not changed", "the night itself"),
}
