"""A town with a backup server and its clients: what tests of backups, and their campaign, do with it."""

from __future__ import annotations

import json
from typing import Any

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
SHARE = "/srv/share"  # a file system of its own
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
    "backup_client_left_out": [SHARE],
    "backup_client_delay": 0,
    "backup_client_time_limit": 120,
}
SMALL = ("--tmpfs", "/srv/backup:size=400m,mode=711")  # so that it can be filled
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


MARIADB = r"""
create database utility;
create database permits;
use utility;
create table water (id int primary key, name text, raw blob, twice int as (id * 2) stored);
insert into water (id, name, raw)
select seq, concat('it''s (a), \\', seq, '\n(b);'), unhex(md5(seq)) from seq_1_to_4000;
create table empty (id int);
create table `o'clock (x``y` (`a, (b` int, at timestamp(6) null, place point) charset latin1;
insert into `o'clock (x``y` values (1, now(), point(1, 2)), (2, null, null);
create table rates (id int, rate int) with system versioning;
insert into rates values (1, 10), (2, 20);
update rates set rate = 30 where id = 2;
create sequence numbers start with 100;
create view seen as select id, name from water;
create event tidy on schedule every 1 day do delete from utility.empty;
delimiter ;;
create procedure fill()
begin
insert into water (id) values (1), (2);
end;;
create trigger filled before insert on empty for each row
begin
set new.id = new.id + 1;
end;;
delimiter ;
create table permits.permits (id int primary key);
insert into permits.permits select seq from seq_1_to_50;
create user clerk@localhost identified by 'a-password-of-the-test';
grant select on utility.* to clerk@localhost;
"""
ROWS = {"utility": (4, 4004), "databases": (5, 4054)}
LDIF = (
    "dn: ou=people,dc=town,dc=example\nobjectClass: organizationalUnit\nou: people\ndescription: x\n dn: no entry\n\n"
)
LDIF += "".join(
    f"dn: cn={name}{where},dc=town,dc=example\nobjectClass: person\ncn: {name}\nsn: {name}\n\n"
    for where, count in ((",ou=people", 100), ("", 200))
    for name in (f"clerk {number}é" for number in range(count))
)


def set_up(make: MakeTown, clients: dict[str, str] = CLIENTS, more: dict[str, Spec] | None = None) -> Town:
    """A server and its clients, with data, before the job has ever run."""
    specs = {"vault": Spec(updates=True, groups=("backup_server",), options=SMALL), **(more or {})}
    options = {"old": (f"--volume={SHARE}",)}
    specs |= {
        name: Spec(release, updates=True, groups=("backup_client",), options=options.get(name, ()))
        for name, release in clients.items()
    }
    made = make(TOWN, specs, timezone="UTC", vars=dict(VARS))
    for name in clients:
        made.host(name).run(MAKE)
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


def drill(town: Town, name: str, *more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hold a drill on one host: what the run came to, and its document."""
    done = json.loads(
        town.controller.civicops("run", "drill", TOWN, "--limit", name, "--json", *more, timeout=600).stdout
    )
    return done, next(one for one in reversed(ask_ledger(town, "drill")) if one["run"] == done["run"])


def forget_changes(host: Host) -> None:
    """As if a week had gone by."""
    host.run('cd /var/lib/civicops/backup; sed -i \'s/"kind": "changes"/"kind": "was"/g\' state.json')
