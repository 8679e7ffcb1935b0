"""A host with its own login: its accounts decide who calls, and its tables and pages stay its own."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from embedded import SEND, as_remote_user, post, read
from hosts import ROLES, Site, rows
from support import faults

from msgsvc.storage.engines import is_uri


def test_messages_travel_between_people_who_logged_in_at_the_host(site: Site) -> None:
    thea, uma = site.browser("thea"), site.browser("uma")
    message_id = post(thea, "uma", "How are you feeling today?").json["message_id"]

    assert read(uma, "unread") == {"total_unread": 1}
    assert uma.patch(f"/api/messages/{message_id}/read", buffered=True).status_code == 200
    assert post(uma, "thea", "Better, mood improved to 7/10").status_code == 201
    assert [m["content"] for m in read(thea, "conversation/uma")["messages"]] == [
        "How are you feeling today?",
        "Better, mood improved to 7/10",
    ]
    assert thea.delete(f"/api/messages/{message_id}", buffered=True).status_code == 204
    assert len(read(thea, "conversation/uma")["messages"]) == 1
    assert read(thea, "inbox")["conversations"][0]["with_user"] == "uma"


def test_roles_of_the_host_decide_who_may_write(site: Site) -> None:
    uma, clara = site.browser("uma"), site.browser("clara")
    assert post(uma, "clara").json["code"] == "reply_only"
    assert post(clara, "uma").status_code == 201
    assert post(uma, "clara").status_code == 201
    rows(site.path, "UPDATE users SET role = 'guest' WHERE username = 'uma'")
    assert post(uma, "clara").status_code == 403


def test_non_ascii_names_and_texts_are_kept(site: Site) -> None:
    assert post(site.browser("thea"), "zoë", "Grüße").status_code == 201
    zoe = site.browser("zoë")
    assert read(zoe, "inbox")["conversations"][0]["last_message"] == "Grüße"
    assert post(zoe, "thea").status_code == 201
    assert len(read(site.browser("thea"), "conversation/zoë")["messages"]) == 2


def test_nobody_is_let_in_before_login_or_after_logout(site: Site) -> None:
    answer = post(site.browser(), "uma")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    thea = site.browser("thea")
    assert post(thea, "uma").status_code == 201
    thea.post("/logout", buffered=True)
    assert post(thea, "uma").status_code == 401


def test_host_written_rows_are_counted(site: Site) -> None:
    uma = site.browser("uma")
    before = uma.get("/api/messages/unread", buffered=True).headers["ETag"]
    insert = "INSERT INTO messages (sender_username, recipient_username, content) VALUES ('clara', 'uma', 'by SQL')"
    rows(site.path, insert)
    after = uma.get("/api/messages/unread", headers={"If-None-Match": before}, buffered=True)
    assert (after.status_code, after.json) == (200, {"total_unread": 1})
    assert read(uma, "inbox")["conversations"][0]["last_message"] == "by SQL"
    assert post(uma, "clara").status_code == 201
    rows(site.path, "DELETE FROM messages WHERE content = 'by SQL'")
    assert read(uma, "unread") == {"total_unread": 0}
    assert faults(site.path) == []


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/session", "/api/users", "/api/users/uma", "/healthz"])
def test_every_path_outside_the_mount_stays_the_hosts(site: Site, path: str) -> None:
    assert site.browser("adam").get(path, buffered=True).text == "the host's page"


TABLES = ("users", "sessions", "blocks", "audit", "auth_user", "django_session")


def objects_on_tables(database: str) -> set[tuple[str, str]]:
    """Name and definition of the host's tables and of what is on them; the columns of a table are its definition."""
    if not is_uri(database):
        return set(rows(database, f"SELECT name, sql FROM sqlite_master WHERE tbl_name IN {TABLES}"))
    statement = f"""
        WITH t AS (SELECT oid FROM pg_class WHERE relname IN {TABLES} AND pg_table_is_visible(oid))
        SELECT attname, concat_ws(' ', attrelid::regclass, format_type(atttypid, atttypmod), attnotnull)
        FROM pg_attribute INNER JOIN t ON t.oid = attrelid
        UNION
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index INNER JOIN t ON t.oid = indrelid
        UNION
        SELECT conname, pg_get_constraintdef(c.oid) FROM pg_constraint AS c INNER JOIN t ON t.oid = conrelid
        UNION
        SELECT tgname, pg_get_triggerdef(g.oid) FROM pg_trigger AS g INNER JOIN t ON t.oid = tgrelid
        WHERE NOT tgisinternal
    """
    return set(rows(database, statement))


def test_tables_of_the_host_are_left_alone(site: Site) -> None:
    before = objects_on_tables(site.path)
    thea = site.browser("thea")
    post(thea, "uma")
    thea.put("/api/messages/blocks/uma", buffered=True)
    site.browser("adam").get("/api/messages/admin/conversation/thea/uma?reason=asked", buffered=True)
    assert objects_on_tables(site.path) == before
    own = {name for name, _ in before if name.startswith("msgsvc")}
    assert own == {name for name in own if name.startswith(("msgsvc_accounts_after_", "msgsvc_users_after_"))}
    assert rows(site.path, "SELECT colour FROM blocks") == [("red",)]
    assert rows(site.path, "SELECT invoice FROM audit") == [("paid",)]
    assert rows(site.path, "SELECT username, role, theme FROM users ORDER BY username") == sorted(
        (username, role, "dark") for username, role in ROLES.items()
    )


def test_a_form_of_another_site_cannot_send_with_the_login_cookie(site: Site) -> None:
    thea = site.browser("thea")
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = '{"recipient": "uma", "content": "forged"}'
        assert thea.post(SEND, data=body, content_type=content_type, buffered=True).status_code == 415


def test_check_helper_finds_damage(host_path: str, embed: Callable[..., Any]) -> None:
    as_remote_user(embed(), "thea")(SEND, "POST", json={"recipient": "uma", "content": "Hello"})
    with closing(sqlite3.connect(host_path)) as connection, connection:
        connection.execute("UPDATE msgsvc_conversations SET unread_count = 7 WHERE owner = 'uma'")
    assert faults(host_path) != []
