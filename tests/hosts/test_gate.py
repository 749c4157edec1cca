"""No way around the gate: what careless engineers type and hostile hosts answer, with no host disturbed by it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from civicops.ledger.claims import open_claims
from civicops.ledger.store import Ledger
from civicops.state import TownState
from tests.hosts.conftest import MakeTown
from tests.hosts.controller import BIN, Controller, Done
from tests.hosts.host import Host
from tests.hosts.nights import ask_ledger, begun, forgotten, maintenance, told, untouched, window
from tests.hosts.town import Spec, Town

HERE = Path(__file__).parent / "gate"
SPECS = {
    "bullseye": Spec("bullseye", groups=("ring_canary",)),
    "bookworm": Spec("bookworm", groups=("ring_early",)),
    "trixie": Spec("trixie", groups=("observe_only",)),
}
NOBODY = "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2"
# What a hostile host makes of Ansible's question for its facts.
LIAR = """cat > /usr/local/bin/liar <<'EOF'
#!/bin/sh
/usr/bin/python3 "$@" | sed 's/"ansible_facts": {/&"inventory_hostname": "bullseye", /'
EOF
chmod +x /usr/local/bin/liar
"""


@pytest.fixture
def town(make_town: MakeTown, shared_hosts: dict[str, Host]) -> Iterator[Town]:
    """A canary, an early host and one that is only observed, in a window that is open."""
    open_now = maintenance(window())
    made = make_town("demo", dict(SPECS), use=shared_hosts, timezone="UTC", town=open_now, vars={"wait_seconds": 1})
    with forgotten(made):
        yield made


@pytest.fixture
def closed(make_town: MakeTown, shared_hosts: dict[str, Host]) -> Iterator[Town]:
    """The same town, whose window opens in six hours."""
    later = maintenance(window(timedelta(hours=6), id="later"))
    made = make_town("demo", dict(SPECS), use=shared_hosts, timezone="UTC", town=later)
    with forgotten(made):
        yield made


def one_line(done: Done, *parts: str) -> str:
    """The line of the output that holds all of these."""
    output = done.stdout + done.stderr
    lines = [line for line in output.splitlines() if all(part in line for part in parts)]
    assert lines, output
    assert "Traceback" not in output
    return lines[0]


def no_claims(town: Town) -> bool:
    with Ledger(town.name, state=TownState(town.name, town.state)) as ledger, ledger.transaction() as connection:
        return not open_claims(connection, datetime.now(UTC))


def test_outside_of_a_window_no_lie_opens_anything(closed: Town, tmp_path: Path) -> None:
    """A site's playbook, with every variable that the gate might be bent by."""
    everybody = ["bullseye", "bookworm", "trixie"]
    lies = {
        "town": {"id": "demo", "name": "Demo", "timezone": "UTC"} | maintenance(window()),
        "groups": {"all": everybody, "ring_canary": everybody},
        "ansible_play_batch": ["bullseye"],
        "play_hosts": ["bullseye"],
        "civicops_job": "checkup",
    }
    (tmp_path / "lies.json").write_text(json.dumps(lies))
    done = closed.controller.playbook(HERE / "site.yml", "-e", f"@{tmp_path / 'lies.json'}", CIVICOPS_JOB="checkup")
    assert untouched(closed), done.stdout
    one_line(done, "Not opened: bullseye: window: ", "; next ")
    one_line(done, "Not opened: trixie: observe_only: never changed")
    codes = {body["host"]: body["code"] for body in ask_ledger(closed, "gate")}
    assert codes == {"bullseye": "window", "bookworm": "window", "trixie": "observe_only"}


def test_a_forged_answer_of_the_gate_opens_nothing(closed: Town) -> None:
    opens = {"open": True, "ticket": {"host": "bullseye", "seal": "0" * 64}}
    forged = {"gate_answer": {"hosts": dict.fromkeys(SPECS, opens)}}
    done = closed.controller.playbook(HERE / "own.yml", "-e", json.dumps(forged))
    assert done.returncode == 2
    assert untouched(closed), done.stdout
    one_line(done, "fatal: [trixie]", "the ticket in the option gate is not one of this run, so nothing is done")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tags", "work"],
        ["--start-at-task", "Wait", "--limit", "bullseye"],
        ["-e", "gate_job=checkup", "--limit", "bullseye"],
    ],
    ids=["tags", "start-at-task", "another-job"],
)
def test_what_leaves_out_tasks_opens_nothing(closed: Town, arguments: list[str]) -> None:
    done = closed.controller.playbook("civicops.town.wait", *arguments)
    assert untouched(closed), done.stdout
    assert no_claims(closed)


