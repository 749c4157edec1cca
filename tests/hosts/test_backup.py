"""Backups on real hosts: set up once, taken by the hosts themselves, and every fault of them told."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.hosts.backups import (
    CANARY,
    CLIENTS,
    DATA,
    DUMPS,
    LDIF,
    MARIADB,
    PATHS,
    ROWS,
    SECRET_PLACES,
    SECRETS,
    SHARE,
    TOWN,
    alarms,
    backup,
    curl,
    cycle,
    drill,
    files,
    forget_changes,
    restic,
    run,
    set_up,
    told,
)
from tests.hosts.conftest import MakeTown
from tests.hosts.host import Host
from tests.hosts.long import long
from tests.hosts.nights import ask_ledger
from tests.hosts.town import Spec, Town

MORE = {
    "second": Spec(updates=True, groups=("backup_copy",)),
    "spare": Spec(updates=True, groups=("restore_target",), vars={"restore_drill_of": "pc"}),
}
SETTINGS = "/etc/civicops/backup-server"
LONG = long("a minute")
KINDS = ("secrets", "copy")
ASKED = ("vault", "second", *CLIENTS)


def of(done: dict[str, Any]) -> set[str]:
    """What the job's hosts came to."""
    return {done["hosts"][name] for name in ASKED}


@pytest.fixture(scope="module")
def town(make_module_town: MakeTown) -> Town:
    """Two servers and two clients, set up by the job, and a machine that holds nothing."""
    made = set_up(make_module_town, more=MORE)
    checked = run(made, "--check")
    assert (checked["exit_status"], of(checked)) == (0, {"changed"})
    assert made.host("vault").run("ls /etc/civicops 2>/dev/null || true").stdout == ""
    done = run(made)
    assert (done["exit_status"], of(done)) == (0, {"changed"})
    return made


def test_a_second_run_changes_nothing_and_a_check_neither(town: Town) -> None:
    for more in ((), ("--check",)):
        done = run(town, *more)
        assert (done["exit_status"], of(done)) == (0, {"ok"})
    documents = {one["host"]: one for one in ask_ledger(town, "backup-status") if one["run"] == done["run"]}
    assert set(documents) == set(ASKED)
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


def test_another_towns_backups_on_the_same_server_are_closed(town: Town) -> None:
    """Each town has a user, a directory and a port of its own there; a host's password opens none of another's."""
    pc, vault = town.host("pc"), town.host("vault")
    theirs = {"server_password": "theirs-to-the-server-0123456789", "repository_password": "theirs-of-it-0123456789"}
    options = {
        "town": "mudville",
        "port": 8001,
        "names": [vault.address],
        "clients": [{"name": "pc", "schedule": "*-*-* 01:00", **theirs}],
    }
    town.controller.ansible("vault", "-m", "civicops.town.backup_server", "-a", json.dumps(options), timeout=120)
    vault.run("runuser -u backup-mudville -- install -D /dev/null /srv/backup/mudville/pc/config")
    pc.run("cd /etc/civicops/backup; cp -a repository kept; sed -i s/:8000/:8001/ repository; cp server.pem own.pem")
    pc.run("cat > /etc/civicops/backup/server.pem", stdin=vault.read(f"{SETTINGS}/mudville/authority.pem").decode())
    try:
        for method, path in (("GET", "/pc/config"), ("POST", "/pc/data/" + "0" * 64), ("DELETE", "/pc/config")):
            assert curl(pc, method, path, *(["x"] if method == "POST" else [])) == "401"
        code, said = restic(pc, "snapshots")
        assert (code != 0, "401" in said) == (True, True), said
    finally:
        pc.run("cd /etc/civicops/backup; mv kept repository; mv own.pem server.pem")
    for ours, folder in ((TOWN, "mudville"), ("mudville", TOWN)):
        for place in (f"/srv/backup/{folder}/pc/config", f"{SETTINGS}/{folder}/server.key"):
            assert vault.run(f"runuser -u backup-{ours} -- cat {place}", check=False).returncode != 0
    vault.run("systemctl disable --now civicops-restic-mudville 'civicops-backup-*-mudville.timer'", check=False)


