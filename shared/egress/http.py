"""An HTTP client that connects only where the Guard allows it, for recordings by URL and for webhooks."""

from __future__ import annotations

import httpx

from shared.egress import policy
from shared.egress.policy import Guard

CONNECT_TIMEOUT_S = 10.0


class GuardedTransport(httpx.BaseTransport):
    """Sends each request, and so each redirect, to an address that was checked; the name stays in Host and TLS.

    follows : whoever asks follows redirects, whose bodies are not read then: httpx would read them to their end

    Raises InvalidUrl, BlockedAddress and SourceUnavailable beside httpx's own errors.
    """

    def __init__(self, guard: Guard, *, follows: bool = False) -> None:
        self._guard, self._follows = guard, follows
        # connections are not kept: two names may share an address, and TLS has proved only one of them
        self._inner = httpx.HTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target = policy.parse(str(request.url))
        *addresses, last = self._guard.resolve(target.host, target.port)
        for address in addresses:
            try:
                return self._answer(request, target.host, str(address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent yet
        return self._answer(request, target.host, str(last))

    def _answer(self, request: httpx.Request, name: str, address: str) -> httpx.Response:
        response = self._send(request, name, address)
        if not self._follows or not response.has_redirect_location:
            return response
        response.close()
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(b""))

    def _send(self, request: httpx.Request, name: str, address: str) -> httpx.Response:
        return self._inner.handle_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # Host is among them
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": name},
            )
        )

    def close(self) -> None:
        self._inner.close()


def client(guard: Guard, *, timeout_s: float, max_redirects: int = 0) -> httpx.Client:
    """A client that follows at most `max_redirects`, each checked like the first URL. `timeout_s` bounds each silence.

    Proxies of the environment are not used.
    """
    return httpx.Client(
        transport=GuardedTransport(guard, follows=max_redirects > 0),
        timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
        follow_redirects=max_redirects > 0,
        max_redirects=max(max_redirects, 1),
        trust_env=False,
    )