def test_a_limit_leaves_out_hosts_and_no_rule(town: Town) -> None:
    done = town.controller.playbook("civicops.town.wait", "--limit", "bookworm,trixie")
    assert untouched(town), done.stdout
    one_line(done, "Not opened: bookworm: canary: ", "bullseye come first")


WRONG = {
    "Ask for each host": "the gate is asked once per batch",
    "Ask for another job": "this run is of the job wait, so the gate opens nothing for checkup",
    "No ticket": "there is no ticket in the option gate, so nothing is done",
    "Another host's ticket": "is for another host or run",
    "A ticket in a loop over hosts": "One or more items failed",
    "A changed ticket": "is not one of this run",
    "A rehearsed ticket": "is for another host or run",
    "An earlier run's ticket": "is not one of this run",
    "Delegated": "can't be delegated",
    "In the background": "does not support async",
    "Under another name": "this task is for trixie, not for 'bullseye'",
}


def test_tickets_of_others_and_for_others(town: Town, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    first = town.controller.playbook(HERE / "tickets.yml", "-e", f"keep_in={kept}", CIVICOPS_RUN="earlier")
    assert untouched(town), first.stdout
    assert "seal" in kept.read_text(), first.stdout
    done = town.controller.playbook(HERE / "tickets.yml", "-e", f"@{kept}", CIVICOPS_RUN="earlier")
    assert untouched(town), done.stdout
    reasons = {body["task"]: body["reason"] for body in ask_ledger(town, "contact")}
    assert {task: reason for task, reason in reasons.items() if WRONG.get(task, "?") not in reason} == {}
    assert reasons.keys() == WRONG.keys()


def test_a_host_under_a_canarys_name_or_address_is_not_that_canary(town: Town) -> None:
    done = town.controller.playbook(HERE / "own.yml", "-e", "inventory_hostname=bullseye")
    one_line(done, "fatal: ", "-e inventory_hostname would send the work of every host to one machine")
    done = town.controller.playbook(HERE / "own.yml", "-e", f"ansible_host={town.host('trixie').address}")
    one_line(done, "fatal: ", "-e ansible_host would send the work of every host to one machine")
    done = town.controller.playbook(HERE / "own.yml", "-c", "local")
    one_line(done, "fatal: ", "-c local would send the work of every host to one machine")
    assert untouched(town)
    done = town.controller.playbook(HERE / "own.yml", "-e", "own_name=bullseye")
    assert begun(town) | {"bullseye": []} == {"bullseye": [], "bookworm": [], "trixie": []}
    one_line(done, "fatal: [trixie]", "something has set the variable inventory_hostname", "this task is for trixie")


def test_a_host_that_answers_with_anothers_name_is_not_that_one(town: Town) -> None:
    lies = {"ansible_python_interpreter": "/usr/local/bin/liar"}
    town.specs["trixie"] = Spec("trixie", groups=("observe_only",), vars=lies)
    town.write()
    town.host("trixie").run(LIAR)
    done = town.controller.playbook(HERE / "own.yml", "-e", "own_facts=1")
    town.host("trixie").run("rm /usr/local/bin/liar")
    assert begun(town)["trixie"] == []
    one_line(done, "fatal: [trixie]", "this task is for trixie, not for 'bullseye'")


def test_hosts_that_are_moved_while_the_playbook_goes_on_stay_what_they_were(town: Town) -> None:
    done = town.controller.playbook(HERE / "moves.yml")
    assert untouched(town), done.stdout
    one_line(done, "Not opened: bookworm: canary: ")
    one_line(done, "Not opened: trixie: observe_only: never changed")
    one_line(done, "Not opened: alias: observe_only: not in the inventory")


def test_strategies_that_let_hosts_run_ahead(town: Town) -> None:
    done = town.controller.playbook("civicops.town.wait", ANSIBLE_STRATEGY="free")
    one_line(done, "strategy free: rings and pairs can't be kept apart, so nothing is opened")
    done = town.controller.playbook(HERE / "own.yml", "-e", "own_strategy=host_pinned")
    one_line(done, "strategy host_pinned: ", "nothing is opened")
    assert untouched(town)


def test_without_callback_package_or_a_town_of_its_own(town: Town, tmp_path: Path) -> None:
    nothing = tmp_path / "empty.cfg"
    nothing.touch()
    broken = tmp_path / "broken" / "civicops"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('not here')\n")
    done = town.controller.playbook("civicops.town.wait", ANSIBLE_CONFIG=str(nothing))
    one_line(done, "Nothing would be recorded: set callbacks_enabled = civicops.town.run")
    done = town.controller.playbook(HERE / "own.yml", ANSIBLE_CONFIG=str(nothing))
    one_line(done, "fatal: ", "the callback civicops.town.run is not enabled", "nothing is opened")
    done = town.controller.playbook(HERE / "own.yml", PYTHONPATH=str(broken.parent))
    one_line(done, "fatal: ", "nothing is opened: the Python package civicops can't be imported", "pip install")
    other = town.inventories / "other"
    shutil.copytree(town.inventory, other)
    done = town.controller.playbook("-i", other, HERE / "own.yml")
    one_line(done, "one run is for one town; this inventory is of demo, other")
    assert untouched(town)


def test_without_a_ledger_that_can_be_used(town: Town) -> None:
    done = town.controller.playbook(HERE / "own.yml", CIVICOPS_LEDGER_URL=NOBODY)
    line = one_line(done, "[ERROR]", "nothing is opened: ")
    assert line.count("the ledger can't be used") == 1
    ledger = town.state / "demo" / "ledger.sqlite"
    ledger.write_bytes(b"no database at all " * 100)
    done = town.controller.playbook(HERE / "own.yml")
    one_line(
        done, "[ERROR]", f"nothing is opened: sqlite:///{ledger}: the ledger can't be used: file is not a database"
    )
    done = town.controller.civicops("run", "wait", "demo")
    assert done.returncode == 2, "civicops does not even begin"
    one_line(done, "the ledger can't be used: file is not a database")
    assert untouched(town)


def test_a_ledger_that_can_only_be_read(town: Town) -> None:
    state = town.state / "demo"
    assert told(town.controller.civicops("run", "wait", "demo", "--limit", "trixie", "--json"))["exit_status"] == 3
    town.controller.run("mount", "--bind", state, state)
    try:
        town.controller.run("mount", "-o", "remount,ro,bind", state)
        done = town.controller.playbook(HERE / "own.yml")
    finally:
        town.controller.run("umount", state)
    assert done.returncode != 0
    one_line(done, "Read-only file system")
    assert untouched(town)


def test_a_playbook_that_a_mistake_ended_is_gone_on_with_by_its_name(town: Town) -> None:
    done = town.controller.playbook(HERE / "own.yml", "-e", "gate_answer=none")
    assert done.returncode != 0
    assert untouched(town)
    done = town.controller.playbook(HERE / "own.yml")
    line = one_line(done, "Not opened: bullseye", "locked: wait runs for demo already: ")
    run = line.partition("already: ")[2].partition(",")[0]
    done = town.controller.playbook(HERE / "own.yml", CIVICOPS_RUN=run)
    assert done.returncode == 0, done.stdout
    assert begun(town) == {"bullseye": [run], "bookworm": [], "trixie": []}
    assert no_claims(town)


def test_another_state_directory_is_another_ledger(town: Town, tmp_path: Path) -> None:
    """docs/gate.md says so: rings begin anew there, windows and observe_only hold."""
    town.controller.playbook(HERE / "own.yml", "--limit", "bullseye")
    before = begun(town)
    assert before["bullseye"]
    elsewhere = str(tmp_path / "elsewhere")
    done = town.controller.playbook(HERE / "own.yml", "--limit", "bookworm,trixie", CIVICOPS_STATE=elsewhere)
    one_line(done, "Not opened: bookworm: canary: ")
    one_line(done, "Not opened: trixie: observe_only: ")
    assert begun(town) == before


def test_two_engineers_at_once_on_one_ledger(town: Town, tmp_path: Path, empty_postgres_database: str) -> None:
    place = tmp_path / "second"
    (place / "demo").mkdir(parents=True, mode=0o700)
    place.chmod(0o700)
    shutil.copy(town.state / "demo" / "known_hosts", place / "demo" / "known_hosts")
    sockets = Path(tempfile.mkdtemp(prefix="cv-", dir="/tmp"))
    second = Controller("demo", town.inventories, place, sockets)
    address = {"CIVICOPS_LEDGER_URL": empty_postgres_database}
    both = [one.start(BIN / "civicops", "run", "wait", "demo", env=address) for one in (town.controller, second)]
    outputs = [one.communicate(timeout=120)[0] for one in both]
    shutil.rmtree(sockets)
    statuses = [one.returncode for one in both]
    assert sorted(statuses) == [0, 3], outputs
    runs = begun(town)
    assert [len(runs[name]) for name in ("bullseye", "bookworm", "trixie")] == [1, 1, 0]
    mine, refused = f"Run {runs['bullseye'][0]}: done", outputs[statuses.index(3)]
    assert mine in outputs[statuses.index(0)]
    assert f"bullseye: deferred: locked: wait runs for demo already: {runs['bullseye'][0]}, until " in refused
    assert not any((state / "demo" / "ledger.sqlite").exists() for state in (town.state, place))
