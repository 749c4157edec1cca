"""Fixtures: a small town for the whole session, and towns made to measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.hosts import podman
from tests.hosts.host import Host
from tests.hosts.images import Mirror
from tests.hosts.tools import HostsUnavailable, ensure_tools
from tests.hosts.town import Spec, Town, start_hosts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory is marked as needing hosts."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("hosts")


class MakeTown(Protocol):
    """Starts hosts (or takes running ones) and gives them an inventory, a state directory and a controller."""

    def __call__(
        self,
        name: str = "demo",
        hosts: Mapping[str, Spec | str] | None = None,
        *,
        use: Mapping[str, Host] | None = None,
        **settings: object,
    ) -> Town: ...


@pytest.fixture(scope="session")
def hosts_available() -> Iterator[None]:
    """Skip, or fail where hosts are demanded, when this machine can't run them; clear leftovers before and after."""
    try:
        ensure_tools()
        Mirror.of_this_machine()
    except HostsUnavailable as error:
        if os.environ.get("CI") == "true" or os.environ.get("CIVICOPS_REQUIRE_HOSTS") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    podman.sweep()
    yield
    podman.remove(*(one.name for one in podman.containers(podman.this_process())))


@pytest.fixture(scope="session")
def shared_hosts(hosts_available: None) -> Iterator[dict[str, Host]]:
    """A bullseye, a bookworm and a trixie host for the session: tests leave them as they found them."""
    hosts = start_hosts({release: Spec(release) for release in ("bullseye", "bookworm", "trixie")})
    yield hosts
    podman.remove(*(host.container for host in hosts.values()))


def _town_maker(folder: Callable[[], Path]) -> Iterator[MakeTown]:
    towns: list[Town] = []
    started: list[Host] = []

    def make(
        name: str = "demo",
        hosts: Mapping[str, Spec | str] | None = None,
        *,
        use: Mapping[str, Host] | None = None,
        **settings: object,
    ) -> Town:
        specs = {key: Spec(one) if isinstance(one, str) else one for key, one in (hosts or {}).items()}
        new = start_hosts({key: spec for key, spec in specs.items() if key not in (use or {})})
        started.extend(new.values())
        town = Town(name, {**(use or {}), **new}, folder(), specs, **settings)  # type: ignore[arg-type]
        towns.append(town)
        return town

    try:
        yield make
    finally:
        for town in towns:
            town.close()
        podman.remove(*(host.container for host in started))


@pytest.fixture
def make_town(hosts_available: None, tmp_path: Path) -> Iterator[MakeTown]:
    """`make_town("fairview", {"web1": "bookworm", "pc1": Spec("trixie", updates=True)})`, removed after the test.

    `use=shared_hosts` takes running hosts into a town with a fresh inventory and state, which costs nothing.
    Towns of one test share the inventories and the state directory, as towns of one firm do.
    """
    yield from _town_maker(lambda: tmp_path)


@pytest.fixture(scope="module")
def make_module_town(hosts_available: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeTown]:
    """The same for a whole module, each town in a directory of its own."""
    yield from _town_maker(lambda: tmp_path_factory.mktemp("town"))


@pytest.fixture
def town(make_town: MakeTown, shared_hosts: dict[str, Host]) -> Town:
    """The session's three hosts as a town with a fresh inventory and state."""
    return make_town("demo", use=shared_hosts)