@LONG
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


@LONG
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


@LONG
def test_a_dump_that_shrinks_is_told_until_somebody_accepts_it(town: Town) -> None:
    pc = town.host("pc")
    listing = pc.run("cat /usr/local/bin/list").stdout
    accept = "python3 -I /var/lib/civicops/programs/backup.pyz accept"
    pc.run("cat > /usr/local/bin/list", stdin="#!/bin/sh\nseq 1000\necho the end\n")
    backup(pc)
    pc.run("cat > /usr/local/bin/list", stdin=listing)
    for _ in range(2):
        backup(pc)
        assert "the last good one had" in alarms(told(town, "pc"))["dump"]
    assert pc.run(f"{accept} lists", check=False).returncode == 2
    assert "list: " in pc.run(f"{accept} list").stdout
    backup(pc)
    assert told(town, "pc")["alarms"] == []


@LONG
def test_a_file_system_that_is_left_out_is_told_unless_it_is_on_purpose(town: Town) -> None:
    old = town.host("old")
    old.run(f"echo x > {SHARE}/letter")
    backup(old)
    body = told(town, "old")
    assert (body["client"]["left_out"], body["alarms"]) == ([SHARE], [])
    try:
        town.vars["backup_client_left_out"] = []
        town.write()
        assert run(town, "--limit", "old")["hosts"]["old"] == "changed"
        backup(old)
        assert alarms(told(town, "old")) == {"left_out": f"another file system is mounted at {SHARE}, and is not saved"}
        assert f"{SHARE}/letter" not in restic(old, "ls", "latest", "--tag", "civicops")[1]
        town.vars["backup_client_paths"] = [*PATHS, SHARE]
        town.write()
        run(town, "--limit", "old")
        backup(old)
        body = told(town, "old")
        assert (body["client"]["left_out"], body["alarms"]) == ([], [])
        assert f"{SHARE}/letter" in restic(old, "ls", "latest", "--tag", "civicops")[1]
    finally:
        town.vars.update(backup_client_left_out=[SHARE], backup_client_paths=PATHS)
        town.write()
        run(town, "--limit", "old")
    backup(old)


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


@LONG
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


def databases_of(drilled: dict[str, Any]) -> dict[str, tuple[str, Any, Any, str]]:
    return {one["name"]: (one["outcome"], one["tables"], one["rows"], one["reason"]) for one in drilled["databases"]}


def stand_in(host: Host, program: str, script: str) -> None:
    """Have another program in a program's place, until `put_back`."""
    host.run(f"test -e {program}.real || mv {program} {program}.real")
    host.run(f"cat > {program}; chmod 755 {program}", stdin=f"#!/bin/sh\n{script}\n")


def put_back(host: Host, program: str) -> None:
    host.run(f"test ! -e {program}.real || mv -f {program}.real {program}")


