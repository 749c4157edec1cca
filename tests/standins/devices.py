"""The recorded devices: which netmiko driver they need, and what their recordings lack.

The recordings of real devices (oxidized's test data) lie beside the repository and are never part of it; another
place is named by CIVICOPS_SHARED.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from civicops.network.answers import Login, Settings
from civicops.network.platform import Config, Platform
from tests.standins.playing import PASSWORD, USER, Device
from tests.standins.recording import Recording, read

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CIVICOPS_SHARED", ROOT.parent / "shared")) / "data/devices"
OWN = Path(__file__).with_name("recordings")

# How oxidized's recordings of it look without a terminal.
_ROUTEROS = "[backup@MikroTik] > "


@dataclass(frozen=True)
class Recorded:
    """A recorded session, and what logs in to such a device."""

    file: str
    driver: str
    config: str
    """The command for its configuration."""
    prompt: str = ""
    """Where the recording has none."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What the driver's preparation asks and the recording has no answer to."""
    user: str = USER
    """How the driver names the user."""
    pager: str | None = None
    prepare: tuple[str, ...] = ()
    own: bool = False

    @property
    def path(self) -> Path:
        return (OWN if self.own else SHARED) / self.file

    def read(self) -> Recording:
        return read(self.path, self.prompt).with_answers(self.lacks)

    def platform(self) -> Platform:
        return Platform(
            id=self.driver,
            title=self.file,
            vendor="",
            driver=self.driver,
            pager=self.pager,
            prepare=self.prepare,
            running=Config(command=self.config),
            restore="by hand",
        )


RECORDED = {
    "ios": Recorded(
        "ios_C9200L-24P-4G_17.09.04a_simulation.yaml",
        "cisco_ios",
        "show running-config",
        lacks={"terminal width 511": ""},
        pager="^ ?--More-- ?$",
    ),
    "nxos": Recorded(
        "nxos_C93180YC-FX3J_10.4.5_simulation.yaml",
        "cisco_nxos",
        "show running-config",
        lacks={"terminal width 511": ""},
    ),
    "aoscx": Recorded("aoscx_6100-48G_PL.10.10.1090_simulation.yaml", "aruba_aoscx", "show running-config"),
    "instant": Recorded(
        "arubainstant_IAP515_8.10.0.6_VWLC_simulation.yaml",
        "aruba_os",
        "show running-config no-encrypt",
        lacks={"no paging": ""},
    ),
    "fortigate": Recorded(
        "fortigate_FortiGate-91G_7.4.7_simulation.yaml", "generic", "show | grep .", pager="^--More-- ?$"
    ),
    "junos": Recorded(
        "junos_srx300_22.4_simulation.yaml",
        "juniper_junos",
        "show configuration | display omit",
        prompt="backup@srx300> ",
        lacks={
            "set cli screen-width 511": "Screen width set to 511\n\n",
            "set cli complete-on-space off": "Disabling complete-on-space\n\n",
        },
    ),
    "netgear": Recorded("netgear_GS752TPP_6.0.10.14_simulation.yaml", "netgear_prosafe", "show running-config"),
    "routeros-chr": Recorded(
        "routeros_CHR_7.10.1_simulation.yaml",
        "mikrotik_routeros",
        "/export show-sensitive",
        prompt=_ROUTEROS,
        user=f"{USER}+ct511w4098h",
    ),
    "routeros-rb5009": Recorded(
        "routeros_RB5009UPr-S-_7.18.2_simulation.yaml",
        "mikrotik_routeros",
        "/export show-sensitive",
        prompt=_ROUTEROS,
        user=f"{USER}+ct511w4098h",
    ),
    "sonicwall": Recorded(
        "sonicos_snippets_simulation.yaml", "generic", "show current-config", prepare=("no cli pager session",)
    ),
    "tplink": Recorded("tplink_DS-P7001-08_1.0.0_simulation.yaml", "tplink_jetstream", "show running-config"),
    "procurve": Recorded(
        "procurve.yaml", "hp_procurve", "show running-config", lacks={"terminal width 511": ""}, own=True
    ),
    "comware": Recorded("comware.yaml", "hp_comware", "display current-configuration", own=True),
}


def settings(played: Device, platform: Platform, known_hosts: Path, **more: object) -> Settings:
    """How a stand-in is reached."""
    login = Login("127.0.0.1", played.port, USER, PASSWORD)
    given: dict[str, object] = {"device": "sw1", "platform": platform, "login": login, "known_hosts": known_hosts}
    return Settings(**(given | more))  # type: ignore[arg-type]
