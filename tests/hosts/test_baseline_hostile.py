"""Hardening a host whose files somebody has prepared against it: what can't be read or written is told control by
control, nothing is written elsewhere, the rest is mended, and all of it goes back."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hosts.conftest import MakeTown
from tests.hosts.hardening import AIDE, OPTIONS, controls, harden_to, reasons, states, take_back
from tests.hosts.host import Host
from tests.hosts.nights import maintenance, window
from tests.hosts.picture import Times, changed_by_a_ping, differing, picture
from tests.hosts.test_hostile import STEERING
from tests.hosts.tools import run
from tests.hosts.town import Spec, Town

PROFILE = "strictest"
SECONDS = 120  # no measure: a host that makes us wait for ever is what it guards against
# Packages are not what this is about, and bring users of their own. Root comes in, as sudo itself hangs on such files.
SKIP = [*AIDE, "ssh-no-root-login", *(one["id"] for one in controls() if one["type"] == "package")]
SCRIPT = "<script>alert(1)</script>"
TEMPLATE = "{{ lookup('pipe', 'touch /tmp/civicops-owned') }}"
# All that a run may touch, and where the links lead that are planted.
LOOKED_AT = ("/boot", "/etc", "/home", "/opt", "/root", "/srv", "/usr/share/pam-configs", "/var/log")
LOGS = {"/var/log/lastlog", "/var/log/wtmp", "/var/log/sudo.log"}  # of those who logged in meanwhile
VICTIM = "/srv/victim"
GONE = "/srv/gone"  # nothing may come to be there
SETUP = f"""
mkdir -p {VICTIM} /boot/grub; echo precious > {VICTIM}/file; echo 'GRUB_CMDLINE_LINUX="quiet"' > {VICTIM}/grub
"""
# Links, directories, pipes, devices and loops stand where configuration is read or written.
IN_THE_WAY = f"""
link() {{ mkdir -p "$(dirname "$2")"; rm -rf "$2"; ln -s "$1" "$2"; }}
place() {{ mkdir -p "$(dirname "$2")"; rm -rf "$2"; "$1" "$2"; }}
device() {{ mknod "$1" c 1 5; }}
link /etc/shadow /etc/issue
link {VICTIM}/file /etc/issue.net
link {GONE} /etc/motd
link cron.deny /etc/cron.allow
link cron.allow /etc/cron.deny
link {VICTIM} /etc/systemd/journald.conf.d
chown -h clerk /etc/systemd/journald.conf.d
link {VICTIM}/grub /etc/default/grub
link {VICTIM}/file /etc/sysctl.d/zz-civicops.conf
link {VICTIM}/file /etc/profile.d/60-civicops-umask.sh
link {VICTIM}/file /etc/security/limits.d/60-civicops.conf
link {GONE} /etc/profile.d/60-civicops-tmout.sh
link /etc/shadow /etc/ssh/ssh_config.d/60-civicops.conf
for folder in sudoers.d/60-civicops modprobe.d/60-civicops-dccp.conf sysctl.d/20-x.conf security/faillock.conf \\
  login.defs; do
  place mkdir /etc/$folder
done
for pipe in sysctl.d/30-x.conf ssh/sshd_config.d/50-x.conf ssh/ssh_config.d/50-x.conf modprobe.d/x.conf cron.d/x \\
  apt/apt.conf.d/50x profile.d/x.sh sudoers.d/x systemd/coredump.conf; do
  place mkfifo /etc/$pipe
done
place device /etc/default/useradd
place mkfifo /home/clerk/.netrc
place mkfifo /var/log/x.fifo
mkdir -p /home/clerk/a/b /var/log/a /etc/ssl/private
ln -s ../.. /home/clerk/a/b/up
ln -s loop /home/clerk/.loop
ln -s .. /var/log/a/up
ln -s self /var/log/self
ln -s /etc/shadow /var/log/x.log
ln -s /etc/shadow /home/clerk/.rhosts
ln -s /etc/shadow /etc/ssh/ssh_host_x_key
"""
# Where the file system takes it, root can't write here either.
READ_ONLY = """
mkdir -p /etc/systemd/coredump.conf.d
mount --bind /etc/systemd/coredump.conf.d /etc/systemd/coredump.conf.d
mount -o remount,bind,ro /etc/systemd/coredump.conf.d
chattr +i /etc/bash.bashrc || true
"""
# Far too much, and what is no text.
TOO_MUCH = rf"""
for place in sysctl.d/10-x.conf ssh/sshd_config.d/50-x.conf login.defs; do
  yes '# nothing but a comment that is somewhat longer than others' | head -c 100M >> /etc/$place
