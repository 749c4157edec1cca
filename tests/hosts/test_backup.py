"""Backups on real hosts: set up once, taken by the hosts themselves, and every fault of them told."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.host import Host
from tests.hosts.nights import ask_ledger
from tests.hosts.town import Spec, Town

TOWN = "riverton"
CLIENTS = {"pc": "bookworm", "old": "bullseye"}
SECRETS = {
    name: {"server": f"{name}-to-the-server-0123456789", "repository": f"{name}-of-the-repository-0123456789"}
    for name in CLIENTS
}
DATA = "/srv/data"
CANARY = "/srv/invoices-2019.txt"
DATABASE = "/srv/payroll.sqlite"
PATHS = ["/etc", "/srv"]
DUMPS = [
    {"name": "payroll", "kind": "sqlite", "path": DATABASE},
    {"name": "list", "kind": "command", "command": ["/usr/local/bin/list"], "end": "the end"},
]
VARS: dict[str, object] = {
    "backup_secrets": SECRETS,
    "backup_client_paths": PATHS,
    "backup_client_dumps": DUMPS,
    "backup_client_canaries": [CANARY],
    "backup_client_delay": 0,
    "backup_client_time_limit": 120,
}
_FILL = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
base.execute("create table pay (name, amount)")
base.executemany("insert into pay values (?, ?)", [("n%d" % n, n) for n in range(500)])
base.commit()
"""
MAKE = f"""
mkdir -p {DATA}; cd {DATA}
for number in $(seq 300); do echo "letter $number" > letter-$number.txt; done
python3 -c '{_FILL}' {DATABASE}
chown clerk {DATABASE} && chmod 600 {DATABASE}
printf '#!/bin/sh\\necho begin\\ncat /etc/hostname\\necho the end\\n' > /usr/local/bin/list
chmod 755 /usr/local/bin/list
"""
SECRET_PLACES = "/etc /var /usr/local /run /tmp /root /home /srv"


@pytest.fixture(scope="module")
def town(make_module_town: MakeTown) -> Town:
    """A server and two clients, set up by the job."""
    specs = {"vault": Spec(updates=True, groups=("backup_server",))}
    specs |= {name: Spec(release, updates=True, groups=("backup_client",)) for name, release in CLIENTS.items()}
    made = make_module_town(TOWN, specs, timezone="UTC", vars=VARS)
    for name in CLIENTS:
        made.host(name).run(MAKE)
    checked = run(made, "--check")
    assert (checked["exit_status"], set(checked["hosts"].values())) == (0, {"changed"})
    assert made.host("vault").run("ls /etc/civicops 2>/dev/null || true").stdout == ""
    done = run(made)
    assert (done["exit_status"], done["hosts"]) == (0, dict.fromkeys(("vault", *CLIENTS), "changed"))
    return made


def run(town: Town, *more: str) -> dict[str, Any]:
    done: dict[str, Any] = json.loads(
        town.controller.civicops("run", "backup", TOWN, "--json", *more, timeout=600).stdout
    )
    return done


def told(town: Town, name: str) -> dict[str, Any]:
    """How backups stand there, asked without a run of the job, which would mend what a test has broken."""
    done = town.controller.ansible(name, "-m", "civicops.town.backup_info", "-a", f"town={TOWN} record=false")
    body: dict[str, Any] = json.loads(done.stdout.partition("=> ")[2])["document"]
    return body


def alarms(body: dict[str, Any]) -> dict[str, str]:
    return {one["kind"]: one["text"] for one in body["alarms"]}


def backup(host: Host, *, good: bool = True) -> None:
    """Have the host back itself up now, as its timer would."""
    done = host.run("systemctl start civicops-backup.service", timeout=300, check=False)
    said = host.run("journalctl -u civicops-backup -n 5 --no-pager -o cat").stdout
    assert (done.returncode == 0) == good, said


def cycle(town: Town) -> None:
    """Have the server look at the repositories now, as its timer would."""
    town.host("vault").run(f"systemctl start civicops-backup-cycle-{TOWN}.service", timeout=120, check=False)