@LONG
def test_mariadb_is_dumped_restored_and_counted_table_by_table(town: Town) -> None:
    pc, tool = town.host("pc"), "/usr/bin/mysqldump"
    pc.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q mariadb-server >/dev/null", timeout=600)
    pc.run("mariadb", stdin=MARIADB)
    before = pc.run("pgrep mariadbd; find /var/lib/mysql -maxdepth 1 | sort").stdout
    kept = "/var/lib/civicops/backup/dumps/utility.sql"
    town.vars["backup_client_dumps"] = [
        *DUMPS,
        {"name": "utility", "kind": "mysql", "database": "utility"},
        {"name": "databases", "kind": "mysql"},
    ]
    town.write()
    try:
        assert run(town, "--limit", "pc")["exit_status"] == 0
        backup(pc)
        found = databases_of(drill(town, "pc")[1])
        for name, (tables, rows) in ROWS.items():
            assert found[name] == ("restored", tables, rows, "")
        assert pc.run("ls -d /var/tmp/civicops-* 2>/dev/null || true").stdout == ""
        assert pc.run("pgrep mariadbd; find /var/lib/mysql -maxdepth 1 | sort").stdout == before

        good = pc.run(f"sha256sum {kept}").stdout
        stand_in(pc, tool, f'{tool}.real "$@" | head -c 20000')
        backup(pc, good=False)
        assert "utility: the dump ends before its end" in " ".join(one["text"] for one in told(town, "pc")["alarms"])
        assert pc.run(f"sha256sum {kept}").stdout == good
        assert databases_of(drill(town, "pc")[1])["utility"][:3] == ("restored", *ROWS["utility"])

        stand_in(pc, tool, f"{tool}.real \"$@\" | sed '/^CREATE TABLE .rates/,/;$/d'")
        backup(pc)
        done, body = drill(town, "pc")
        assert (done["exit_status"], body["outcome"]) == (1, "failed")
        for name in ROWS:
            assert "Table 'utility.rates' doesn't exist" in databases_of(body)[name][3]
        assert pc.run("ls -d /var/tmp/civicops-* 2>/dev/null || true").stdout == ""
        assert pc.run("pgrep mariadbd; find /var/lib/mysql -maxdepth 1 | sort").stdout == before
        put_back(pc, tool)
        pc.run("systemctl stop mariadb")
        backup(pc, good=False)
        assert "utility: mysqldump: exit 2" in " ".join(one["text"] for one in told(town, "pc")["alarms"])
    finally:
        put_back(pc, tool)
        town.vars["backup_client_dumps"] = DUMPS
        town.write()
        run(town, "--limit", "pc")
    for _ in range(2):
        backup(pc)
    forget_changes(pc)
    assert told(town, "pc")["alarms"] == []


@LONG
def test_a_directory_is_dumped_loaded_elsewhere_and_counted(town: Town) -> None:
    pc, tool = town.host("pc"), "/usr/sbin/slapcat"
    answers = "slapd slapd/domain string town.example\nslapd shared/organization string town\n"
    pc.run("debconf-set-selections", stdin=answers)
    pc.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q slapd >/dev/null", timeout=300)
    stop = "kill $(cat /run/slapd/slapd.pid) && while pgrep -x slapd; do sleep 0.1; done"
    pc.run(f"systemctl stop slapd; {stop}")
    pc.run("cd /; runuser -u openldap -- /usr/sbin/slapadd -b dc=town,dc=example", stdin=LDIF)
    pc.run("systemctl start slapd")
    before = pc.run("pgrep slapd; ls /var/lib/ldap; sha256sum /var/lib/ldap/data.mdb").stdout
    kept = "/var/lib/civicops/backup/dumps/people.ldif"
    entries = int(pc.run("slapcat | grep -c ^dn:").stdout)
    assert entries > 300
    town.vars["backup_client_dumps"] = [
        *DUMPS,
        {"name": "people", "kind": "ldap", "database": "dc=town,dc=example"},
        {"name": "first", "kind": "ldap"},
        {"name": "settings", "kind": "ldap", "database": "cn=config"},
    ]
    town.write()
    try:
        assert run(town, "--limit", "pc")["exit_status"] == 0
        backup(pc)
        found = databases_of(drill(town, "pc")[1])
        for name in ("people", "first"):
            assert found[name] == ("restored", None, entries, "")
        assert (found["settings"][0], found["settings"][2] > 5) == ("restored", True)

        good = pc.run(f"sha256sum {kept}").stdout
        stand_in(pc, tool, '/usr/sbin/slapd -T cat "$@" | head -c 30000')
        backup(pc, good=False)
        put_back(pc, tool)
        assert "people: the dump ends before its end" in " ".join(one["text"] for one in told(town, "pc")["alarms"])
        assert pc.run(f"sha256sum {kept}").stdout == good
        assert databases_of(drill(town, "pc")[1])["people"] == ("restored", None, entries, "")

        stand_in(pc, tool, "/usr/sbin/slapd -T cat \"$@\" | sed '/^dn: ou=people/,/^$/d'")
        backup(pc)
        put_back(pc, tool)
        done, body = drill(town, "pc")
        assert (done["exit_status"], body["outcome"]) == (1, "failed")
        assert "slapadd: exit 1" in databases_of(body)["people"][3]
        assert pc.run("ls -d /var/tmp/civicops-* 2>/dev/null || true").stdout == ""
        assert pc.run("pgrep slapd; ls /var/lib/ldap; sha256sum /var/lib/ldap/data.mdb").stdout == before
    finally:
        put_back(pc, tool)
        town.vars["backup_client_dumps"] = DUMPS
        town.write()
        run(town, "--limit", "pc")
    for _ in range(2):
        backup(pc)
    forget_changes(pc)
    assert told(town, "pc")["alarms"] == []


