# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Every type of control by its name. Ansible packs only what is imported by name, so a folder can't be searched here;
a test sees that no file of C(types/) is left out."""

from __future__ import annotations

from typing import Dict, Tuple, Type

from .model import Control
from .types.access_list import AccessList
from .types.account import Account
from .types.apparmor import AppArmor
from .types.apt_setting import AptSetting
from .types.audit_rule import AuditRule
from .types.banner import Banner
from .types.boot_parameter import BootParameter
from .types.boot_password import BootPassword
from .types.certificate import Certificate
from .types.crypto_policy import CryptoPolicy
from .types.file import File
from .types.file_absent import FileAbsent
from .types.file_content import FileContent
from .types.firewall import Firewall
from .types.home import Home
from .types.kernel_module import KernelModule
from .types.limits import Limits
from .types.log_files import LogFiles
from .types.mount_option import MountOption
from .types.package import Package
from .types.pam_module import PamModule
from .types.partition import Partition
from .types.root_path import RootPath
from .types.service import Service
from .types.setting import Setting
from .types.ssh_client import SshClient
from .types.ssh_host_keys import SshHostKeys
from .types.ssh_moduli import SshModuli
from .types.sshd import Sshd
from .types.sudo_default import SudoDefault
from .types.sudo_rule import SudoRule
from .types.sweep import Sweep
from .types.sysctl import Sysctl
from .types.systemd_setting import SystemdSetting
from .types.time_sync import TimeSync
from .types.umask_default import UmaskDefault

_ALL: Tuple[Type[Control], ...] = (
    AccessList,
    Account,
    AppArmor,
    AptSetting,
    AuditRule,
    Banner,
    BootParameter,
    BootPassword,
    Certificate,
    CryptoPolicy,
    File,
    FileAbsent,
    FileContent,
    Firewall,
    Home,
    KernelModule,
    Limits,
    LogFiles,
    MountOption,
    Package,
    PamModule,
    Partition,
    RootPath,
    Service,
    Setting,
    SshClient,
    SshHostKeys,
    SshModuli,
    Sshd,
    SudoDefault,
    SudoRule,
    Sweep,
    Sysctl,
    SystemdSetting,
    TimeSync,
    UmaskDefault,
)
TYPES: Dict[str, Type[Control]] = {kind.name: kind for kind in _ALL}
