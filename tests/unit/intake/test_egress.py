"""The egress guard: whatever a URL, a redirect, a playlist or DNS says, nobody inside is ever connected to."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.egress.policy import Guard, is_public, parse, read_host
from shared.errors import BlockedAddress, ExtractionError, InvalidUrl, ParleyError, SourceUnavailable
from tasks.fetch import direct, page
from tasks.fetch.page import PageOptions
from tasks.sandbox.egress_proxy import EgressProxy
from tasks.stages.download import Fetch, FetchLimits, download
from tests.unit.intake.outside import Canary, MediaServer, NameServer, hits

LIMITS = FetchLimits(max_bytes=1_000_000, max_duration_s=60, timeout_s=20, idle_timeout_s=1, retry_pauses_s=())

NOWHERE = "2000::1"
"""Counts as public, and belongs to nobody: 2000::/16 was never given out."""

NAMES = {
    "loopback.test": [["127.0.0.1"]],
    "loopback6.test": [["::1"]],
    "private.test": [["10.0.0.1"]],
    "metadata.test": [["169.254.169.254"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "nat64.test": [["64:ff9b::7f00:1"]],
    "sixtofour.test": [["2002:7f00:1::"]],
    "mixed.test": [[NOWHERE, "127.0.0.1"]],
    "mixed6.test": [["127.0.0.1", NOWHERE]],
    "zero.test": [["0.0.0.0"]],
    "rebind.test": [[NOWHERE], ["127.0.0.1"]],
    "public.test": [[NOWHERE]],
}

HOSTILE = (
    # IPv4 in all the ways in which somebody's parser reads it
    "http://127.0.0.1:{port}/",
    "http://127.0.0.2:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0X7F.1:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0.0.01:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://00127.0.0.1:{port}/",
    "http://127.0.0.256:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0.0.0.0.:{port}/",
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://100.100.100.200/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://169.254.170.2/v2/credentials",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://168.63.129.16/machine?comp=goalstate",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://224.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://240.0.0.1:{port}/",
    # other alphabets
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%00.example.org:{port}/",
    # IPv6, and IPv4 within it
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:0:0:0:0:80ff:fffe]:{port}/",
    "http://[2a00::5efe:7f00:1]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fec0::1]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://::1:{port}/",
    # names
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://loopback.test:{port}/",
    "http://loopback6.test:{port}/",
    "http://private.test:{port}/",
    "http://metadata.test/latest/meta-data/",
    "http://mapped.test:{port}/",
    "http://nat64.test:{port}/",
    "http://sixtofour.test:{port}/",
    "http://mixed.test:{port}/",
    "http://mixed6.test:{port}/",
    "http://zero.test:{port}/",
    "http://rebind.test:{port}/",
    # one parser's user name is another parser's host
    "http://user@127.0.0.1:{port}/",
    "http://user:password@127.0.0.1:{port}/",
    "http://public.test@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@public.test/",
    "http://public.test:80@127.0.0.1:{port}/",
    "http://public.test\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.test/",
    "http://public.test#@127.0.0.1:{port}/",
    "http://a:b@c:d@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@public.test/",
    "http://127.0.0.1:{port}?@public.test/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r\nHost: public.test:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "http://",
    "http://:{port}/",
    "http://[::1:{port}/",
    "http://127.0.0.1:{port}:80/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://public.test:0/",
    # not the web
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "ftp://127.0.0.1:{port}/a.wav",
    "dict://127.0.0.1:{port}/info",
    "ldap://127.0.0.1:{port}/",
    "tftp://127.0.0.1:{port}/a",
    "rtmp://127.0.0.1:{port}/a",
    "rtsp://127.0.0.1:{port}/a",
    "mms://127.0.0.1:{port}/a",
    "ws://127.0.0.1:{port}/",
    "jar:http://127.0.0.1:{port}/!/",
    "data:audio/wav;base64,UklGRg==",
    "javascript:alert(1)",
    "concat:http://127.0.0.1:{port}/a|http://127.0.0.1:{port}/b",
    "ytsearch:127.0.0.1",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "",
)
"""Every one of them names somebody inside, nobody at all, or has two readings. {port} is the canary's."""


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    server = Canary()
    yield server
    server.close()


@pytest.fixture(scope="module")
def media() -> Iterator[MediaServer]:
    server = MediaServer()
    yield server
    server.close()


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer(dict(NAMES))
    yield server
    server.close()


@pytest.fixture
def guard(canary: Canary, media: MediaServer, names: NameServer) -> Guard:
    """Only addresses can keep it from the canary: its port is allowed, and one media server on loopback is exempt."""
    return Guard(ports=frozenset({80, 443, canary.port}), allow_hosts=frozenset({media.host}), nameserver=names.address)


@pytest.fixture
def ways(guard: Guard) -> tuple[Fetch, ...]:
    return partial(direct.fetch, guard), partial(page.fetch, guard, PageOptions(("generic", "html5"), None))


def quiet(_: float) -> None: ...


def test_the_canary_notices_visitors() -> None:
    """Zero hits mean something, because each of its addresses counts."""
    own = Canary()
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, own.port), timeout=60).close()
    assert hits(own) == 2
    own.close()


