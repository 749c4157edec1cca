"""Updates, against a server of this test that behaves as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.unit.feeds.samples import cves, kev

from civicops.cli.main import run
from civicops.feeds import addresses, update
from civicops.feeds.addresses import Address
from civicops.feeds.store import Index
from civicops.feeds.update import Updated
from civicops.state import TownState


@dataclass
class Site:
    """What the server has and does, and what it was asked."""

    url: str = ""
    body: bytes = b""
    etag: str = '"1"'
    cuts: list[int] = field(default_factory=list)  # after so many bytes, one for each request
    status: int = 200
    location: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    def put(self, text: str, etag: str) -> None:
        self.body, self.etag = text.encode(), etag


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        site = self.site
        site.asked.append(dict(self.headers.items()))
        status, body = site.status, site.body
        if self.headers.get("If-None-Match") == site.etag:
            status, body = 304, b""
        start = 0
        if self.headers.get("Range") and self.headers.get("If-Range") == site.etag:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            status = 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if site.location:
            self.send_header("Location", site.location)
        self.send_header("ETag", site.etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: site.cuts.pop(0) if site.cuts else None])


@pytest.fixture
def site(state: TownState, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    there = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": there}))
    there.url = f"http://127.0.0.1:{server.server_port}/kev.json"
    monkeypatch.setattr(update, "ADDRESSES", {"kev": Address(there.url, 1_000_000)})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield there
    server.shutdown()
    thread.join()
    server.server_close()


def updated() -> Updated:
    (one,) = update.update(Index())
    return one


def test_what_is_new_is_taken_and_what_is_not_is_not_sent(site: Site) -> None:
    site.put(kev(*cves(5)), '"1"')
    first = updated()
    assert first.error is None and first.done is not None
    assert (first.done.feed.count, first.done.feed.origin) == (5, site.url)
    assert updated() == Updated("kev")
    assert site.asked[-1]["If-None-Match"] == '"1"'
    site.put(kev(*cves(6)), '"2"')
    assert updated().done is not None
    assert len(Index().all_kev()) == 6
    assert [path.name for path in (Index().path.parent / "downloads").iterdir() if path.suffix == ".part"] == []


def test_it_goes_on_from_where_it_broke_off(site: Site) -> None:
    site.put(kev(*cves(200)), '"1"')
    site.cuts = [1000, 500]
    assert updated().done is not None
    assert [one.get("Range") for one in site.asked] == [None, "bytes=1000-", "bytes=1500-"]
    assert len(Index().all_kev()) == 200


def test_broken_off_too_often_it_goes_on_the_next_time(site: Site) -> None:
    site.put(kev(*cves(200)), '"1"')
    site.cuts = [1000, 100, 10]
    assert "broke off at 1110 of" in str(updated().error)
    assert Index().status() == {}
    assert updated().done is not None
    assert site.asked[-1]["Range"] == "bytes=1110-"


def test_another_file_in_the_meantime_is_fetched_whole(site: Site) -> None:
    site.put(kev(*cves(200)), '"1"')
    site.cuts = [1000, 100, 10]
    assert updated().error
    site.put(kev(*cves(300)), '"2"')
    assert updated().done is not None
    assert len(Index().all_kev()) == 300


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<html>the site is down</html>", "answers with something that is no kev"),
        (kev(*cves(10))[:-100], "is broken JSON"),
        (kev(*cves(4)), "less than 80 %"),
        ("x" * 1_000_001, "has more than 1 MB"),
    ],
)
def test_what_is_no_good_never_replaces_what_is(site: Site, text: str, why: str) -> None:
    site.put(kev(*cves(10)), '"1"')
    assert updated().done is not None
    before = (Index().status(), Index().all_kev())
    site.put(text, '"2"')
    for _ in range(2):  # and it is looked at anew the next time, not taken for known
        found = updated()
        assert found.done is None and why in str(found.error)
    assert before == (Index().status(), Index().all_kev())
    site.put(kev(*cves(11)), '"3"')
    assert updated().done is not None


def test_errors_of_the_site_are_told(site: Site) -> None:
    site.put("gone", '"1"')
    site.status = 503
    assert updated().error == f"kev: {site.url}: answers 503 Service Unavailable"
    site.status, site.location = 302, "ftp://127.0.0.1/kev.json"
    assert "sends on to ftp://127.0.0.1/kev.json, which is not http" in str(updated().error)


def test_without_the_index_all_is_fetched_again(site: Site) -> None:
    site.put(kev(*cves(5)), '"1"')
    assert updated().done is not None
    for file in Index().path.parent.glob("index.sqlite*"):
        file.unlink()
    assert updated().done is not None
    assert len(Index().all_kev()) == 5


def test_the_command(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.put(kev(*cves(5)), '"1"')
    for arguments, status in ((["kev"], 0), (["--json"], 0), (["nonsense"], 2)):
        with pytest.raises(SystemExit) as end:
            run(["feeds", "update", *arguments])
        assert int(end.value.code or 0) == status
    out, err = capsys.readouterr()
    line, document = out.splitlines()
    assert line == f"kev: 5 entries of 2026-08-07 from {site.url}"
    assert json.loads(document) == {"imported": [], "errors": []}
    assert err == "civicops: 'nonsense' can't be downloaded; there are kev\n"


def test_every_address_is_https_and_of_a_feed() -> None:
    from civicops.feeds.format import formats

    known = {name for one in formats() for name in one.feeds}
    assert set(addresses.ADDRESSES) == known - {"debian-security-support"}
    assert all(one.url.startswith("https://") for one in addresses.ADDRESSES.values())
