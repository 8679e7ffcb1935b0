"""The client's address behind a proxy.

On SQLite: the address does not depend on the engine.
"""

import sqlite3
from contextlib import closing

import pytest
from raw_clients import ADDRESS
from served import serving, sign_in


def login_attempts(database: str) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT subject FROM msgsvc_login_attempts WHERE subject LIKE 'address:%'")
        return {subject for (subject,) in rows}


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ("", "203.0.113.7", ADDRESS),
        ("192.0.2.1", "203.0.113.7", ADDRESS),
        (ADDRESS, "203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8, 2001:db8::/32", "203.0.113.7", "203.0.113.7"),
        (ADDRESS, "::ffff:203.0.113.7", "203.0.113.7"),
        (ADDRESS, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (ADDRESS, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (ADDRESS, None, ADDRESS),
        (ADDRESS, '"unfinished', ADDRESS),
    ],
)
def test_only_the_trusted_proxy_sets_the_client_address(
    database_path: str, trusted: str, forwarded: str | None, address: str
) -> None:
    """The login throttle counts by client address, so its table shows which address was used."""
    sign_in(database_path, uma="user")
    with serving(database_path, trusted_proxy=trusted) as service:
        body = {"username": "uma", "password": "wrong password"}
        answer = service.call("POST", "/api/auth/login", body, X_Forwarded_For=forwarded)
        assert answer.status == 401
        assert set(answer.json) == {"error", "code"}
        assert all(service.log_lines())
    assert login_attempts(database_path) == {f"address:{address}"}