# ---- the three doors: a URL that was sent, a redirect, what a sandboxed child asks the proxy for


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_leads_nowhere(url: str, canary: Canary, guard: Guard, tmp_path: Path) -> None:
    """It is refused when it is sent or when it is connected to; the canary hears nothing."""
    url = url.format(port=canary.port)
    with pytest.raises((InvalidUrl, BlockedAddress, SourceUnavailable)) as refusal:
        target = parse(url)
        direct.fetch(guard, target.url, tmp_path, LIMITS, quiet)
    if isinstance(refusal.value, SourceUnavailable):
        assert any(name in url for name in ("rebind", "public", "localhost", "LOCALHOST", "ⓛ"))
    assert hits(canary) == 0


@pytest.mark.parametrize("url", HOSTILE)
def test_a_redirect_to_a_hostile_url_leads_nowhere(
    url: str, canary: Canary, guard: Guard, media: MediaServer, tmp_path: Path
) -> None:
    """Three harmless redirects do not soften the guard for the fourth."""
    url = url.format(port=canary.port)
    with pytest.raises(ParleyError):
        start = httpx.URL(media.url + "/to/3", params={"url": url.replace("\r\n", "")})
        direct.fetch(guard, str(start), tmp_path, LIMITS, quiet)
    assert hits(canary) == 0


def test_the_proxy_refuses_every_hostile_url(canary: Canary, guard: Guard) -> None:
    """JobSpec in plain or by CONNECT, it never says 200 and connects to nobody inside."""
    answers = []
    with EgressProxy(guard, idle_timeout_s=1) as proxy:
        for url in HOSTILE:
            url = url.format(port=canary.port)
            authority = url.partition("//")[2].partition("/")[0]
            answers.append(ask(proxy, f"GET {url} HTTP/1.1\r\nHost: public.test\r\n\r\n"))
            answers.append(ask(proxy, f"CONNECT {authority} HTTP/1.1\r\n\r\n"))
    assert not [answer for answer in answers if b" 200 " in answer]
    assert hits(canary) == 0


def ask(proxy: EgressProxy, request: str) -> bytes:
    """The first line of the proxy's answer; empty when it hung up."""
    with socket.create_connection(proxy.address, timeout=60) as client:
        client.sendall(request.encode())
        return client.makefile("rb").readline()


def test_the_proxy_says_that_it_closes(media: MediaServer) -> None:
    """A server's answer that leaves it open is told to the client as the last one of its connection."""
    with EgressProxy(Guard(allow_hosts=frozenset({media.host})), idle_timeout_s=60) as proxy:
        for path in ("/a.wav", "/status/404", "/chunked/a.wav"):
            with closing(http.client.HTTPConnection(*proxy.address, timeout=60)) as client:
                client.request("GET", media.url + path)
                answer = client.getresponse()
                assert answer.will_close
                assert answer.read()


