"""Which findings a town has accepted."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from tests.unit.assess.assessed import judged

from civicops.assess.waived import Waivers, left_out, told
from civicops.town.waivers import Waiver

TODAY = date(2026, 11, 30)
GROUPS = {"dept_police": ["cad1"], "all": ["cad1", "web1"]}


def waiver(subject: str = "telnet", hosts: str = "*", *, days: int = 30, line: int = 3, **more: Any) -> Waiver:
    fields: dict[str, Any] = {
        "subject": subject,
        "kind": "finding",
        "hosts": hosts,
        "reason": "The vendor's console.",
        "approver": "J. Ortiz",
        "granted": TODAY - timedelta(days=60),
        "expires": TODAY + timedelta(days=days),
        "line": line,
    } | more
    return Waiver(**fields)


@pytest.mark.parametrize(
    ("one", "about", "waived"),
    [
        (waiver(), "web1", True),
        (waiver("tel*"), "web1", True),
        (waiver("ftp"), "web1", False),
        (waiver(hosts="cad*"), "web1", False),
        (waiver(hosts="group:dept_police"), "cad1", True),
        (waiver(hosts="group:dept_police"), "web1", False),
        (waiver(kind="control"), "web1", False),
        (waiver(days=0), "web1", True),
        (waiver(days=-1), "web1", False),
        (waiver(granted=TODAY + timedelta(days=1)), "web1", False),
    ],
)
def test_for_whom_it_holds(one: Waiver, about: str, waived: bool) -> None:
    (weighed,) = Waivers([one], TODAY, GROUPS).weigh([judged("telnet", about)])
    assert weighed.waived is waived
    assert not waived or told(weighed) == f"The vendor's console. (J. Ortiz, until {one.expires})"


def test_one_that_has_run_out_says_so() -> None:
    (weighed,) = Waivers([waiver(days=-2)], TODAY, GROUPS).weigh([judged()])
    assert weighed.remarks == ("the waiver of J. Ortiz for telnet expired on 2026-11-28",)
    weighing = Waivers([waiver(days=-2), waiver()], TODAY, GROUPS)
    (weighed,) = weighing.weigh([judged()])
    assert weighed.waived and not weighed.remarks, "the newer one stands in its place"


def test_what_is_not_known_stays_so() -> None:
    weighing = Waivers([waiver()], TODAY, GROUPS)
    unknown, fine = weighing.weigh([judged(state="unknown"), judged(state="fine")])
    assert not unknown.waived and unknown.judged.state == "unknown" and unknown.remarks
    assert not fine.waived and not fine.remarks


def test_a_cve_alone_is_waived() -> None:
    package = judged("vulnerable-openssl", cves=("CVE-2024-1234", "CVE-2024-5678"), package="openssl")
    (weighed,) = Waivers([waiver("cve-2024-1234")], TODAY, GROUPS).weigh([package])
    assert not weighed.waived and weighed.judged.cves == ("CVE-2024-5678",)
    assert left_out(weighed) == "waived: CVE-2024-1234: The vendor's console. (J. Ortiz, until 2026-12-30)"
    (weighed,) = Waivers([waiver("cve-2024-*")], TODAY, GROUPS).weigh([package])
    assert weighed.waived and weighed.judged.cves == package.cves, "all of them are told where all are waived"
    (weighed,) = Waivers([waiver("cve-2024-1234", days=-1)], TODAY, GROUPS).weigh([package])
    assert weighed.judged.cves == package.cves and weighed.remarks


def test_one_that_is_about_nothing_is_told() -> None:
    weighing = Waivers([waiver(), waiver("telent", line=9), waiver(hosts="group:polcie", line=12)], TODAY, GROUPS)
    weighing.weigh([judged()])
    assert [line.split(":")[0] for line in weighing.idle()] == ["waivers.yml, line 9", "waivers.yml, line 12"]
    assert "no such group" in weighing.idle()[1]


def test_without_an_inventory_no_group_s_waiver_holds() -> None:
    weighing = Waivers([waiver(hosts="group:dept_police")], TODAY, None)
    (weighed,) = weighing.weigh([judged("telnet", "cad1")])
    assert not weighed.waived
    assert weighed.remarks == (
        "the waiver for telnet on group:dept_police does not hold, as the inventory can't be read",
    )
    assert "not known" in weighing.idle()[0]


def test_hostile_words_are_made_harmless() -> None:
    (weighed,) = Waivers([waiver(reason="x\x1b[31m\u202e" * 100)], TODAY, GROUPS).weigh([judged()])
    assert "\x1b" not in told(weighed) and len(told(weighed)) < 200
