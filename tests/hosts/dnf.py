"""A repository of our own rpm packages for the dnf host, built on the host itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.hosts.host import Host

FOLDER = "/srv/fv-rpms"
REPO_ID = "civicops-tests"
ADVISORY = "FV-2026:0001"
BASE = ("fv-rpm-base", "1.0")  # provides /bin/sh, which scriptlets need and rpm here does not know


@dataclass(frozen=True)
class Rpm:
    """One version of one noarch package; `config` are files of %config(noreplace), `scripts` are by name (post...)."""

    name: str
    version: str
    files: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    provides: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)  # more of the spec file's head: Epoch, Obsoletes

    @property
    def file(self) -> str:
        """The package's file name; rpm itself would leave out the epoch."""
        epoch = self.fields.get("Epoch")
        return f"{self.name}-{epoch + '_' if epoch else ''}{self.version}-1.noarch.rpm"

    def spec(self) -> str:
        """The spec file."""
        head = {"Name": self.name, "Version": self.version, "Release": "1", "Summary": "made by a test"}
        head |= {"License": "GPL", "BuildArch": "noarch"} | ({"Provides": self.provides} if self.provides else {})
        head |= self.fields
        lines = [*(f"{key}: {value}" for key, value in head.items()), "%description", "Made by a test.", "%install"]
        for path, content in {**self.files, **self.config}.items():
            place = f"%{{buildroot}}{path}"
            lines += [f"mkdir -p $(dirname {place})", f"printf %%s {shlex.quote(content)} > {place}"]
        for name, script in self.scripts.items():
            lines += [f"%{name}", script]
        lines += ["%files", *self.files, *(f"%config(noreplace) {path}" for path in self.config)]
        return "\n".join(lines) + "\n"


def plain(version: str) -> Rpm:
    """`fv-rpm`: a file; 1.1 has a security advisory."""
    return Rpm("fv-rpm", version, {"/usr/share/fv-rpm/version": f"{version}\n"})


def failing_post(version: str) -> Rpm:
    """`fv-rpm-post`: from 1.1 on its %post fails. rpm warns and counts the package as installed: no state tells it."""
    return Rpm("fv-rpm-post", version, scripts={"post": ":" if version == "1.0" else "echo no database >&2; exit 1"})


def failing_pre(version: str) -> Rpm:
    """`fv-rpm-pre`: from 1.1 on its %pre fails. rpm keeps the old version and dnf's transaction fails."""
    return Rpm("fv-rpm-pre", version, scripts={"pre": ":" if version == "1.0" else "echo no disk >&2; exit 1"})


def configured(version: str) -> Rpm:
    """`fv-rpm-conf`: /etc/fv-rpm.conf is %config(noreplace); an edited one stays, beside the new .rpmnew."""
    return Rpm("fv-rpm-conf", version, config={"/etc/fv-rpm.conf": f"# fv-rpm-conf {version}\n"})


def usual() -> list[Rpm]:
    """All of the above at 1.0 and 1.1."""
    return [make(version) for make in (plain, failing_post, failing_pre, configured) for version in ("1.0", "1.1")]


def _advisory(name: str, version: str) -> str:
    return f"""<update from="tests@example.org" status="final" type="security" version="1">
<id>{ADVISORY}</id><title>{name} update</title><issued date="2026-01-01 00:00:00"/><severity>Important</severity>
<description>made by a test</description><references><reference id="CVE-2026-0001" type="cve"/></references>
<pkglist><collection short="{REPO_ID}"><name>{REPO_ID}</name>
<package name="{name}" version="{version}" release="1" epoch="0" arch="noarch">
<filename>{name}-{version}-1.noarch.rpm</filename></package></collection></pkglist></update>"""


class RpmRepository:
    """The repository on one host of the image `bookworm-dnf`, at file:///srv/fv-rpms.

    Unsigned, which its own file in /etc/yum.repos.d allows for it alone. Debian's packages are unknown to rpm there.
    """

    def __init__(self, host: Host, packages: Sequence[Rpm] | None = None) -> None:
        self.host = host
        self.packages = [Rpm(*BASE, provides="/bin/sh"), *(usual() if packages is None else packages)]

    def publish(self) -> None:
        """Build the packages that are not built yet, and write the index and the security advisory for fv-rpm 1.1."""
        script = [f"mkdir -p {FOLDER}; cd {FOLDER}"]
        for package in self.packages:
            spec, made = f"/root/{package.name}.spec", package.file
            build = f"rpmbuild --quiet -bb --define '_rpmdir {FOLDER}' --define '_build_name_fmt {made}' {spec}"
            script.append(f"[ -e {made} ] || {{ printf %s {shlex.quote(package.spec())} >{spec}; {build}; }}")
        script.append("createrepo_c --quiet .")
        if any((one.name, one.version) == ("fv-rpm", "1.1") for one in self.packages):
            updates = f'<?xml version="1.0"?>\n<updates>{_advisory("fv-rpm", "1.1")}</updates>\n'
            script.append(f"printf %s {shlex.quote(updates)} >/root/updateinfo.xml")
            script.append("modifyrepo_c /root/updateinfo.xml repodata >/dev/null")
        self.host.run("\n".join(script), timeout=120)

    def enable(self, install: Sequence[str] = ()) -> None:
        """Publish, add the repository to the host, and install packages given as NAME or NAME-VERSION."""
        self.publish()
        repo = f"[{REPO_ID}]\nname={REPO_ID}\nbaseurl=file://{FOLDER}\nenabled=1\n"
        repo += "gpgcheck=0\nmetadata_expire=0\nskip_if_unavailable=0\n"
        self.host.write(f"/etc/yum.repos.d/{REPO_ID}.repo", repo)
        self.host.write("/etc/dnf/vars/releasever", "12\n")
        # Debian's default is below $HOME, so that a service and a shell would see two databases.
        self.host.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")
        self.host.run(f"dnf -q -y install {shlex.join([BASE[0], *install])}", timeout=120)

    def stop(self) -> None:
        """The repository is gone, with its files."""
        self.host.run(f"mv {FOLDER} {FOLDER}.gone")

    def start(self) -> None:
        """It is back."""
        self.host.run(f"mv {FOLDER}.gone {FOLDER}")

    def withdraw(self, name: str, version: str) -> None:
        """Drop a version from the repository, as old ones are."""
        self.packages = [one for one in self.packages if (one.name, one.version) != (name, version)]
        self.host.run(f"rm {FOLDER}/{name}-{version}-1.noarch.rpm")
        self.publish()