def test_no_thread_of_a_proxy_outlives_it() -> None:
    """Also where it takes its time between its last word and its end."""

    def linger(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code.co_name == "serve_forever":
            time.sleep(0.3)

    threading.setprofile(linger)
    try:
        with EgressProxy(Guard(), idle_timeout_s=60):
            pass
        assert [thread for thread in threading.enumerate() if thread.name == "egress"] == []
    finally:
        threading.setprofile(None)


INSIDE = "http://127.0.0.1:{port}/"
PAGES = {
    "player": ("text/html", '<html><title>a</title><audio src="{inside}a.wav"></audio></html>'),
    "film": ("text/html", '<html><title>a</title><video><source src="{inside}a.mp4" type="video/mp4"></video></html>'),
    "moved": ("text/html", '<html><meta http-equiv="refresh" content="0;url={inside}a.wav"></html>'),
    "list": (
        "application/vnd.apple.mpegurl",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{inside}1.ts\n#EXT-X-ENDLIST",
    ),
    "key": (
        "application/vnd.apple.mpegurl",
        '#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-KEY:METHOD=AES-128,URI="{inside}key"\n#EXTINF:5,\n/a.wav\n#EXT-X-ENDLIST',
    ),
    "variants": ("application/vnd.apple.mpegurl", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{inside}v.m3u8"),
    "dash": (
        "application/dash+xml",
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT5S"><Period>'
        '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1000"><BaseURL>{inside}a.mp4</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
    ),
    "feed": (
        "application/rss+xml",
        '<rss version="2.0"><channel><title>a</title><item><title>b</title><link>{inside}b</link>'
        '<enclosure url="{inside}b.mp3" type="audio/mpeg"/></item></channel></rss>',
    ),
    "local": ("text/html", '<html><title>a</title><audio src="file:///etc/passwd"></audio></html>'),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_or_playlist_that_points_inside_leads_nowhere(
    name: str, canary: Canary, media: MediaServer, ways: tuple[Fetch, ...], tmp_path: Path
) -> None:
    """What yt-dlp reads on a page is fetched through the same guard; the refusal is the answer."""
    kind, body = PAGES[name]
    patient = replace(LIMITS, timeout_s=120, idle_timeout_s=30)  # a child is started, and nobody is silent
    media.pages[f"/{name}"] = (kind, body.replace("{inside}", INSIDE.format(port=canary.port)).encode())
    with pytest.raises((BlockedAddress, ExtractionError)):
        download(f"{media.url}/{name}", tmp_path, ways, patient, quiet)
    assert hits(canary) == 0
    is_read_by_us = name == "variants"  # to see whether it is live; of the others the child came, too
    assert media.seen[f"/{name}"] >= (1 if is_read_by_us else 2)


# ---- DNS


def test_a_name_is_resolved_once_per_connection(
    canary: Canary, names: NameServer, guard: Guard, tmp_path: Path
) -> None:
    """A name that answers with a public address first and loopback next gets no second question."""
    url = f"http://rebind.test:{canary.port}/"
    with pytest.raises(SourceUnavailable):  # the public address was connected to, in vain
        direct.fetch(guard, url, tmp_path, LIMITS, quiet)
    assert names.lookups("rebind.test") == 1
    with pytest.raises(BlockedAddress):
        direct.fetch(guard, url, tmp_path, LIMITS, quiet)
    assert names.lookups("rebind.test") == 2
    assert hits(canary) == 0


def test_one_bad_address_spoils_the_name(guard: Guard) -> None:
    """A name with a public and a private address is refused, in either order."""
    for name in ("mixed.test", "mixed6.test"):
        with pytest.raises(BlockedAddress):
            guard.resolve(name, 80)
    assert [str(address) for address in guard.resolve("public.test", 80)] == [NOWHERE]


def test_the_systems_resolver_is_held_to_the_same_rule() -> None:
    """Without a nameserver of its own, the guard checks what getaddrinfo says."""
    with pytest.raises(BlockedAddress):
        Guard().resolve("localhost", 80)


# ---- what is allowed


def test_ports_and_exempt_hosts_are_settings(canary: Canary) -> None:
    """A port that is not listed is refused; an exempt host may have any address, an exempt host:port only that port."""
    with pytest.raises(BlockedAddress, match="Port 8443"):
        Guard().check("public.test", 8443)
    Guard(ports=frozenset({8443})).check("public.test", 8443)
    assert Guard(allow_hosts=frozenset({"127.0.0.1"})).resolve("127.0.0.1", canary.port)
    exempt = Guard(allow_hosts=frozenset({"127.0.0.1:1"}))
    assert exempt.resolve("127.0.0.1", 1)
    with pytest.raises(BlockedAddress):
        exempt.resolve("127.0.0.1", canary.port)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "100.63.0.1", "2606:4700::1111", "2a00::1"],
)
def test_ordinary_addresses_are_public(address: str) -> None:
    """The guard does not refuse the Internet."""
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=6, network="2000::/3"))
def test_no_ipv6_address_hides_an_ipv4_address(address: ipaddress.IPv6Address) -> None:
    """What counts as public embeds no IPv4 address by 6to4, Teredo, ISATAP or mapping."""
    if is_public(address):
        assert (address.sixtofour, address.teredo, address.ipv4_mapped) == (None, None, None)
        assert address.packed[10:12] != b"\x5e\xfe" or address.packed[8:10] not in (b"\0\0", b"\2\0")


@given(st.ip_addresses(v=4))
def test_what_python_calls_private_is_never_public(address: ipaddress.IPv4Address) -> None:
    """The guard is at least as strict as the standard library."""
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("https://example.org:443/a?b=c#d", "https://example.org/a?b=c"),
        ("http://example.org:80/A/b%20c?utm_source=x", "http://example.org/A/b%20c?utm_source=x"),
        ("https://example.org:8443/", "https://example.org:8443/"),
        ("http://bücher.example/ü?q=ü", "http://xn--bcher-kva.example/%C3%BC?q=%C3%BC"),
        ("http://[2A00:0:0::1]:80/", "http://[2a00::1]/"),
        ("http://example.org.:80//a//b", "http://example.org//a//b"),
    ],
)
def test_urls_have_one_normal_form(given_url: str, normal: str) -> None:
    """Host in lower case and ASCII, no default port, no fragment; everything else stays; the form is stable."""
    assert parse(given_url).url == normal
    assert parse(normal).url == normal


@given(st.text(alphabet=st.sampled_from("htps:/@[]%.0127x#?\\ aé①。"), max_size=40))
def test_reading_any_text_gives_a_url_or_a_refusal(text: str) -> None:
    """No other error, and what is read reads the same again, also to another parser."""
    try:
        target = parse("http://" + text)
    except InvalidUrl:
        return
    assert parse(target.url) == target
    assert httpx.URL(target.url).raw_host.decode() == target.host


@given(st.text(max_size=30))
def test_reading_any_host_gives_one_or_a_refusal(text: str) -> None:
    """A host that is read is ASCII, in lower case, and stays what it is."""
    try:
        host = read_host(text)
    except InvalidUrl:
        return
    assert host.isascii()
    assert host == host.lower() == read_host(host)