@LONG
def test_a_tree_that_somebody_encrypts_is_told_and_its_canary_too(town: Town) -> None:
    pc = town.host("pc")
    pc.run(f"cd {DATA}; for number in $(seq 301 1000); do echo letter $number > letter-$number.txt; done")
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


def copy(town: Town, *, good: bool = True) -> str:
    """Have the server bring what is new to the second one, as its timer would; what it says."""
    vault, unit = town.host("vault"), f"civicops-backup-copy-{TOWN}.service"
    done = vault.run(f"systemctl start {unit}", timeout=300, check=False)
    said = vault.run(f"journalctl --sync; journalctl -u {unit} -n 8 --no-pager -o cat").stdout
    assert (done.returncode == 0) == good, said
    return said


def snapshots(host: Host, name: str) -> set[str]:
    """The snapshots of a repository that a server has, by when they say that they were made."""
    words = (
        f"RESTIC_PASSWORD={SECRETS[name]['repository']} restic -r /srv/backup/{TOWN}/{name} snapshots --json --no-lock"
    )
    return {one["time"] for one in json.loads(host.run(words).stdout)}


def test_a_second_server_has_everything_and_keeps_what_the_first_has_lost(town: Town) -> None:
    vault, second = town.host("vault"), town.host("second")
    for name in CLIENTS:
        backup(town.host(name))
    copy(town)
    cycle(town)
    for name in CLIENTS:
        assert snapshots(second, name) == snapshots(vault, name) != set()
    body = told(town, "vault")
    assert body["alarms"] == []
    kept = {one["name"]: (bool(one["copied_at"]), one["snapshots"]) for one in body["server"]["copy"]["clients"]}
    assert kept == {name: (True, len(snapshots(vault, name))) for name in CLIENTS}
    second.run(f"systemctl start civicops-backup-cycle-{TOWN}.service")
    assert told(town, "second")["alarms"] == []
    assert second.run(f"stat -c %U /srv/backup/{TOWN}/pc/config").stdout == f"backup-{TOWN}\n"
    # What is copied comes back, by the host's own password alone.
    words = f"RESTIC_PASSWORD={SECRETS['pc']['repository']} restic -r /srv/backup/{TOWN}/pc"
    second.run(f"{words} restore latest --tag civicops --target /root/back && {words} check", timeout=120)
    assert second.run("cat /root/back/srv/data/letter-7.txt; rm -r /root/back").stdout == "letter 7\n"
    # Somebody deletes everything on the first server: the second one keeps it, and the copy goes on.
    before = snapshots(second, "pc")
    gone = f"/srv/backup/{TOWN}/pc/snapshots"
    vault.run(f"cp -a {gone} /root/kept; rm {gone}/*")
    backup(town.host("pc"))
    copy(town)
    assert before < snapshots(second, "pc")
    vault.run(f"cp -a /root/kept/. {gone}/; rm -r /root/kept")
    cycle(town)
    assert told(town, "vault")["alarms"] == []


def test_whoever_owns_the_first_server_deletes_nothing_on_the_second(town: Town) -> None:
    vault, second = town.host("vault"), town.host("second")
    copy(town)
    before = second.run(f"cd /srv/backup/{TOWN}; find . -type f | grep -v /locks/ | sort").stdout
    place = f"{second.address}:8000/pc/"
    words = f"RESTIC_REPOSITORY=rest:https://pc:{SECRETS['pc']['server']}@{place} timeout 15 restic"
    words = (
        f"RESTIC_PASSWORD={SECRETS['pc']['repository']} {words} --cacert /etc/civicops/backup-server/{TOWN}/copy.pem"
    )
    for arguments in ("forget latest", "forget --prune --keep-last 1 --group-by host", "prune"):
        assert vault.run(f"{words} {arguments}", check=False).returncode != 0
    assert second.run(f"cd /srv/backup/{TOWN}; find . -type f | grep -v /locks/ | sort").stdout == before
    second.run(f"rm -f /srv/backup/{TOWN}/pc/locks/*")  # a lock is all that it can leave, for half an hour