def restic(host: Host, *arguments: str) -> tuple[int, str]:
    """restic with all that an attacker who is root on a client has."""
    files = "--repository-file repository --password-file password --cacert server.pem"
    # It tries what is refused again and again, for a quarter of an hour.
    done = host.run(f"cd /etc/civicops/backup; timeout 15 restic {files} {' '.join(arguments)} 2>&1", check=False)
    return done.returncode, done.stdout


def curl(host: Host, method: str, path: str, *more: str) -> str:
    """The server's status for one request with the client's own password."""
    script = (
        "cd /etc/civicops/backup; url=$(cut -d: -f2- repository); base=${url%/*/}\n"
        f"python3 - \"$base\" {method} {path} {' '.join(more)} <<'PY'\n"
        "import base64, http.client, ssl, sys, urllib.parse\n"
        "base, method, path, *body = sys.argv[1:]\n"
        "url = urllib.parse.urlsplit(base)\n"
        "context = ssl.create_default_context(cafile='server.pem')\n"
        "line = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=10)\n"
        "login = base64.b64encode(f'{url.username}:{url.password}'.encode()).decode()\n"
        "line.request(method, path, body=body[0] if body else None, headers={'Authorization': 'Basic ' + login})\n"
        "print(line.getresponse().status)\nPY"
    )
    return host.run(script).stdout.strip()


def files(town: Town, name: str, folder: str) -> list[str]:
    found = town.host("vault").run(f"cd /srv/backup/{TOWN}/{name}; find {folder} -type f -printf '%T@ %p\\n' | sort -n")
    return [line.split()[1] for line in found.stdout.splitlines()]


def test_a_second_run_changes_nothing_and_a_check_neither(town: Town) -> None:
    for more in ((), ("--check",)):
        done = run(town, *more)
        assert (done["exit_status"], done["hosts"]) == (0, dict.fromkeys(("vault", *CLIENTS), "ok"))
    documents = {one["host"]: one for one in ask_ledger(town, "backup-status") if one["run"] == done["run"]}
    assert set(documents) == {"vault", *CLIENTS}
    assert "never" in alarms(documents["pc"])


def test_hosts_back_themselves_up_and_it_is_known_at_once_and_restored(town: Town) -> None:
    vault = town.host("vault")
    for name in CLIENTS:
        host = town.host(name)
        backup(host)
        # The server's own word for it, without any password, and within a second of the snapshot.
        prom = f"/var/lib/civicops/backup-server/{TOWN}/backup.prom"
        newest = float(vault.run(f"stat -c %.9Y /srv/backup/{TOWN}/{name}/snapshots/* | sort -n | tail -1").stdout)
        vault.run(
            f"for _ in $(seq 50); do grep -q '\"{name}\"}} {newest:.3f}' {prom} && exit 0; sleep 0.1; done; false"
        )
        assert float(vault.run(f"stat -c %.9Y {prom}").stdout) - newest < 1.0
        body = told(town, name)
        assert body["alarms"] == []
        last = body["client"]["last"]
        assert (last["outcome"], last["unread_files"], last["without_hash"]) == ("complete", 0, 0)
        assert {one["name"]: one["outcome"] for one in last["dumps"]} == {"payroll": "good", "list": "good"}
        assert body["client"]["reachable"] is True
        # What comes back is what was there; the database's copy is whole and has its rows.
        code, said = restic(host, "restore", last["snapshot"], "--target", "/root/back")
        assert code == 0, said
        assert host.run(f"diff -r {DATA} /root/back{DATA}").stdout == ""
        count = (
            "import sqlite3; print(sqlite3.connect('payroll.sqlite').execute('select sum(amount) from pay').fetchone())"
        )
        kept = "/root/back/var/lib/civicops/backup/dumps"
        assert host.run(f'cd {kept}; python3 -c "{count}"').stdout.strip() == f"({sum(range(500))},)"
        host.run("rm -rf /root/back")
    cycle(town)
    body = told(town, "vault")
    assert body["alarms"] == []
    assert {one["name"]: (one["late"], one["alarms"]) for one in body["server"]["clients"]} == dict.fromkeys(
        CLIENTS, (False, 0)
    )


