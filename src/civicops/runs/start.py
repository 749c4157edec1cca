"""Start a run on ansible-runner, watch it, and say how it ended from what is in the ledger."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from civicops.exit_status import ExitStatus
from civicops.ledger.ingest import Taken, ingest, ingest_run
from civicops.ledger.spool import now
from civicops.ledger.store import Ledger
from civicops.runs.environment import close_connections, run_environment, site_of
from civicops.jobs import Job
from civicops.runs.journal import Journal, RunOrder, State
from civicops.runs.observers import RunEvent, RunObserver, What
from civicops.state import TownState, locked, user_name
from civicops.text import printable

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
    "include_role",
    "include_tasks",
    "meta",
    "set_fact",
    "validate_argument_spec",
}
# How often a run looks whether it is to be cancelled, in seconds.
_LOOK_EVERY = 1


class RunError(Exception):
    """A run that could not be started or whose playbook could not be read; the message says why."""


class RunLockedError(Exception):
    """The same job is running for this town already."""


@dataclass(frozen=True)
class RunRequest:
    """What an engineer or a scheduler asks for."""

    town: str
    inventory: Path
    town_file_sha256: str
    job: Job
    limit: str | None = None
    check: bool = False
    vault_ids: Sequence[str] = ()
    ssh_agent: bool = False
    accept_new_host_keys: bool = False
    become_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `hosts` holds what became of each; `reasons` why, for those that did not answer."""

    run: str
    state: State
    exit_status: ExitStatus
    hosts: dict[str, str]
    reasons: dict[str, str]
    rejected: dict[str, str]
    message: str | None = None


def start(request: RunRequest, state: TownState, observers: Sequence[RunObserver] = ()) -> RunResult:
    """Run a job to its end.

    :raises RunLockedError: the job is running for this town already.
    :raises RunError: Ansible could not begin (its own message is given).
    """
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{request.job.name}-{secrets.token_hex(3)}"
    with ExitStack() as stack:
        job_lock = state.directory("locks") / request.job.name
        if not stack.enter_context(locked(job_lock)):
            raise RunLockedError(
                f"{request.job.name} is running for {request.town} already: civicops runs {request.town}"
            )
        directory = state.run_directory(run)
        stack.enter_context(locked(directory / "lock"))
        order = RunOrder(
            run=run,
            town=request.town,
            town_file_sha256=request.town_file_sha256,
            job=request.job.name,
            limit=request.limit,
            check=request.check,
            user=user_name(),
            pid=os.getpid(),
            started_at=now(),
        )
        journal = Journal(directory, order)
        interrupted = stack.enter_context(_interruptible())
        runner = _prepare(
            request,
            state,
            directory,
            run,
            _Relay([journal, *observers]),
            lambda: interrupted.is_set() or journal.cancel_wanted(),
        )
        runner.run()
        if runner.status != "successful":
            close_connections(state)
        with Ledger(request.town, state=state) as ledger:
            ingest_run(ledger, state.spool_of(run))  # also where a worker of it is still there
            ingest(ledger, state)
            result = _judge(run, ledger, cancelled=bool(runner.canceled))
        if result is None:
            message = _last_words(Path(runner.config.artifact_dir) / "stdout")
            journal.end(state="failed", ended_at=now(), exit_status=ExitStatus.BAD_INPUT, message=message)
            raise RunError(f"Ansible ended with status {runner.rc} before a host was asked: {message}")
        journal.end(state=result.state, ended_at=now(), exit_status=result.exit_status, message=result.message)
        return result


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
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


def take_in(town: str, state: TownState) -> Taken:
    """Take in what killed or plain `ansible-playbook` runs have left in the spool."""
    if not any(state.spool.iterdir()):
        return Taken()
    with Ledger(town, state=state) as ledger:
        return ingest(ledger, state)


class _Relay:
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
    directory: Path,
    run: str,
    relay: Callable[[dict[str, Any]], bool],
    cancel_wanted: Callable[[], bool],
) -> Any:
    import ansible_runner

    arguments = ["-i", str(request.inventory)]
    for vault_id in request.vault_ids:
        arguments += ["--vault-id", vault_id]
    if request.limit is not None:
        arguments.append(f"--limit={request.limit}")
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
    # ansible-runner starts from this process's environment; for that moment, it is the run's own.
    with _environment(environment):
        return ansible_runner.interface.init_runner(
            private_data_dir=str(directory),
            project_dir=str(site_of(request.inventory)),
            ident="ansible",
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
            cancel_callback=cancel_wanted,
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


def _judge(run: str, ledger: Ledger, *, cancelled: bool) -> RunResult | None:
    """How a run ended, by its documents; None where Ansible ended before it had asked anybody."""
    entries = ledger.of_run(run)
    accepted = [entry for entry in entries if entry.status != "rejected"]
    bodies = ledger.bodies(entry for entry in accepted if entry.kind in ("run", "contact"))
    hosts: dict[str, str] = {}
    reasons: dict[str, str] = {}
    asked_for: dict[str, str] | None = None
    finished = False
    for entry in accepted:
        if entry.kind == "run":
            asked_for, finished = bodies[entry.body]["hosts"], bodies[entry.body]["ended_at"] is not None
        elif entry.kind == "contact":
            reasons[entry.host] = bodies[entry.body]["reason"]
            if not bodies[entry.body].get("ignored"):
                hosts[entry.host] = bodies[entry.body]["outcome"]
        else:
            hosts.setdefault(entry.host, "ok")
    if asked_for is not None:
        # The playbook's own end knows what was rescued; without one, the documents tell who had answered.
        hosts = dict(asked_for) if finished else asked_for | hosts
    rejected = {entry.host: entry.reason or "" for entry in entries if entry.status == "rejected"}
    hosts |= dict.fromkeys(rejected, "failed")
    reasons |= {host: f"its answer was refused: {reason}" for host, reason in rejected.items()}
    asked = [outcome for outcome in hosts.values() if outcome != "not_asked"]
    missed = sum(outcome in ("failed", "unreachable", "no_answer") for outcome in asked)

    def ended(state: State, status: ExitStatus, message: str | None = None) -> RunResult:
        return RunResult(run, state, status, hosts, reasons, rejected, message)

    if cancelled:
        return ended("cancelled", ExitStatus.CANCELLED, "cancelled on request")
    if not entries:
        return None
    if not finished:
        return ended("failed", ExitStatus.HOSTS_FAILED, "the playbook did not come to its end")
    if not asked:
        nobody = "no host was asked: the inventory has none for this job, or --limit left none"
        return ended("failed", ExitStatus.BAD_INPUT, nobody)
    if missed:
        return ended("failed", ExitStatus.HOSTS_FAILED, f"{missed} of {len(asked)} hosts failed or were not reached")
    return ended("done", ExitStatus.DONE)


def _last_words(stdout: Path) -> str:
    try:
        lines = stdout.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    told = [printable(line, 400) for line in lines if line.strip()]
    return " / ".join(told[-4:]) or "it said nothing"