@LONG
def test_a_copy_that_is_not_made_is_told(town: Town) -> None:
    vault, second = town.host("vault"), town.host("second")
    state = f"/var/lib/civicops/backup-server/{TOWN}/copy.json"
    copy(town)
    second.run(f"systemctl stop civicops-restic-{TOWN}.service")
    backup(town.host("pc"))
    assert "connection refused" in copy(town, good=False)
    assert alarms(told(town, "vault"))["copy"].startswith("pc: restic cat: ")
    second.run(f"systemctl start civicops-restic-{TOWN}.service")
    copy(town)
    assert told(town, "vault")["alarms"] == []
    with second.unreachable():
        done = run(town, "--limit", "vault,second")
    assert (done["hosts"]["vault"], done["hosts"]["second"]) == ("ok", "unreachable"), done["reasons"]
    # Its repository is gone: that is no reason to make another, and to tell nobody.
    anew = f"systemctl restart civicops-restic-{TOWN}.service"  # rclone remembers what it has seen
    second.run(f"mv /srv/backup/{TOWN}/pc /root/gone; {anew}")
    backup(town.host("pc"))
    assert "the copy is gone from the second server" in copy(town, good=False)
    assert second.run(f"ls /srv/backup/{TOWN}").stdout.split() == ["old"]
    second.run(f"mv /root/gone /srv/backup/{TOWN}/pc; {anew}")
    copy(town)
    # It was not made for two days.
    vault.run(
        f"python3 -c \"import json; d = json.load(open('{state}')); d['clients']['pc']['copied_at'] -= 180000; "
        f"json.dump(d, open('{state}', 'w'))\""
    )
    assert "was not brought up to date since" in alarms(told(town, "vault"))["copy"]
    copy(town)
    vault.run(f"systemctl stop civicops-backup-copy-{TOWN}.timer")
    assert "timer" in alarms(told(town, "vault"))["copy"]
    vault.run(f"systemctl start civicops-backup-copy-{TOWN}.timer")
    assert told(town, "vault")["alarms"] == []


def test_a_machine_that_holds_nothing_restores_a_whole_host(town: Town) -> None:
    pc, spare = town.host("pc"), town.host("spare")
    pc.run(
        "mkdir -p /srv/odd; cd /srv/odd; echo x > tool; chmod 6755 tool; chown clerk tool; ln -s tool link; "
        "mkdir -m 1777 drop; mkfifo pipe; touch 'a *[b]'"
    )
    backup(pc)
    kept = "/var/lib/civicops/restored"
    spare.run(f"mkdir -p {kept}/srv; touch {kept}/srv/left {kept}.drill")  # by a drill that was cut off
    done, body = drill(town, "spare")
    assert (done["exit_status"], done["hosts"]["spare"], body["outcome"]) == (0, "changed", "done"), body
    assert (body["of"], body["written"], body["manifest_from"]) == ("pc", True, "repository")
    assert body["files"]["equal"] == told(town, "pc")["client"]["last"]["manifest_files"] > 300
    assert {one["name"]: (one["outcome"], one["rows"]) for one in body["databases"]}["payroll"] == ("restored", 500)
    assert spare.run("ls /var/lib/civicops; ls -d /tmp/civicops-* 2>/dev/null || true").stdout == ""
    pc.run("rm -r /srv/odd")


def test_a_printed_password_is_known_to_be_the_one_in_use(town: Town) -> None:
    sealed = town.controller.civicops(
        "seal", "pc", "--place", "the clerk's safe", stdin=SECRETS["pc"]["repository"]
    ).stdout
    other = town.controller.civicops("seal", "old", stdin="a-password-of-last-year").stdout
    town.vars["backup_escrow"] = {**yaml.safe_load(sealed)["backup_escrow"], **yaml.safe_load(other)["backup_escrow"]}
    town.write()
    try:
        done = run(town)
        documents = {one["host"]: one for one in ask_ledger(town, "backup-status") if one["run"] == done["run"]}
    finally:
        del town.vars["backup_escrow"]
        town.write()
    states = {name: documents[name]["client"]["escrow"]["state"] for name in CLIENTS}
    assert states == {"pc": "known", "old": "differs"}
    assert "escrow" in alarms(documents["old"])
    assert "escrow" not in alarms(documents["pc"])