def test_an_attacker_with_root_on_a_client_deletes_nothing_and_sees_nobody_elses(town: Town) -> None:
    pc = town.host("pc")
    for _ in range(2):  # so that there is something to forget
        backup(pc)
    before = files(town, "pc", ".")
    newest = files(town, "pc", "snapshots")[-1]
    for arguments in (
        ("forget", "--prune", "--keep-last", "1"),
        ("forget", "latest"),
        ("prune",),
        ("key", "remove", "x"),
    ):
        code, said = restic(pc, *arguments)
        assert code != 0, said
    pack, config = files(town, "pc", "data")[0].removeprefix("data/").partition("/")[2], "config"
    assert curl(pc, "DELETE", f"/pc/{newest}") == "403"
    assert curl(pc, "DELETE", f"/pc/data/{pack}") == "403"
    assert curl(pc, "DELETE", "/pc/") in ("403", "404", "405")
    assert curl(pc, "DELETE", f"/pc/{config}") == "403"
    assert curl(pc, "POST", f"/pc/{newest}", "x") == "403", "nothing is overwritten"
    assert curl(pc, "POST", f"/pc/data/{pack}", "x") == "403"
    assert curl(pc, "POST", f"/pc/{config}", "x") == "403"
    for path in ("/old/config", "/old/snapshots/", "/", "/pc/../old/config", "/pc/%2e%2e/old/config", "/../etc/passwd"):
        assert curl(pc, "GET", path) in ("301", "400", "401", "403", "404"), path
    assert curl(pc, "POST", "/old/data/" + "0" * 64, "x") in ("401", "403")
    left = files(town, "pc", ".")
    assert set(before) - set(left) - {path for path in before if path.startswith("./locks/")} == set()
    cycle(town)
    assert told(town, "vault")["alarms"] == []


def test_a_date_in_the_future_has_nothing_forgotten(town: Town) -> None:
    """restic keeps what is young beside its newest snapshot: one of the year 2099 would make all others old."""
    old, vault = town.host("old"), town.host("vault")
    backup(old)
    backup(town.host("pc"))
    code, said = restic(old, "backup", "/etc/hostname", "--tag", "civicops", "--time", "'2099-01-01 00:00:00'")
    assert code == 0, said
    before = files(town, "old", "snapshots")
    vault.run(f"systemctl start civicops-backup-prune-{TOWN}.service", check=False, timeout=120)
    assert files(town, "old", "snapshots") == before
    body = told(town, "vault")
    assert "2099-01-01" in alarms(body)["snapshot"]
    assert body["server"]["serving"] is True, "the server is back after its pruning"
    pruned = json.loads(vault.run(f"cat /var/lib/civicops/backup-server/{TOWN}/prune.json").stdout)["clients"]
    assert (pruned["pc"]["alarms"], bool(pruned["pc"]["done"])) == ([], True)
    cycle(town)
    assert "2099-01-01" in alarms(told(town, "vault"))["snapshot"], "until somebody has looked at it"
    accept = f"backup-server.pyz accept /etc/civicops/backup-server/{TOWN}/server.json old"
    vault.run(f"python3 -I /var/lib/civicops/programs/{accept}")
    vault.run(f"systemctl start civicops-backup-prune-{TOWN}.service", check=False, timeout=120)
    assert alarms(told(town, "vault")) == {}
    after = files(town, "old", "snapshots")
    assert len(after) == len(before) - 1, "that one has gone, and no other"
    cycle(town)
    assert alarms(told(town, "vault")) == {}


@pytest.mark.parametrize("fault", ["flipped", "truncated", "pack gone", "index gone", "newest snapshot gone"])
def test_what_happens_to_a_repository_is_told_by_the_next_look(town: Town, fault: str) -> None:
    vault = town.host("vault")
    cycle(town)
    before = alarms(told(town, "vault"))
    folder = {"index gone": "index", "newest snapshot gone": "snapshots"}.get(fault, "data")
    target = f"/srv/backup/{TOWN}/pc/{files(town, 'pc', folder)[-1]}"
    vault.run(f"cp -a {target} /root/kept")
    change = {
        "flipped": f"printf '\\377' | dd of={target} bs=1 seek=100 conv=notrunc status=none",
        "truncated": f"truncate -s -7 {target}",
    }
    vault.run(change.get(fault, f"rm {target}"))
    cycle(town)
    found = {one["text"] for one in told(town, "vault")["alarms"]} - set(before.values())
    assert [text for text in found if text.startswith("pc: ") and target.rpartition("/")[2][:40] in text], found
    vault.run(f"cp -a /root/kept {target}; rm /root/kept")
    cycle(town)
    assert alarms(told(town, "vault")) == before


