"""The typing of addresses and ports: what a proxy would read as something else is refused."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.fields import address_fault, port_fault


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "255.255.255.255",
        "::1",
        "2001:db8::10",
        "::ffff:10.0.0.1",
        "localhost",
        "web-1.example.com",
        "web-1.example.com.",
        "my_app_web_1",
        "_sip._tcp.example.com",
        "1and1.example",
        "7.example.c0m",
        "a" * 63,
        ".".join(["a" * 63] * 3 + ["b" * 61]),
    ],
)
def test_an_ip_address_or_a_host_name_is_accepted(address):
    assert address_fault(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        None,
        2130706433,
        "unix:/run/app.sock",
        "/run/app.sock",
        "0x7f000001",
        "0X7F000001",
        "web.0x7f",
        "web.0x",
        "127.1",
        "2130706433",
        "127.1.",
        "010.0.0.1",
        "10.0.0.256",
        "10.0.0.1:80",
        "[::1]",
        "fe80::1%eth0",
        "fe80::1%a; include x",
        "web.example.com;",
        "web example",
        "web\n",
        "10.0.0.1\n",
        "*.example.com",
        ".example.com",
        "~^web",
        "web..example",
        "-web.example",
        "web-.example",
        "wéb.example",
        "١٠.0.0.1",
        ".",
        "..",
        "a" * 64,
        ".".join(["a" * 63] * 3 + ["b" * 62]),
    ],
)
def test_anything_else_is_refused_as_an_address(address):
    assert address_fault(address)


@given(st.ip_addresses())
def test_every_ip_address_is_accepted_as_python_prints_it(address):
    assert address_fault(str(address)) is None


@given(st.from_regex(r"(0x[0-9a-f]{1,8}|[0-9]{1,12})(\.(0x[0-9a-f]{1,3}|[0-9]{1,6})){0,3}", fullmatch=True))
def test_no_accepted_address_means_another_one_to_the_resolver(address):
    try:
        meant = socket.inet_ntoa(socket.inet_aton(address))
    except OSError:
        meant = None
    accepted = address_fault(address) is None
    assert accepted == (meant is not None and meant == address)


@given(st.text(min_size=1, max_size=40))
def test_a_reason_never_holds_the_value_and_an_accepted_one_is_harmless(address):
    reason = address_fault("x9;" + address)
    assert reason
    assert "x9;" not in reason
    if address_fault(address) is None and ":" not in address:
        assert set(address.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
    elif address_fault(address) is None:
        ipaddress.IPv6Address(address)


@pytest.mark.parametrize("port", [0, 1, 80, 65535])
def test_a_port_is_an_integer_from_0_to_65535(port):
    assert port_fault(port) is None


@pytest.mark.parametrize("port", [-1, 65536, "80", 80.0, True, None, [80]])
def test_anything_else_is_refused_as_a_port(port):
    assert port_fault(port)


@given(st.lists(st.integers(0, 300).map(str) | st.text("0123456789", max_size=4), min_size=3, max_size=5))
def test_dotted_numbers_are_an_address_where_the_standard_library_says_so(parts):
    address = ".".join(parts)
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        assert address_fault(address)
    else:
        assert address_fault(address) is None