@LONG
def test_a_full_disk_of_the_server_is_told_and_harms_nothing(town: Town) -> None:
    pc, vault = town.host("pc"), town.host("vault")
    vault.run("cat /dev/zero > /srv/backup/ballast", check=False)
    pc.run(f"head -c 8000000 /dev/urandom > {DATA}/new.bin")
    backup(pc, good=False)
    assert {"failed", "service"} <= set(alarms(told(town, "pc")))
    assert "disk" in alarms(told(town, "vault"))
    vault.run("rm /srv/backup/ballast")
    backup(pc)
    cycle(town)
    assert alarms(told(town, "pc")) == {}
    assert set(alarms(told(town, "vault"))) <= {"partial"}, "what was cut off is told, and is no harm"
    assert drill(town, "pc")[1]["outcome"] == "done"
    pc.run(f"rm {DATA}/new.bin")
    backup(pc)
    forget_changes(pc)
    accept = f"backup-server.pyz accept /etc/civicops/backup-server/{TOWN}/server.json pc"
    vault.run(f"python3 -I /var/lib/civicops/programs/{accept}")
    assert told(town, "vault")["alarms"] == []


@LONG
def test_a_certificate_that_has_ended_is_told_and_mended_by_the_job(town: Town) -> None:
    pc, vault = town.host("pc"), town.host("vault")
    folder = f"/etc/civicops/backup-server/{TOWN}"
    vault.run(
        f"cd {folder}; openssl req -new -key server.key -subj /CN=backup -out /root/r; "
        f"echo subjectAltName=IP:{vault.address} > /root/x; openssl x509 -req -in /root/r -CA authority.pem "
        "-CAkey authority.key -set_serial 77 -days -1 -extfile /root/x -out server.pem; rm /root/r /root/x; "
        f"systemctl restart civicops-restic-{TOWN}"
    )
    backup(pc, good=False)
    assert "certificate" in alarms(told(town, "pc"))["server"]
    cycle(town)
    assert "certificate" in alarms(told(town, "vault"))
    assert run(town)["hosts"]["vault"] == "changed"
    backup(pc)
    cycle(town)
    assert (told(town, "pc")["alarms"], told(town, "vault")["alarms"]) == ([], [])


def test_secrets_are_nowhere_but_where_they_belong(town: Town) -> None:
    words = [word for one in SECRETS.values() for word in one.values()]
    pattern = "\\|".join(words)
    allowed = {
        "pc": {"/etc/civicops/backup/repository", "/etc/civicops/backup/password"},
        "vault": {f"/var/lib/civicops/backup-server/{TOWN}/{kind}/{name}" for name in CLIENTS for kind in KINDS},
        "second": {f"/var/lib/civicops/backup-server/{TOWN}/secrets/{name}" for name in CLIENTS},
        "spare": set(),
    }
    for name, where in allowed.items():
        host = town.host(name)
        found = host.run(f"grep -rlsa '{pattern}' {SECRET_PLACES} || true", timeout=120).stdout.split()
        assert set(found) == where
        modes = host.run(f"for one in {' '.join(where)}; do stat -c '%a %U' $one; done").stdout
        assert set(modes.splitlines()) <= {"600 root"}
        assert not any(word in host.run("journalctl --no-pager -o export", timeout=120).stdout for word in words)
    backup_process = town.host("pc").run(
        "systemctl start --no-block civicops-backup; for _ in $(seq 20); do ps axww; sleep 0.1; done"
    )
    assert not any(word in backup_process.stdout for word in words)
    for path in town.folder.rglob("*"):
        if path.is_file() and town.inventory not in path.parents:
            content = path.read_bytes()
            assert not any(word.encode() in content for word in words), path