done
head -c 100M /dev/zero | tr '\0' '#' > /etc/sudoers.d/x
chmod 440 /etc/sudoers.d/x
head -c 64K /dev/urandom | tr -d '\n' > /etc/modprobe.d/x.conf
head -c 64K /dev/urandom > /etc/security/limits.d/x.conf
{{ head -c 4K /dev/urandom; printf '\nDebian\n'; }} > /etc/issue
printf '\033]0;owned\007 {SCRIPT} {{{{ 7*7 }}}} \377 Debian' > /etc/motd
printf '\377\376 \303(\n\000\000 = \200\n' >> /etc/security/faillock.conf
{{ printf 'umask '; head -c 1M /dev/zero | tr '\0' 7; echo; }} > /etc/profile.d/x.sh
{{ printf 'Compress='; head -c 1M /dev/zero | tr '\0' x; echo; }} >> /etc/systemd/journald.conf
mkdir -p /etc/systemd/coredump.conf.d
printf '[Coredump]\nStorage=\377\033[31m\nProcessSizeMax=\342\200\256x\n' > /etc/systemd/coredump.conf.d/x.conf
"""
# Names that steer a terminal, a template, a page, or a line's end.
NAMES = r"""
name() { echo x > "$1"; chmod 666 "$1"; }
cd /var/log
for name in 'a\nb.log' '\033[31mred.log' '{{ 7*7 }}.log' '\377\376.log' '<b>x<b>.log'; do name "$(printf "$name")"; done
cd /home/clerk
for name in '.a\nb' '.\033[31m' '.{{ 7*7 }}' '.\377'; do name "$(printf "$name")"; done
chown -h clerk:clerk .[!.]*
cd /opt; name "$(printf 'open\nto\377all')"
printf 'net.ipv4.conf.all.log_martians = 0\n' > "/etc/sysctl.d/$(printf 'a\n\033[31m\377.conf')"
"""
MENDED = ("file-crontab", "file-cron-folders", "module-no-cramfs")  # whatever else stands in the way


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    options = (*OPTIONS, "--cap-add", "MKNOD", "--cap-add", "LINUX_IMMUTABLE")
    specs = {"web1": Spec("bookworm", options=options)}
    town = make_town("riverton", specs, timezone="UTC", town=maintenance(window(jobs=["baseline"])))
    town.host("web1").run(SETUP)
    return town


def texts(value: object) -> Iterator[str]:
    """Every text of a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in (*value, *value.values()):
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def shows(body: dict[str, Any]) -> None:
    """A document that a terminal and a page may show."""
    for text in texts(body):
        assert not set(text) & STEERING, ascii(text)
        text.encode()


def passwords(host: Host) -> str:
    return host.run("cut -d: -f1,2 /etc/shadow").stdout


def hardened_and_put_back(town: Town) -> dict[str, Any]:
    """Audit, enforce and put back; what the host said of enforcement."""
    host = town.host("web1")
    logins = changed_by_a_ping(town, "web1", *LOOKED_AT)
    before, secrets = picture(host, *LOOKED_AT), passwords(host)

    audit = harden_to(town, PROFILE, "--check", baseline_skip=SKIP)[1]["web1"]
    assert set(differing(before, picture(host, *LOOKED_AT))) <= logins, "an audit changes nothing"
    name, found = harden_to(town, PROFILE, baseline_skip=SKIP)
    done, now = found["web1"], picture(host, *LOOKED_AT)
    changed = set(differing(before, now)) - logins
    assert GONE not in now
    assert {path for path in changed if path.startswith(VICTIM)} == set(), "written through a link"
    assert passwords(host) == secrets
    links = {path for path, file in before.items() if not stat.S_ISREG(file.mode) and not stat.S_ISDIR(file.mode)}
    assert changed & links == set(), "what is no file was put away"
    back = take_back(town, name)["web1"]
    assert (back["undone"]["failed"], back["undone"]["left"]) == ([], [])
    changed = set(differing(before, picture(host, *LOOKED_AT), times=Times.FILES)) - logins
    assert changed - LOGS == set()

    assert (audit["outcome"], done["outcome"], done["login"]) == ("planned", "done", "confirmed"), done["reason"]
    for body in (audit, done, back):
        shows(body)
        assert body["took_seconds"] < SECONDS
    assert {name: states(done).get(name) for name in MENDED} == dict.fromkeys(MENDED, ("changed", True))
    return done


def test_links_pipes_and_devices_where_files_are_wanted(town: Town) -> None:
    host = town.host("web1")
    host.run(IN_THE_WAY)
    process = run(["podman", "inspect", "--format", "{{.State.Pid}}", host.container]).stdout.strip()
    run(["nsenter", "-t", process, "-m", "sh", "-ec", READ_ONLY])
    done = hardened_and_put_back(town)
    refused = ("banner-issue", "banner-issue-net", "banner-motd", "coredump-limit", "journal-compressed")
    assert {name: states(done)[name] for name in refused} == dict.fromkeys(refused, ("failed", False))
    assert states(done)["ssh-login-time"][0] == "error", "sshd itself waits for the pipe"
    assert states(done)["accounts-hash"][0] == "error"


def test_files_that_are_too_long_or_no_text_and_names_that_steer(town: Town) -> None:
    host = town.host("web1")
    host.run(TOO_MUCH + NAMES, timeout=300)
    done = hardened_and_put_back(town)
    told = reasons(done, "error")
    for name in ("ssh-login-time", "accounts-hash", "sudo-pty", "journal-compressed", "net-syn-cookies"):
        assert "is longer than" in told[name][4], name
    for name in ("log-files", "home-dot-files"):
        assert "/etc/login.defs is longer than" in told[name][4], "whose accounts are people's stands there"
    mended = ("sweep-world-writable", "banner-issue", "banner-motd")
    assert {name: states(done)[name] for name in mended} == dict.fromkeys(mended, ("changed", True))
