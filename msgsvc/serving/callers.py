"""Whose turn a request takes: the account of its session, or its address while the session is not known."""

from typing import NamedTuple

from msgsvc.client_address import network_of


class Caller(NamedTuple):
    """An account or an address."""

    account: str = ""
    address: str = ""


KNOWN_SESSIONS = 16_384
"""Sessions whose accounts are remembered. When there are more, all are forgotten and learnt again."""


class Callers:
    """The callers of the Authorization headers with which calls have been authorized.

    A header that has not been authorized proves nothing: a client could invent one for every request, and would get a
    turn for each.
    """

    def __init__(self) -> None:
        # hash() has a random key in each process; the token itself is not kept.
        self._accounts: dict[int, Caller] = {}

    def find(self, authorization: str | None) -> Caller | None:
        """The account with which calls with this header have been authorized."""
        return self._accounts.get(hash(authorization))

    def learn(self, authorization: str, account: str) -> None:
        """Remember that calls with this header are authorized as the account's. Any thread may call this."""
        if len(self._accounts) >= KNOWN_SESSIONS:
            self._accounts.clear()
        self._accounts[hash(authorization)] = Caller(account=account)


def caller_at(host: str) -> Caller:
    """The caller of an address. Of IPv6 it is the /64 network, because one client can use all of it."""
    return Caller(address=network_of(host))
