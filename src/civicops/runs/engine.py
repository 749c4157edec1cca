"""The engine under a run: ansible-runner, started with what the run may see and nothing else."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from civicops.jobs import Job
from civicops.ledger.spool import now
from civicops.runs.environment import run_environment, site_of
from civicops.runs.observers import RunEvent, RunObserver, What
from civicops.state import TownState
from civicops.text import printable
from civicops.town import Town

_EVENTS: dict[str, What] = {
    "playbook_on_task_start": "task",
    "runner_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
}
# What the controller does by itself: that a host "passed" it says nothing of the host.
_CONTROLLER_ONLY = {
    "assert",
    "debug",
    "fail",
    "gate",
    "include_role",
    "include_tasks",
    "meta",
    "set_fact",
    "validate_argument_spec",
}
# How often a run looks whether it is to be cancelled, in seconds.
_LOOK_EVERY = 1


@dataclass(frozen=True)
class RunRequest:
    """What an engineer or a scheduler asks for. `window` and `window_start` name the opening that a scheduler serves;
    `run` is given where a run was planned before."""

    town: Town
    job: Job
    limit: str | None = None
    check: bool = False
    vault_ids: Sequence[str] = ()
    ssh_agent: bool = False
    accept_new_host_keys: bool = False
    become_password: str | None = field(default=None, repr=False)
    override_window: str | None = None
    approver: str | None = None
    window: str | None = None
    window_start: str | None = None
    run: str | None = None
    rollback_of: str | None = None
    """Of the job rollback: the run whose changes are taken back; None takes back each host's newest."""

    @property
    def inventory(self) -> Path:
        """The town's inventory directory."""
        return self.town.directory.absolute()


@dataclass(frozen=True)
class Ended:
    """How Ansible itself ended; `status` is None where a signal ended it."""

    good: bool
    cancelled: bool
    status: int | None
    last_words: str
    timed_out: bool = False


def play(
    request: RunRequest,
    state: TownState,
    *,
    run: str,
    attempt: int,
    limit: str | None,
    observers: Sequence[RunObserver],
    stop_wanted: Callable[[], bool],
) -> Ended:
    """Run the job's playbook to its end, or until `stop_wanted`."""
    runner = _prepare(request, state, run, attempt, limit, Relay(observers), stop_wanted)
    runner.run()
    return Ended(
        good=runner.status == "successful",
        cancelled=bool(runner.canceled),
        status=runner.rc,
        last_words=_last_words(Path(runner.config.artifact_dir) / "stdout"),
        timed_out=runner.status == "timeout",
    )


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Ctrl-C, or an end that the system asks for, cancels the run: it is recorded, and keeps what it has."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def interrupt(number: int, _frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt  # asked twice: at once
        interrupted.set()

    for one, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup
            signal.signal(one, interrupt)
    try:
        yield interrupted
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class Relay:
    """Turns ansible-runner's events into ours and hands them to each observer."""

    def __init__(self, observers: Sequence[RunObserver]) -> None:
        self._observers = observers

    def __call__(self, raw: dict[str, Any]) -> bool:
        what = _EVENTS.get(raw.get("event", ""))
        if what is not None:
            data = raw.get("event_data") or {}
            answer = data.get("res") or {}
            action = str(data.get("task_action", "")).rpartition(".")[2]
            if what in ("ok", "skipped") and action in _CONTROLLER_ONLY:
                return False
            if what == "ok" and answer.get("changed") is True:
                what = "changed"
            event = RunEvent(
                at=now(),
                what=what,
                task=printable(data.get("task") or "", 255),
                host="" if what == "task" else printable(data.get("host") or "", 255),
                message=printable(answer.get("msg") or "", 300) if what in ("failed", "unreachable") else "",
            )
            for observer in self._observers:
                observer.event(event)
        return False  # events are not kept as files: the journal and the ledger hold what is worth keeping


def _prepare(
    request: RunRequest,
    state: TownState,
    run: str,
    attempt: int,
    limit: str | None,
    relay: Callable[[dict[str, Any]], bool],
    stop_wanted: Callable[[], bool],
) -> Any:
    import ansible_runner

    arguments = ["-i", str(request.inventory)]
    for vault_id in request.vault_ids:
        arguments += ["--vault-id", vault_id]
    if limit is not None:
        arguments.append(f"--limit={limit}")
    if request.check:
        arguments += ["--check", "--diff"]
    passwords = None
    if request.become_password is not None:
        arguments.append("--ask-become-pass")
        passwords = {r"^BECOME password.*:\s*?$": request.become_password}
    environment = run_environment(
        state,
        inventory=request.inventory,
        run=run,
        job=request.job.name,
        source=dict(os.environ),
        ssh_agent=request.ssh_agent,
        accept_new_host_keys=request.accept_new_host_keys,
    )
    if request.override_window:
        environment["CIVICOPS_OVERRIDE_WINDOW"] = request.override_window
        environment["CIVICOPS_APPROVER"] = request.approver or ""
    if request.rollback_of:
        environment["CIVICOPS_ROLLBACK_OF"] = request.rollback_of
    # ansible-runner starts from this process's environment; for that moment, it is the run's own.
    with _environment(environment):
        return ansible_runner.interface.init_runner(
            private_data_dir=str(state.run_directory(run)),
            project_dir=str(site_of(request.inventory)),
            ident=f"attempt-{attempt}",
            playbook=request.job.playbook,
            cmdline=shlex.join(arguments),
            passwords=passwords,
            settings={
                "suppress_env_files": True,
                "pexpect_timeout": _LOOK_EVERY,
                "job_timeout": int(request.job.timeout.total_seconds()),
            },
            suppress_env_files=True,
            # Not on disk: its files are named after hosts, and an inventory may call one `../x`.
            fact_cache_type="memory",
            quiet=True,
            event_handler=relay,
            cancel_callback=stop_wanted,
        )


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _last_words(stdout: Path) -> str:
    try:
        lines = stdout.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    told = [printable(line, 400) for line in lines if line.strip()]
    return " / ".join(told[-4:]) or "it said nothing"
