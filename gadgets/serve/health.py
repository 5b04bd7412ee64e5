"""``/healthz``, ``/readyz`` and ``/metrics`` over HTTP, and the live page at ``/``."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

from gadgets.serve.live import EVENTS, SECURITY, Live
from gadgets.serve.metrics import CONTENT_TYPE
from python_recon.errors import ConfigError

_POLL_S = 0.1
_REQUEST_S = 5.0
_MOST_REQUESTS = 16
_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Health:
    """An HTTP server in a thread of its own.

    Parameters
    ----------
    host, port
        Where it listens.
    unready
        Tells why no scan should be sent now; nothing where one may.
    metrics
        Gives the text of the metrics.
    live
        What the live page shows; None: there is no such page.

    Raises
    ------
    ConfigError
        When the port is taken, or the address is not one of this machine.
    """

    def __init__(
        self,
        host: str,
        port: int,
        unready: Callable[[], str],
        metrics: Callable[[], str],
        live: Live | None = None,
    ) -> None:
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"the health port {port} of {host} cannot be used ({error}); choose another"
            ) from error
        self._server.pages = {"/healthz": lambda: "", "/readyz": unready}
        self._server.metrics, self._server.live = metrics, live
        self._server.is_local = is_loopback(host)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="health")
        self._thread.start()

    def stop(self) -> None:
        """End the server and its threads."""
        if self._server.live is not None:
            self._server.live.is_over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up(older_than_s=0.0)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread for each request; requests have a deadline, and only so many are answered at a time."""

    daemon_threads = False  # joined at the end
    pages: dict[str, Callable[[], str]]
    """Tell, by path, what is wrong; nothing where all is well."""
    metrics: Callable[[], str]
    live: Live | None
    is_local: bool
    """Whether it listens on this machine only."""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._begun_s: dict[socket.socket, float] = {}
        super().__init__(address, handler)

    def service_actions(self) -> None:
        """Called several times a second."""
        self.hang_up(older_than_s=_REQUEST_S)

    def hang_up(self, older_than_s: float) -> None:
        """End the requests that have taken longer."""
        for request, begun_s in list(self._begun_s.items()):
            if time.monotonic() - begun_s >= older_than_s:
                with contextlib.suppress(OSError):  # it has ended in the meantime
                    request.shutdown(socket.SHUT_RDWR)

    def let_stream(self, request: socket.socket) -> None:
        """From now on a request may take as long as its stream lasts."""
        self._begun_s[request] = math.inf

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or not at all where too many are answered."""
        if len(self._begun_s) >= _MOST_REQUESTS:
            _log.warning("%s is not answered: %d requests are under way", client_address, _MOST_REQUESTS)
            super().shutdown_request(request)
            return
        self._begun_s[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._begun_s.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        _log.info("%s was not answered", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_S

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.metrics(), CONTENT_TYPE)
        elif self.server.live is not None and self._is_asked_rightly() and self._show(self.server.live):
            return
        elif (find_trouble := self.server.pages.get(self.path)) is None:
            self._answer(HTTPStatus.NOT_FOUND, "there are /healthz, /readyz and /metrics\n")
        elif trouble := find_trouble():
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{trouble}\n")
        else:
            self._answer(HTTPStatus.OK, "ok\n")

    def _show(self, live: Live) -> bool:
        """Answer with the live page, or its stream; False where the path is none of these."""
        if self.path == EVENTS:
            self._stream(live)
        elif file := live.file(self.path):
            self._answer(HTTPStatus.OK, *file, SECURITY)
        else:
            return False
        return True

    def _is_asked_rightly(self) -> bool:
        """Whether the browser means this machine: a page of elsewhere could call itself by our address."""
        name = (self.headers.get("Host") or "").rpartition(":")[0].strip("[]")
        return not self.server.is_local or is_loopback(name)

    def _stream(self, live: Live) -> None:
        self.server.let_stream(self.connection)
        self.send_response(HTTPStatus.OK)
        for name, value in {**SECURITY, "Content-Type": "text/event-stream"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):  # the reader has gone
            for event in live.events():
                self.wfile.write(event)

    def _answer(
        self,
        status: HTTPStatus,
        text: str,
        content_type: str = _TEXT,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so named there
        _log.debug(format, *args)
