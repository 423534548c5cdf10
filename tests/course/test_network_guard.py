"""The guard's decisions, event by event; that it is on in a kernel is shown in test_runner.py."""

import socket

import pytest

from medsynth_lib.course.network_guard import DEAD_END, LOG_VARIABLE, NetworkBlocked, guard

LOCAL = [
    ("socket.connect", (None, ("127.0.0.1", 5000))),
    ("socket.connect", (None, ("::1", 5000, 0, 0))),
    ("socket.connect", (None, "/tmp/a.socket")),
    ("socket.sendto", (None, ("127.8.8.8", 53))),
    ("socket.sendmsg", (None, None)),
    ("socket.getaddrinfo", (None, 80, 0, 0, 0)),
    ("socket.getaddrinfo", ("localhost", 80, 0, 0, 0)),
    ("socket.getaddrinfo", (b"localhost", 80, 0, 0, 0)),
    ("socket.getaddrinfo", ("192.0.2.1", 80, 0, 0, 0)),  # an address: nothing is asked
    ("socket.gethostbyname", (socket.gethostname(),)),
    ("socket.gethostbyaddr", ("127.0.0.1",)),
    ("socket.getnameinfo", (("127.0.0.1", 80),)),
    ("open", ("a", "r", 0)),
]
AWAY = [
    ("socket.connect", (None, ("192.0.2.1", 80)), "192.0.2.1:80"),
    ("socket.connect", (None, ("2001:db8::1", 80, 0, 0)), "2001:db8::1:80"),
    ("socket.connect", (None, ("127.0.0.1.example.org", 80)), "example.org"),
    ("socket.connect", (None, DEAD_END), "proxy"),
    ("socket.sendto", (None, ("192.0.2.53", 53)), "192.0.2.53:53"),
    ("socket.getaddrinfo", ("example.org", 80, 0, 0, 0), "example.org"),
    ("socket.getaddrinfo", (b"example.org", 80, 0, 0, 0), "example.org"),
    ("socket.gethostbyname", ("example.org",), "example.org"),
    ("socket.gethostbyaddr", ("192.0.2.1",), "192.0.2.1"),
    ("socket.getnameinfo", (("192.0.2.1", 80),), "192.0.2.1"),
]


@pytest.mark.parametrize(("event", "arguments"), LOCAL)
def test_this_machine_is_reached(event, arguments):
    guard(event, arguments)


@pytest.mark.parametrize(("event", "arguments", "target"), AWAY)
def test_another_machine_is_not(event, arguments, target, tmp_path, monkeypatch):
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "log"))
    with pytest.raises(NetworkBlocked, match="the network is blocked") as caught:
        guard(event, arguments)
    assert target in str(caught.value)
    assert target in (tmp_path / "log").read_text()
