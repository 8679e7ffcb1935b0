"""Where a client is: trusted proxies, their header, and what they may write in it."""

import logging

import pytest

from msgsvc import Settings
from msgsvc.client_address import ClientAddresses, network_of
from msgsvc.settings import SettingsError

PROXIES = "10.0.0.0/8, 127.0.0.1,2001:db8::/32"


def found(peer: str, forwarded: str | None, **settings: str) -> str:
    environ = {"REMOTE_ADDR": peer}
    chosen = Settings(**{"trusted_proxy": PROXIES, **settings})
    if forwarded is not None:
        environ[f"HTTP_{chosen.client_address_header.upper().replace('-', '_')}"] = forwarded
    return ClientAddresses(chosen).find(environ)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.1.2.3", "203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "203.0.113.7:4711", "203.0.113.7"),
        ("10.1.2.3", "[2a02::7]:4711", "2a02::7"),
        ("10.1.2.3", "[2a02::7]", "2a02::7"),
        ("10.1.2.3", "2a02::7", "2a02::7"),
        ("10.1.2.3", "::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:10.1.2.3", "203.0.113.7", "203.0.113.7"),
        ("2001:db8::9", "203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.7,10.9.9.9:80 , 127.0.0.1", "203.0.113.7"),
        ("10.1.2.3", "10.5.5.5, 10.9.9.9", "10.5.5.5"),
        ("10.1.2.3", "203.0.113.7, unknown", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.7, unknown, 10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", '"', "10.1.2.3"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", None, "10.1.2.3"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("", "203.0.113.7", ""),
    ],
)
def test_the_last_entry_that_no_trusted_proxy_is_counts(peer: str, forwarded: str | None, address: str) -> None:
    assert found(peer, forwarded) == address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [("203.0.113.7", "203.0.113.7"), ("[2a02::7]:1", "2a02::7"), ("203.0.113.7, 198.51.100.1", "10.1.2.3")],
)
def test_another_header_holds_a_single_address(forwarded: str, address: str) -> None:
    assert found("10.1.2.3", forwarded, client_address_header="X-Real-IP") == address


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.7", "203.0.113.7"), ("2a02:1:2:3:4::7", "2a02:1:2:3::/64"), ("", "")],
)
def test_an_ipv6_client_counts_by_its_64(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_forwarded_header_of_an_unnamed_peer_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    addresses = ClientAddresses(Settings())
    for _ in range(3):
        addresses.find({"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7"})
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["X-Forwarded-For from 192.0.2.1 is not believed: MSGSVC_TRUSTED_PROXY does not name it"]


@pytest.mark.parametrize("value", ["proxy.internal", "not an address", "10.0.0.1/8", "*", "10.0.0.0/33", "10.0.0"])
def test_what_is_neither_address_nor_network_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"MSGSVC_TRUSTED_PROXY must be addresses and networks") as refused:
        Settings.from_environ({"MSGSVC_TRUSTED_PROXY": value})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [" 127.0.0.1", "10.0.0.0/8", "::1", "10.0.0.1,10.0.0.2", "10.0.0.1 10.0.0.2"])
def test_addresses_and_networks_are_taken(value: str) -> None:
    assert Settings.from_environ({"MSGSVC_TRUSTED_PROXY": value}).trusted_proxy


def test_a_header_that_is_no_name_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="MSGSVC_CLIENT_ADDRESS_HEADER must be the name of a header"):
        Settings.from_environ({"MSGSVC_CLIENT_ADDRESS_HEADER": "X Real IP"})
