"""Where the daemon listens, whom it lets in, and who has come but not said anything yet."""

from __future__ import annotations

import errno
import ipaddress
import logging
import resource
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TypeAlias

from gadgets.handover.door import LocalDoor, peer_of
from python_recon.errors import ConfigError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
_BACKLOG = 64
_MOST_SILENT = 256
"""Peers that have not said anything; at most a quarter of the files that the process may open."""
_RETRY_S = 0.1
_PROBES = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""When a peer is silent for so many seconds, the system asks, so far apart and so often, whether it is there.

A client whose machine is gone, or which has closed without a word after its last readout, is noticed by that
alone.
"""
_UNAVAILABLE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""The machine has no such address: as a rule it is the loopback of IPv6 that is missing."""
_log = logging.getLogger(__name__)


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks in CIDR notation; raises ConfigError for anything else."""
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise ConfigError(f"--allow: {error}; expected an address or a network, as 10.1.0.0/16") from error


def is_allowed(address: str, networks: Sequence[Network]) -> bool:
    """Whether a peer is in one of the networks, or there are none."""
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return not networks or any(peer in network for network in networks)


class Doors:
    """The listening sockets, and the connections that have not sent anything yet.

    Those have no worker: probes connect and leave, and would cost one each.

    Parameters
    ----------
    hosts, ports
        Every port is opened at every address.
    allowed
        Networks whose peers are let in; none: all are.
    max_idle_s
        How long a peer may say nothing.
    local
        For gadgets of this machine; stays the caller's to close.

    Raises
    ------
    ConfigError
        When a port is taken, or none of the addresses exists here.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        ports: Sequence[int],
        allowed: Sequence[Network],
        max_idle_s: float,
        local: LocalDoor | None = None,
    ) -> None:
        self._allowed = allowed
        self._max_idle_s = max_idle_s
        self._deadlines: dict[socket.socket, float] = {}
        self._local = local
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._selector = stack.enter_context(selectors.DefaultSelector())
            if local is not None:
                self._selector.register(local.listener, selectors.EVENT_READ, self._greet)
            for listener in _listeners(hosts, ports):
                stack.enter_context(listener)
                self._selector.register(listener, selectors.EVENT_READ, self._greet)
                address = listener.getsockname()[0]
                if not allowed and not is_allowed(address, _LOOPBACK):
                    _log.warning("%s serves everyone who can reach it; --allow restricts that", address)
            self._stack = stack.pop_all()

    def __enter__(self) -> Doors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them, and part from those who have not said anything."""
        for connection in self._deadlines:
            connection.close()
        self._stack.close()

    def watch(self, waker: socket.socket) -> None:
        """Let :meth:`visitors` return when this socket has something to read."""
        self._selector.register(waker, selectors.EVENT_READ, lambda _waker: iter(()))

    def visitors(self, timeout_s: float) -> Iterator[socket.socket]:
        """Connections that have begun to speak, of those that do within a while; then the caller's."""
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj.fileno() != -1:  # else closed in the meantime, for others to have room
                yield from key.data(key.fileobj)
        now = time.monotonic()
        for connection in [each for each, deadline in self._deadlines.items() if deadline < now]:
            _log.info("%s said nothing for %g s: closed", peer_name(connection), self._max_idle_s)
            self._release(connection).close()

    def _greet(self, listener: socket.socket) -> Iterator[socket.socket]:
        try:
            connection = self._accept(listener)
        except OSError as error:  # the peer has gone already, or too many files are open
            _log.warning("a connection was not accepted: %s", error)
            self._part_from_silent(len(self._deadlines) // 2)
            time.sleep(_RETRY_S)
            return
        if connection is None:
            return
        try:
            _prepare(connection)
            self._selector.register(connection, selectors.EVENT_READ, self._hear)
        except OSError as error:  # the peer has gone already
            _log.info("%s was not let in: %s", peer_name(connection), error)
            connection.close()
            return
        self._deadlines[connection] = time.monotonic() + self._max_idle_s
        self._part_from_silent(_most_silent())
        yield from ()

    def _accept(self, listener: socket.socket) -> socket.socket | None:
        """A connection of somebody who may come in; None where nobody such is there."""
        if self._local is not None and listener is self._local.listener:
            return self._local.accept()
        connection, address = listener.accept()
        if is_allowed(address[0], self._allowed):
            return connection
        _log.warning("%s is not on the list of allowed peers: refused", address[0])
        connection.close()
        return None

    def _part_from_silent(self, n_left: int) -> None:
        """Close those that have been silent longest, until so many are left."""
        for connection in list(self._deadlines)[: max(len(self._deadlines) - n_left, 0)]:
            _log.warning("%s said nothing, and others come: closed", peer_name(connection))
            self._release(connection).close()

    def _hear(self, connection: socket.socket) -> Iterator[socket.socket]:
        self._release(connection)
        try:
            has_spoken = bool(connection.recv(1, socket.MSG_PEEK))
        except OSError:
            has_spoken = False
        if has_spoken:
            yield connection
        else:
            connection.close()

    def _release(self, connection: socket.socket) -> socket.socket:
        self._selector.unregister(connection)
        del self._deadlines[connection]
        return connection


def _prepare(connection: socket.socket) -> None:
    connection.setblocking(False)
    if connection.family is socket.AF_UNIX:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBES.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _most_silent() -> int:
    n_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_SILENT if n_files == resource.RLIM_INFINITY else min(_MOST_SILENT, max(n_files // 4, 1))


def peer_name(connection: socket.socket) -> str:
    """Address and port of the other side, or its process on this machine, for the log."""
    try:
        if connection.family is socket.AF_UNIX:
            return f"a gadget in process {peer_of(connection)[0]}"
        address = connection.getpeername()
    except OSError:
        return "a peer that has gone"
    return f"{address[0]} port {address[1]}"


def _listeners(hosts: Sequence[str], ports: Sequence[int]) -> Iterator[socket.socket]:
    n_open = 0
    for family, address in _addresses(hosts):
        for port in ports:
            try:
                listener = socket.create_server((address, port), family=family, backlog=_BACKLOG)
            except OSError as error:
                if error.errno not in _UNAVAILABLE:
                    raise ConfigError(
                        f"port {port} of {address} cannot be used ({error}); does a daemon run already?"
                    ) from error
                _log.info("there is no address %s here: not listening on it", address)
                continue
            n_open += 1
            _log.info("listening on %s port %d", address, port)
            yield listener
    if not n_open:
        raise ConfigError(f"there is nothing to listen on: addresses {list(hosts)}, ports {list(ports)}")


def _addresses(hosts: Sequence[str]) -> list[tuple[socket.AddressFamily, str]]:
    """Family and address of every host, each once."""
    found = {}
    for host in hosts:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise ConfigError(f"--host {host!r} is no address of this machine: {error}") from error
        found.update({str(place[0]): family for family, _, _, _, place in answers})
    return [(family, address) for address, family in found.items()]