def test_a_truncated_or_failed_dump_is_no_dump(town: Town) -> None:
    pc = town.host("pc")
    listing = pc.run("cat /usr/local/bin/list").stdout
    for script, words in (
        ("echo begin; echo half", "before its end"),
        ("echo begin; echo the end; exit 3", "exit 3"),
        ("exit 0", "has 0 bytes"),
    ):
        pc.run("cat > /usr/local/bin/list", stdin=f"#!/bin/sh\n{script}\n")
        backup(pc, good=False)
        body = told(town, "pc")
        assert words in alarms(body)["dump"]
        assert (body["client"]["last"]["outcome"], body["client"]["complete"]["outcome"]) == ("incomplete", "complete")
        assert "service" in alarms(body)
    pc.run("cat > /usr/local/bin/list", stdin=listing)
    backup(pc)
    assert told(town, "pc")["alarms"] == []


def drill(town: Town, name: str, *more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hold a drill on one host: what the run came to, and its document."""
    done = json.loads(
        town.controller.civicops("run", "drill", TOWN, "--limit", name, "--json", *more, timeout=600).stdout
    )
    return done, next(one for one in reversed(ask_ledger(town, "drill")) if one["run"] == done["run"])


def test_a_drill_proves_that_what_was_saved_comes_back(town: Town) -> None:
    for name in CLIENTS:
        host = town.host(name)
        backup(host)
        before = host.tree("/srv", "/etc")
        done, body = drill(town, name)
        assert (done["exit_status"], body["outcome"], body["newest_known"]) == (0, "done", True), body
        assert body["manifest_sha256"] == told(town, name)["client"]["last"]["manifest_sha256"]
        assert (body["everything"], body["files"]["different"], body["files"]["missing"]) == (True, 0, 0)
        assert body["files"]["equal"] == told(town, name)["client"]["last"]["manifest_files"] > 300
        assert {one["name"]: (one["outcome"], one["rows"]) for one in body["databases"]} == {
            "payroll": ("restored", 500),
            "list": ("not_tried", None),
        }
        assert host.tree("/srv", "/etc") == before
        assert host.run("ls /var/lib/civicops/backup/drill").stdout == ""


def test_a_drill_by_turns_has_everything_in_four(town: Town) -> None:
    body: dict[str, Any] = {}
    compared = []
    for turn in range(4):
        words = f"whole_below=0 turn={turn} record=false"
        done = town.controller.ansible("pc", "-m", "civicops.town.restore_drill", "-a", words, timeout=300)
        body = json.loads(done.stdout.partition("=> ")[2])["document"]
        assert (body["outcome"], body["turn"], body["everything"]) == ("done", turn, False)
        compared.append(body["files"]["equal"])
    files_in_all = told(town, "pc")["client"]["last"]["manifest_files"]
    assert sum(compared) == files_in_all + 3 * len(DUMPS), "dumps come back each time"
    assert max(compared) < files_in_all / 2


def test_a_drill_on_a_new_machine_needs_the_passwords_alone(town: Town) -> None:
    pc = town.host("pc")
    pc.run("mv /var/lib/civicops/backup/manifests /root/manifests")
    body = drill(town, "pc")[1]
    assert (body["outcome"], body["manifest_from"]) == ("done", "repository")
    pc.run("mv /root/manifests /var/lib/civicops/backup/manifests")


def test_a_drill_finds_what_was_damaged(town: Town) -> None:
    pc, vault = town.host("pc"), town.host("vault")
    pc.run(f"head -c 3000000 /dev/urandom > {DATA}/plan.bin")
    backup(pc)
    pack = vault.run(f"cd /srv/backup/{TOWN}/pc/data; find . -type f -size +1000k -printf '%p\\n'").stdout.split()[0]
    path = f"/srv/backup/{TOWN}/pc/data/{pack}"
    vault.run(f"cp -a {path} /root/kept; printf 'xxxx' | dd of={path} bs=1 seek=5000 conv=notrunc status=none")
    done, body = drill(town, "pc")
    assert (done["exit_status"], done["hosts"]["pc"], body["outcome"]) == (1, "failed", "failed")
    assert body["files"]["different"] + body["files"]["missing"] > 0
    vault.run(f"cp -a /root/kept {path}; rm /root/kept")
    assert drill(town, "pc")[1]["outcome"] == "done"


@pytest.mark.skipif(not os.environ.get("CIVICOPS_LONG"), reason="installs a server: set CIVICOPS_LONG=1")
def test_postgresql_is_dumped_restored_into_a_throw_away_server_and_counted(town: Town) -> None:
    pc = town.host("pc")
    pc.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql >/dev/null", timeout=300)
    fill = "create table water (id int, name text); "
    fill += "insert into water select n, 'a\\nb' || n from generate_series(1, 4000) n"
    pc.run(
        f"cd /; runuser -u postgres -- psql -q -c 'create database utility' && "
        f'runuser -u postgres -- psql -q -d utility -c "{fill}"'
    )
    town.vars["backup_client_dumps"] = [
        *DUMPS,
        {"name": "utility", "kind": "postgresql", "database": "utility"},
        {"name": "all", "kind": "postgresql"},
    ]
    town.write()
    try:
        assert run(town, "--limit", "pc")["exit_status"] == 0
        backup(pc)
        databases = {one["name"]: one for one in drill(town, "pc")[1]["databases"]}
        for name in ("utility", "all"):
            assert (databases[name]["outcome"], databases[name]["rows"]) == ("restored", 4000), databases
        assert pc.run("pgrep -c postgres || true").stdout.strip() not in ("", "0"), "the host's own server runs on"
        assert pc.run("ls -d /var/tmp/civicops-* 2>/dev/null || true").stdout == ""
        pc.run("runuser -u postgres -- pg_ctlcluster 15 main stop")
        backup(pc, good=False)
        assert "utility: pg_dump: exit 1" in " ".join(one["text"] for one in told(town, "pc")["alarms"])
    finally:
        town.vars["backup_client_dumps"] = DUMPS
        town.write()
        run(town, "--limit", "pc")
    backup(pc)
    assert told(town, "pc")["alarms"] == []


def test_a_tree_that_somebody_encrypts_is_told_and_its_canary_too(town: Town) -> None:
    pc = town.host("pc")
    backup(pc)
    pc.run(f"cd {DATA}; for one in *; do head -c 64 /dev/urandom > $one.locked; rm $one; done; echo x >> {CANARY}")
    backup(pc)
    found = alarms(told(town, "pc"))
    assert "are gone" in found["changes"]
    assert CANARY in found["canary"]
    again = run(town, "--limit", "pc")
    assert again["hosts"]["pc"] == "ok", "a canary is not mended by the next run of the job"
    assert CANARY in alarms(told(town, "pc"))["canary"]
    pc.run(f'cd {DATA}; rm *; for number in $(seq 300); do echo "letter $number" > letter-$number.txt; done')
    pc.run(f"sed -i '$d' {CANARY}")
    backup(pc)
    backup(pc)
    assert set(alarms(told(town, "pc"))) == {"changes"}, "it is remembered for a week"
    assert run(town, "--limit", "pc")["hosts"]["pc"] == "ok"
    forget_changes(pc)


def forget_changes(host: Host) -> None:
    """As if a week had gone by."""
    host.run('cd /var/lib/civicops/backup; sed -i \'s/"kind": "changes"/"kind": "was"/g\' state.json')


def test_timer_service_password_and_server_are_told_apart(town: Town) -> None:
    pc, vault = town.host("pc"), town.host("vault")
    backup(pc)
    pc.run("systemctl stop civicops-backup.timer")
    body = told(town, "pc")
    assert set(alarms(body)) == {"timer"}
    pc.run("systemctl start civicops-backup.timer")

    vault.run(f"systemctl stop civicops-restic-{TOWN}.service")
    pc.run(f"echo x >> {CANARY}")
    backup(pc, good=False)
    assert CANARY in alarms(told(town, "pc"))["canary"], "what was found before a step fails is told all the same"
    pc.run(f"sed -i '$d' {CANARY}")
    body = told(town, "pc")
    assert {"server", "failed", "service"} <= set(alarms(body))
    assert "can't be reached" in alarms(body)["server"]
    assert "serving" in alarms(told(town, "vault"))
    vault.run(f"systemctl start civicops-restic-{TOWN}.service")

    pc.run("cd /etc/civicops/backup; cp -a repository kept; sed -i 's/pc:pc-to/pc:px-to/' repository")
    backup(pc, good=False)
    assert "refuses this host's password" in alarms(told(town, "pc"))["server"]
    pc.run("cd /etc/civicops/backup; mv kept repository; cp -a password kept; echo another-password > password")
    backup(pc, good=False)
    assert "wrong password" in alarms(told(town, "pc"))["failed"]
    pc.run("cd /etc/civicops/backup; mv kept password")
    backup(pc)
    assert told(town, "pc")["alarms"] == []


def test_a_hung_backup_is_ended_and_told(town: Town) -> None:
    pc = town.host("pc")
    listing = pc.run("cat /usr/local/bin/list").stdout
    pc.run("cat > /usr/local/bin/list", stdin="#!/bin/sh\nsleep 1000\n")
    folder = "/run/systemd/system/civicops-backup.service.d"
    pc.run(f"mkdir -p {folder}; cat > {folder}/x.conf", stdin="[Service]\nTimeoutStartSec=3\n")
    pc.run("systemctl daemon-reload")
    backup(pc, good=False)
    pc.run(f"rm -r {folder}; systemctl daemon-reload")
    assert "timeout" in alarms(told(town, "pc"))["service"]
    pc.run("cat > /usr/local/bin/list", stdin=listing)
    backup(pc)
    body = told(town, "pc")
    assert body["alarms"] == []
    assert body["client"]["outcomes"]["interrupted"] == 1


def test_a_backup_that_never_comes_is_late_by_its_own_schedule(town: Town) -> None:
    vault = town.host("vault")
    backup(town.host("old"))
    old = f"/srv/backup/{TOWN}/old/snapshots"
    vault.run(
        f"cp -a {old} /root/snapshots; touch -d '-20 hours' {old}/*; systemctl start civicops-backup-status-{TOWN}"
    )
    assert "late" not in alarms(told(town, "vault")), "a daily backup may be a day old"
    vault.run(f"touch -d '-27 hours' {old}/*; systemctl start civicops-backup-status-{TOWN}")
    assert alarms(told(town, "vault"))["late"].startswith("old: ")
    vault.run(f"rm -r {old}; mv /root/snapshots {old}; systemctl start civicops-backup-status-{TOWN}")
    assert "late" not in alarms(told(town, "vault"))


def test_secrets_are_nowhere_but_where_they_belong(town: Town) -> None:
    words = [word for one in SECRETS.values() for word in one.values()]
    pattern = "\\|".join(words)
    allowed = {
        "pc": {"/etc/civicops/backup/repository", "/etc/civicops/backup/password"},
        "vault": {f"/var/lib/civicops/backup-server/{TOWN}/secrets/{name}" for name in CLIENTS},
    }
    for name, where in allowed.items():
        host = town.host(name)
        found = host.run(f"grep -rlsa '{pattern}' {SECRET_PLACES} || true", timeout=120).stdout.split()
        assert set(found) == where
        assert host.run(f"stat -c '%a %U' {' '.join(sorted(where))} | sort -u").stdout == "600 root\n"
        assert not any(word in host.run("journalctl --no-pager -o export", timeout=120).stdout for word in words)
    backup_process = town.host("pc").run(
        "systemctl start --no-block civicops-backup; for _ in $(seq 20); do ps axww; sleep 0.1; done"
    )
    assert not any(word in backup_process.stdout for word in words)
    for path in town.folder.rglob("*"):
        if path.is_file() and town.inventory not in path.parents:
            content = path.read_bytes()
            assert not any(word.encode() in content for word in words), path
