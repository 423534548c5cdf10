"""Refuses every Python connection and name look-up that leaves this machine.

The runner copies this file as ``sitecustomize.py`` onto the ``PYTHONPATH`` of the kernel, so it is on before the
first cell and in every Python that the notebook starts. It is an audit hook: it sees every socket, however it was made,
and cannot be taken off again. Other programs (curl, git) are only stopped as far as they honour the ``*_proxy``
variables, which the runner points at ``DEAD_END``. Standard library only.
"""

import ipaddress
import os
import socket
import sys

#: Nothing listens here: programs that honour a proxy are refused at once, and Python is told why by the guard.
DEAD_END = ("127.0.0.1", 9)
#: Names a file to which every refused attempt is added, so that an attempt the notebook swallowed is still found.
LOG_VARIABLE = "MEDSYNTH_NETWORK_LOG"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
_CONNECTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname"}
_REVERSE_LOOK_UPS = {"socket.gethostbyaddr", "socket.getnameinfo"}


class NetworkBlocked(PermissionError):
    """A lesson tried to reach another machine."""


def is_local(host: object) -> bool:
    """Whether ``host`` (name or address) means this machine; its own name counts, so that ``getfqdn`` works."""
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if host is None or host in ("", "localhost", socket.gethostname()):
        return True
    address = _as_address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _as_address(host: object) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        return ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return None


def guard(event: str, arguments: tuple) -> None:
    """Audit hook: raise ``NetworkBlocked`` where ``event`` would reach another machine."""
    if event in _CONNECTS:
        address = arguments[1]
        if isinstance(address, tuple) and (not is_local(address[0]) or address[:2] == DEAD_END):
            _refuse("the proxy, to another machine" if address[:2] == DEAD_END else f"{address[0]}:{address[1]}")
    elif event in _LOOK_UPS:
        if not is_local(arguments[0]) and _as_address(arguments[0]) is None:  # an address needs no name server
            _refuse(arguments[0])
    elif event in _REVERSE_LOOK_UPS:
        host = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
        if not is_local(host):
            _refuse(host)


def install() -> None:
    """Turn the guard on for the rest of this process."""
    sys.addaudithook(guard)


def _refuse(target: object) -> None:
    if log := os.environ.get(LOG_VARIABLE):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{target}\n")
    raise NetworkBlocked(
        f"the network is blocked while a lesson is executed; refused: {target}. "
        "Put what the lesson needs under DATA_ROOT, or make it in the lesson."
    )


if __name__ == "sitecustomize":
    install()
