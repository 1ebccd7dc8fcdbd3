"""docs/adding-a-catalog.md: the layouts that it shows do what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from ctemplate.catalog.docker.containers import Binding, Container, Port
from ctemplate.catalog.docker.places import Place, Rules, places
from ctemplate.catalog.docker.services import Service
from ctemplate.catalog.layout import Found, Pairs
from ctemplate.model import Instance

PAGE = (Path(__file__).parents[2] / "docs/adding-a-catalog.md").read_text()
NAMES = {
    each.__name__: each
    for each in (Binding, Container, Found, Instance, Iterator, Mapping, Place, Port, Rules, Service, parse_qsl)
} | {"Pairs": Pairs, "places": places, "re": re, "unquote": unquote, "urlsplit": urlsplit}


@pytest.fixture(scope="module")
def shown():
    """What the page's blocks define."""
    names = dict(NAMES)
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "adding-a-catalog.md", "exec", dont_inherit=True), names)
    return names


def test_dubbo_s_providers_are_instances(shown):
    child = "dubbo%3A%2F%2F10.0.0.1%3A20880%2Fcom.example.Orders%3Fversion%3D1.0%26side%3Dprovider"
    found = shown["dubbo"]([(f"com.example.Orders/{child}", b""), ("com.example.Orders/dubbo%3A%2F%2F%5B", b"")])
    answer = found.service("com.example.Orders")
    assert answer.value == (
        Instance(
            id="10.0.0.1:20880",
            name="com.example.Orders",
            address="10.0.0.1",
            port=20880,
            meta={"version": "1.0", "side": "provider"},
        ),
    )
    assert [bad.reason for bad in answer.bad] == ["is no URL"]


def test_traefik_s_labels_are_services(shown):
    port = Port(80, "tcp")
    container = Container(
        id="c1", name="shop.1", image="team/shop", networks={"bridge": "172.17.0.2"}, network_mode="bridge",
        exposed=frozenset((port,)), published={port: Binding("0.0.0.0", 8080)},
        labels={
            "traefik.http.services.shop.loadbalancer.server.port": "80",
            "traefik.http.services.admin.loadbalancer.server.port": "81",
        },
    )  # fmt: skip
    rules = Rules(host="h1", host_address="192.0.2.7")
    found = {s.name: s for s in shown["services"](container, {"c1": container}, rules, status="passing")}
    assert (found["shop"].place.address, found["shop"].place.port, found["shop"].fault) == ("192.0.2.7", 8080, None)
    assert found["admin"].fault == "it has no such port that can be reached"
