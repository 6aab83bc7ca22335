"""The one place that decides where Parley connects to: recordings by URL, yt-dlp and webhooks all ask the Guard.

A URL is read once, strictly, and rebuilt from what was read, so that no two parsers see two hosts in it. The host is
resolved once, every address must be a public one, and the connection goes to exactly the address that was checked: a
name that answers differently the next time is not asked a next time. Redirects come here again, as URLs of their own.
docs/decisions/egress.md says what this holds against and what not.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import idna

from shared.config import Settings
from shared.errors import BlockedAddress, InvalidUrl, SourceUnavailable
from shared.telemetry.metrics import EGRESS_REFUSED

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARS = 4096
"""Signed media URLs reach 2,000 characters; servers commonly refuse beyond 8,000."""

DEFAULT_PORTS = {"http": 80, "https": 443}
LOOKUP_TIMEOUT_S = 10.0

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_IN_PATH, _IN_QUERY = "/%:@!$&'()*+,;=~-._", "/%:@!$&'()*+,;=~-._?"

NOT_PUBLIC_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's metadata and DNS service has an address that looks public
    )
)
"""IANA's special-purpose registry; `ipaddress.is_global` alone knows less of it, and differently in each Python."""

PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
"""All global unicast addresses that are assigned. IPv4-mapped and -compatible addresses, NAT64 (64:ff9b::/96 and
64:ff9b:1::/48), unique local, link local, site local and multicast ones lie outside."""

NOT_PUBLIC_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, among them Teredo, which embeds IPv4 addresses
        "2001:db8::/32",
        "2002::/16",  # 6to4, the same
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)


def is_public(address: IPAddress) -> bool:
    """Whether the address is an ordinary one on the Internet, and not a way of writing one that is not."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in NOT_PUBLIC_IPV4)
    is_isatap = (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE  # the interface id 0000:5efe + IPv4, RFC 5214
    return address in PUBLIC_IPV6 and not is_isatap and not any(address in network for network in NOT_PUBLIC_IPV6)


@dataclass(frozen=True, slots=True)
class Target:
    """An http or https URL in its normal form: host in lower case and ASCII, no default port, no fragment."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query, as sent in the request line."""

    @property
    def netloc(self) -> str:
        """Host and port as in the URL and the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.netloc}{self.path}"


def parse(url: str) -> Target:
    """Read a URL as strictly as can be. Raises InvalidUrl for everything that two programs might read differently."""
    if len(url) > MAX_URL_CHARS:
        raise InvalidUrl(f"The URL is longer than {MAX_URL_CHARS} characters.")
    if any(character <= " " or character in "\\\x7f" for character in url) or not url.isprintable():
        raise InvalidUrl("The URL holds spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidUrl("The URL cannot be read.") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise InvalidUrl("The URL must begin with http:// or https://.")
    if "@" in parts.netloc:
        raise InvalidUrl("The URL must not hold a user name or password.")
    if port == 0:
        raise InvalidUrl("The URL's port is not one.")
    path = quote(parts.path or "/", safe=_IN_PATH)
    if parts.query:
        path += "?" + quote(parts.query, safe=_IN_QUERY)
    host = read_host(parts.hostname or "", in_brackets="[" in parts.netloc)
    return Target(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], path)


def read_host(host: str, *, in_brackets: bool = False) -> str:
    """The host in its normal form: a name in ASCII, or an address in its one canonical notation. Raises InvalidUrl."""
    if in_brackets or ":" in host:
        try:
            return str(ipaddress.IPv6Address(host if "%" not in host else ""))
        except ValueError as error:
            raise InvalidUrl("The URL's host is not an IPv6 address.") from error
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True, std3_rules=True).decode()
    except idna.IDNAError as error:
        raise InvalidUrl("The URL's host is not a valid name.") from error
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidUrl("The URL's host is not a valid name.")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(".".join(labels)))
        except ValueError as error:
            # 127.1, 0x7f000001, 2130706433 and 0177.0.0.1 are 127.0.0.1 to some programs and names to others
            raise InvalidUrl("Write an IPv4 address as four decimal numbers.") from error
    return ".".join(labels)


@dataclass(frozen=True, slots=True)
class Guard:
    """What outbound connections are allowed. `allow_hosts` are exempt, each as `host` or `host:port`."""

    ports: frozenset[int] = frozenset(DEFAULT_PORTS.values())
    allow_hosts: frozenset[str] = frozenset()
    nameserver: str | None = None

    def check(self, host: str, port: int) -> None:
        """What can be said without asking DNS. `host` is in normal form. Raises BlockedAddress."""
        if self._is_exempt(host, port):
            return
        if port not in self.ports:
            raise BlockedAddress(f"Port {port} is not allowed.")
        address = _literal(host)
        if address and not is_public(address):
            raise BlockedAddress("The address is not a public one.")

    def resolve(self, host: str, port: int) -> tuple[IPAddress, ...]:
        """The addresses to connect to, all of them checked. Raises BlockedAddress, and SourceUnavailable for unknown
        names."""
        try:
            self.check(host, port)
            literal = _literal(host)
            addresses = (literal,) if literal else self._look_up(host)
            # one that is not public among others that are is no accident
            if not self._is_exempt(host, port) and not all(is_public(address) for address in addresses):
                raise BlockedAddress("The address is not a public one.")
        except BlockedAddress as error:
            EGRESS_REFUSED.labels(error.code).inc()
            raise
        return addresses

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection to one of the checked addresses. Raises BlockedAddress and SourceUnavailable."""
        for address in self.resolve(host, port):
            try:
                return socket.create_connection((str(address), port), timeout=timeout_s)
            except OSError as error:
                problem = error
        raise SourceUnavailable("The server of the URL cannot be reached.") from problem

    def _is_exempt(self, host: str, port: int) -> bool:
        return host in self.allow_hosts or f"{host}:{port}" in self.allow_hosts

    def _look_up(self, host: str) -> tuple[IPAddress, ...]:
        try:
            addresses = _ask(self.nameserver, host) if self.nameserver else _ask_system(host)
        except (OSError, UnicodeError) as error:
            raise SourceUnavailable("The host of the URL is not known.") from error
        if not addresses:
            raise SourceUnavailable("The host of the URL is not known.")
        return addresses


def guard(config: Settings) -> Guard:
    """The guard as the settings want it."""
    return Guard(
        ports=frozenset(int(port) for port in items(config.egress_ports)),
        allow_hosts=frozenset(items(config.egress_allow_hosts)),
        nameserver=config.egress_nameserver,
    )


def items(listed: str) -> list[str]:
    """The entries of a setting that is a list with commas, in lower case."""
    return [item.strip().lower() for item in listed.split(",") if item.strip()]


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _ask_system(host: str) -> tuple[IPAddress, ...]:
    entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries))


def _ask(nameserver: str, host: str) -> tuple[IPAddress, ...]:
    """Ask one DNS server and nobody else, not even /etc/hosts."""
    from dns import exception, resolver  # only where a nameserver is set

    server, _, port = nameserver.partition(":")
    asking = resolver.Resolver(configure=False)
    asking.nameservers, asking.port, asking.lifetime = [server], int(port or 53), LOOKUP_TIMEOUT_S
    try:
        return tuple(ipaddress.ip_address(address) for address in asking.resolve_name(host + ".").addresses())
    except exception.DNSException as error:
        raise OSError(f"DNS: {type(error).__name__}") from error
