"""Every type of control with a setting of its kind broken by hand on a real host, and how its mending is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Break:
    """One type: what breaks a setting, the control that finds it, and what succeeds where it is mended.

    An empty `look`: such a finding is for people and never mended. `state` is what enforcement says of it.
    """

    type: str
    params: dict[str, Any]
    broken_by: str
    look: str = ""
    state: str = "changed"

    @property
    def id(self) -> str:
        return f"x-{self.type.replace('_', '-')}"

    @property
    def control(self) -> dict[str, Any]:
        """As `baseline_own` takes it."""
        return {"id": self.id, "type": self.type, "params": self.params}


def _people(kind: str, params: dict[str, Any], broken_by: str) -> Break:
    return Break(kind, params, broken_by, state="failed")


BREAKS = (
    Break(
        "access_list",
        {"service": "cron"},
        "rm -f /etc/cron.allow; echo clerk > /etc/cron.deny",
        "test -s /etc/cron.allow -a ! -e /etc/cron.deny",
    ),
    Break(
        "account",
        {"check": "max_days", "value": 365},
        "chage -M 99999 ops",
        "getent shadow ops | cut -d: -f5 | grep -qx 365",
    ),
    Break(
        "apt_setting",
        {"key": "APT::Get::AllowUnauthenticated", "value": "false"},
        "echo 'APT::Get::AllowUnauthenticated \"true\";' > /etc/apt/apt.conf.d/10x",
        "apt-config dump APT::Get::AllowUnauthenticated | grep -q false",
    ),
    Break(
        "audit_rule",
        {"name": "scope", "rules": ["-w /etc/sudoers -p wa -k scope"]},
        "rm -f /etc/audit/rules.d/60-civicops-scope.rules",
        "grep -q scope /etc/audit/rules.d/60-civicops-scope.rules /etc/audit/audit.rules",
        "not_enforceable",  # no container loads rules into the machine's kernel
    ),
    Break("banner", {"path": "/etc/issue"}, "echo 'Debian \\s \\m' > /etc/issue", "! grep -qi debian /etc/issue"),
    _people(
        "certificate",
        {"paths": ["/etc/ssl/x.pem"], "days": 21},
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=x -days 3 -out /etc/ssl/x.pem",
    ),
    Break(
        "file",
        {"paths": ["/etc/crontab"], "mode": "0600"},
        "chmod 666 /etc/crontab; chown clerk /etc/crontab",
        "test \"$(stat -c '%a %U' /etc/crontab)\" = '600 root'",
    ),
    Break("file_absent", {"paths": ["/etc/hosts.equiv"]}, "echo + > /etc/hosts.equiv", "test ! -e /etc/hosts.equiv"),
    Break(
        "file_content",
        {"path": "/etc/profile.d/x.sh", "content": ["TMOUT=900"]},
        "echo TMOUT=0 > /etc/profile.d/x.sh",
        "grep -qx TMOUT=900 /etc/profile.d/x.sh",
    ),
    Break("firewall", {"default": "drop"}, "nft flush ruleset", "nft list ruleset | grep -q 'policy drop'"),
    Break(
        "home",
        {"check": "mode", "value": "0750"},
        "chmod 777 /home/clerk",
        'test "$(stat -c %a /home/clerk)" = 750',
    ),
    Break(
        "kernel_module",
        {"module": "cramfs"},
        "grep -rl cramfs /etc/modprobe.d | xargs -r rm",
        "modprobe --showconfig | grep -q 'install cramfs .*false'",
    ),
    Break(
        "limits",
        {"domain": "*", "kind": "hard", "item": "core", "value": "0"},
        "echo '* hard core unlimited' > /etc/security/limits.d/90-x.conf",
        "su - clerk -c 'ulimit -Hc' | grep -qx 0",
    ),
    Break(
        "log_files",
        {},
        "echo x > /var/log/x.log; chmod 666 /var/log/x.log",
        'test "$(stat -c %a /var/log/x.log)" = 640',
    ),
    Break("package", {"debian": ["ed"]}, "! dpkg -s ed 2>/dev/null", "dpkg -s ed | grep -q 'install ok installed'"),
    Break(
        "pam_module",
        {"module": "pam_unix", "arguments": {"nullok": False}},
        "grep -q nullok /etc/pam.d/common-auth",
        "! grep -q nullok /etc/pam.d/common-auth",
    ),
    _people("root_path", {}, "printf 'PATH=.:/tmp:$PATH\\n' >> /root/.bashrc"),
    Break(
        "service",
        {"unit": "x-spare.service", "state": "off"},
        "printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n'"
        " > /etc/systemd/system/x-spare.service; systemctl daemon-reload; systemctl enable --now x-spare.service",
        "! systemctl is-active -q x-spare.service && ! systemctl is-enabled -q x-spare.service",
    ),
    Break(
        "setting",
        {"path": "/etc/login.defs", "key": "PASS_MAX_DAYS", "value": ["1", "365"], "op": "range", "style": "space"},
        "sed -i 's/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 99999/' /etc/login.defs",
        "grep -Eq '^PASS_MAX_DAYS\\s+365' /etc/login.defs",
    ),
    Break(
        "ssh_client",
        {"option": "HashKnownHosts", "value": "yes"},
        "sed -i 's/HashKnownHosts.*/HashKnownHosts no/' /etc/ssh/ssh_config",
        "ssh -G -F /etc/ssh/ssh_config example.invalid | grep -qx 'hashknownhosts yes'",
    ),
    Break(
        "ssh_host_keys",
        {"types": ["ed25519", "rsa"], "rsa_bits": 3072},
        "sshd -T | grep -q host_ecdsa",
        "! sshd -T | grep -q host_ecdsa",
    ),
    Break(
        "ssh_moduli",
        {"bits": 3072},
        "sed -n '/^[0-9]/{p;q}' /etc/ssh/moduli | awk '{$5=2047; print}' >> /etc/ssh/moduli",
        "! awk '/^[0-9]/ && $5 < 3071 {found=1} END {exit !found}' /etc/ssh/moduli",
    ),
    Break(
        "sshd",
        {"option": "logingracetime", "value": "60"},
        "echo 'LoginGraceTime 600' > /etc/ssh/sshd_config.d/50-x.conf; systemctl reload ssh",
        "sshd -T | grep -qx 'logingracetime 60'",
    ),
    Break(
        "sudo_default",
        {"option": "use_pty"},
        "sed -i /use_pty/d /etc/sudoers",
        "grep -rqE '^Defaults.*use_pty' /etc/sudoers /etc/sudoers.d && visudo -cq",
    ),
    _people(
        "sudo_rule",
        {"forbid": "NOPASSWD"},
        "echo 'clerk ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/x; chmod 440 /etc/sudoers.d/x",
    ),
    Break(
        "sweep",
        {"check": "world_writable"},
        "echo x > /opt/x; chmod 666 /opt/x",
        "test \"$(find /opt/x -perm /0002)\" = ''",
    ),
    Break(
        "sysctl",
        {"key": "net.ipv4.conf.all.log_martians", "value": "1"},
        "sysctl -qw net.ipv4.conf.all.log_martians=0",
        "sysctl -n net.ipv4.conf.all.log_martians | grep -qx 1",
    ),
    Break(
        "systemd_setting",
        {"component": "journald", "key": "Compress", "value": "yes"},
        "mkdir -p /etc/systemd/journald.conf.d;"
        " printf '[Journal]\\nCompress=no\\n' > /etc/systemd/journald.conf.d/x.conf",
        "systemd-analyze cat-config systemd/journald.conf | grep ^Compress= | tail -n 1 | grep -qx Compress=yes",
    ),
    Break(
        "umask_default",
        {"value": "027"},
        "sed -i 's/^UMASK.*/UMASK 022/' /etc/login.defs",
        "su - clerk -c umask | grep -qx 0027",
    ),
)

NOT_HERE = {
    "apparmor": "AppArmor is the machine's kernel's: a host in a container may not load profiles",
    "boot_parameter": "a container has no boot loader",
    "boot_password": "a container has no boot loader, and it is people who set a password",
    "crypto_policy": "RHEL's family alone has such policies, and there is no such host",
    "mount_option": "a container may not mount anew",
    "partition": "it takes hold at the next start, and a container's mounts are the engine's",
    "time_sync": "a container has the clock of the machine below",
}
"""Types that no host of ours can show, and why; the unit tests try each on a tree of files."""
