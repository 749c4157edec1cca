"""What of dnf's part needs no dnf; all else is tried on a host of it, in tests/hosts/test_patch_dnf.py."""

from __future__ import annotations

import pytest
from ansible_collections.civicops.town.plugins.module_utils._host_info.context import Context
from ansible_collections.civicops.town.plugins.module_utils._patch import dnf
from ansible_collections.civicops.town.plugins.module_utils._patch.manager import ManagerError, Update
from ansible_collections.civicops.town.plugins.module_utils._patch.night import has


def test_a_dnf_that_can_not_be_used_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnf, "IMPORT_ERROR", ImportError("libdnf.so.2:\n no such file"))
    with pytest.raises(
        ManagerError, match=r"can't use dnf \(libdnf.so.2: no such file\): install python3-dnf, .*_interpreter"
    ) as told:
        dnf.Dnf(Context())
    assert "\n" not in str(told.value)


def test_versions_that_differ_in_the_epoch_alone_are_kept_as_two_files() -> None:
    plain, later = dnf._kept("kept", "1.0-1", "noarch"), dnf._kept("kept", "2:1.0-1", "noarch")
    assert plain == f"{dnf.POOL}/kept-1.0-1.noarch.rpm"
    assert later == f"{dnf.POOL}/kept-2%3a1.0-1.noarch.rpm"


@pytest.mark.parametrize(
    ("now", "there"),
    [("1.1-1", True), ("1.0-1, 1.1-1", True), ("1.0-1", False), ("1:1.1-1", False), ("11.1-1", False), (None, False)],
)
def test_a_kernel_is_installed_beside_others(now: str | None, there: bool) -> None:
    kernel = Update("kernel", "x86_64", "1.0-1", "1.1-1")
    assert has({} if now is None else {kernel.key: now}, kernel) is there
