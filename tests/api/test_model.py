"""Random orders of calls and of a host's own SQL, compared after every step with a plain Python model."""

import re
import sqlite3
import time
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

import postgresql_server
import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support import API, refusal

from msgsvc import Settings, create_app
from msgsvc.testing import Client, Clock

PEOPLE = {"thea": "therapist", "clara": "clinician", "uma": "user"}
NAMES = [*sorted(PEOPLE), "zoe"]
"""The last is nobody's at first."""
STAFF = ("therapist", "clinician")
SIDES = ("sender_username", "recipient_username")


class SomeTime:
    """Stands for a time that the database fills in."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", other))

    def __hash__(self) -> int:
        return 0


# stored by a host → shown by the API
TIMES: dict[Any, str | None] = {
    None: None,
    "2026-01-01 10:00:00": "2026-01-01T10:00:00Z",
    "2026-01-02T10:00:00.987": "2026-01-02T10:00:00Z",
    "2026-01-03T10:00:00+02:00": "2026-01-03T08:00:00Z",
    1770287445: "2026-02-05T10:30:45Z",
    "some time ago": None,
}


@dataclass
class Message:
    """One row, by column names. Times written by msgsvc are kept as the API shows them."""

    id: int
    sender_username: str
    recipient_username: str
    content: str
    is_read: int | None = 0
    read_at: Any = None
    sent_at: Any = None
    deleted_at: Any = None
    is_deleted_by_sender: int | None = 0
    is_deleted_by_recipient: int | None = 0

    def involves(self, name: str) -> bool:
        return name in (self.sender_username, self.recipient_username)

    def is_seen_by(self, name: str) -> bool:
        if self.deleted_at is not None:
            return False
        return (name == self.sender_username and not self.is_deleted_by_sender) or (
            name == self.recipient_username and not self.is_deleted_by_recipient
        )

    def is_unread_by(self, name: str) -> bool:
        return name == self.recipient_username and self.is_seen_by(name) and not self.is_read

    def partner_of(self, name: str) -> str:
        return self.recipient_username if name == self.sender_username else self.sender_username

    def mark_read(self, now: str) -> None:
        self.is_read = self.is_read or 1
        self.read_at = now if self.read_at is None else self.read_at

    def hide_from(self, name: str, now: str) -> None:
        if name == self.sender_username:
            self.is_deleted_by_sender = 1
        else:
            self.is_deleted_by_recipient = 1
        if self.is_deleted_by_sender and self.is_deleted_by_recipient:
            self.deleted_at = now


def shown(stored: Any) -> Any:
    return TIMES.get(stored, stored)


@dataclass
class Model:
    """The promises of the service as plain Python. A new rule of sending belongs in ``refusal``."""

    roles: dict[str, str]
    """Of the names that have an account."""
    messages: dict[int, Message] = field(default_factory=dict)
    blocks: set[tuple[str, str]] = field(default_factory=set)
    wrote: set[tuple[str, str]] = field(default_factory=set)
    """Sender and recipient of every message that there ever was: nothing takes the right to reply back."""
    suspended: set[str] = field(default_factory=set)

    def refusal(self, sender: str, recipient: str) -> str | None:
        """The error code with which the sender is refused, or None."""
        if sender not in self.roles:
            return "unauthorized"
        if sender in self.suspended:
            return "account_suspended"
        if recipient not in self.roles:
            return "recipient_not_found"
        roles = self.roles[sender], self.roles[recipient]
        is_blocked = (recipient, sender) in self.blocks and self.may_block(recipient, sender)
        if "guest" in roles or recipient in self.suspended or is_blocked:
            return "not_allowed"
        if roles == ("user", "clinician"):
            return None if (recipient, sender) in self.wrote else "reply_only"
        return None

    def may_block(self, name: str, other: str) -> bool:
        return self.roles.get(other) in ("user", None) or self.roles[name] in STAFF

    def with_role(self, name: str) -> str | None:
        role = self.roles.get(name)
        return None if role == "guest" else role

    def closed(self, name: str, partner: str) -> tuple[int, str] | None:
        """Status and error code for the calls on a conversation that the caller cannot open."""
        if name not in self.roles:
            return 401, "unauthorized"
        if name in self.suspended:
            return 403, "account_suspended"
        return None if partner in self.roles or self.seen(name, partner) else (404, "user_not_found")

    def rename(self, old: str, new: str) -> None:
        """Everything that belongs to an account goes along."""

        def renamed(name: str) -> str:
            return new if name == old else name

        self.roles = {renamed(name): role for name, role in self.roles.items()}
        self.suspended = {renamed(name) for name in self.suspended}
        self.blocks = {(renamed(blocker), renamed(blocked)) for blocker, blocked in self.blocks}
        self.wrote = {(renamed(sender), renamed(recipient)) for sender, recipient in self.wrote}
        for message in self.messages.values():
            message.sender_username = renamed(message.sender_username)
            message.recipient_username = renamed(message.recipient_username)

    def remember_who_wrote(self) -> None:
        self.wrote |= {(m.sender_username, m.recipient_username) for m in self.messages.values()}

    def standing(self, name: str, message_id: int) -> tuple[int, str]:
        """Status and error code for a call on one message; who may mark it read is not decided here."""
        if name not in self.roles:
            return 401, "unauthorized"
        if name in self.suspended:
            return 403, "account_suspended"
        message = self.messages.get(message_id)
        if message is None or not any(message.is_seen_by(person) for person in NAMES):
            return 404, "message_not_found"
        if not message.involves(name):
            return 403, "not_participant"
        return (200, "") if message.is_seen_by(name) else (404, "message_not_found")

    def seen(self, name: str, partner: str) -> list[Message]:
        """The conversation as this side sees it, oldest first."""
        between = [m for m in self.messages.values() if m.is_seen_by(name) and m.partner_of(name) == partner]
        return sorted(between, key=lambda message: message.id)

    def unread(self, name: str) -> int:
        return sum(message.is_unread_by(name) for message in self.messages.values())

    def inbox(self, name: str, *, unread_only: bool) -> dict[str, Any]:
        rows = []
        for partner in NAMES:
            seen = self.seen(name, partner) if partner != name else []
            unread_count = sum(message.is_unread_by(name) for message in seen)
            if seen and (unread_count or not unread_only):
                rows.append((seen[-1], partner, unread_count))
        rows.sort(key=lambda row: row[0].id, reverse=True)
        return {
            "conversations": [
                {
                    "with_user": partner,
                    "with_role": self.with_role(partner),
                    "last_message": newest.content if len(newest.content) <= 100 else newest.content[:97] + "...",
                    "last_message_time": shown(newest.sent_at),
                    "unread_count": unread_count,
                    "is_latest_from_them": newest.sender_username == partner,
                }
                for newest, partner, unread_count in rows
            ],
            "total_unread": self.unread(name),
            "page": 1,
            "page_size": 20,
            "total_conversations": len(rows),
        }

    def conversation(self, name: str, partner: str) -> dict[str, Any]:
        refusal = self.refusal(name, partner)
        return {
            "messages": [
                {
                    "id": message.id,
                    "sender": message.sender_username,
                    "recipient": message.recipient_username,
                    "content": message.content,
                    "subject": None,
                    "is_read": bool(message.is_read),
                    "read_at": shown(message.read_at),
                    "sent_at": shown(message.sent_at),
                }
                for message in self.seen(name, partner)
            ],
            "participant_count": 2,
            "has_more": False,
            "can_reply": refusal is None,
            "reply_refusal": refusal if partner in self.roles else None,
            "with_role": self.with_role(partner),
        }


names = st.sampled_from(NAMES)
pairs = st.permutations(NAMES).map(lambda people: people[:2])
ids = st.integers(1, 10)
ways = st.sampled_from(["", "OR REPLACE", "OR IGNORE"])
flags = st.sampled_from([0, 1, None, 2])
times = st.sampled_from(list(TIMES))
contents = st.sampled_from(["Hello", "x" * 100, "y" * 101])
columns = {
    "content": contents,
    "is_read": flags,
    "read_at": times,
    "sent_at": times,
    "deleted_at": st.sampled_from([None, "2026-01-01 10:00:00"]),
    "is_deleted_by_sender": flags,
    "is_deleted_by_recipient": flags,
    "sender_username": names,
    "recipient_username": names,
}
changes = st.sampled_from(sorted(columns)).flatmap(lambda column: st.tuples(st.just(column), columns[column]))
rows = st.fixed_dictionaries(
    {"content": contents},
    optional={name: columns[name] for name in sorted(columns) if name not in ("content", *SIDES)},
)


class Messaging(RuleBasedStateMachine):
    """A few people on one database that a host also writes to."""

    host: Any

    def open(self) -> None:
        self.client = Client(clock=self.clock)
        self.host = sqlite3.connect(self.client.app.services.database.path, isolation_level=None)
        self.host.execute("PRAGMA synchronous = OFF")

    def require_storable(self, *values: object) -> None:
        """Every column of SQLite takes every value."""

    @initialize()
    def start(self) -> None:
        self.clock = Clock()
        self.open()
        self.admin = self.client.as_user("adam", "admin")
        self.callers = dict.fromkeys(NAMES, self.client)
        self.callers.update({name: self.client.as_user(name, role) for name, role in PEOPLE.items()})
        self.model = Model(dict(PEOPLE))
        self.known: dict[tuple[str, str], tuple[str, Any]] = {}
        for pair in permutations(PEOPLE, 2):
            self.host_inserts(pair=list(pair), row={"content": "Hello"}, message_id=None, way="")

    def teardown(self) -> None:
        self.host.close()
        self.client.close()

    def is_active(self, name: str) -> bool:
        return name in self.model.roles.keys() - self.model.suspended

    def now(self) -> str:
        """The present time as it is shown."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock()))

    @rule()
    def a_second_passes(self) -> None:
        self.clock.advance(1)

    # the calls

    @rule(pair=pairs, content=contents)
    def send(self, pair: list[str], content: str) -> None:
        sender, recipient = pair
        now = self.now()
        response = self.callers[sender].post(f"{API}/send", json={"recipient": recipient, "content": content})

        code = self.model.refusal(sender, recipient)
        status = {None: 201, "unauthorized": 401, "recipient_not_found": 404}.get(code, 403)
        assert (response.status_code, response.json.get("code")) == (status, code)
        if code is None:
            message_id = response.json["message_id"]
            assert message_id > max(self.model.messages, default=0)
            self.model.messages[message_id] = Message(message_id, sender, recipient, content, sent_at=now)

    @rule(name=names, message_id=ids)
    def mark_read(self, name: str, message_id: int) -> None:
        now = self.now()
        response = self.callers[name].patch(f"{API}/{message_id}/read")

        status, code = self.model.standing(name, message_id)
        if status == 200 and name != self.model.messages[message_id].recipient_username:
            status, code = 403, "not_recipient"
        assert (response.status_code, response.json.get("code", "")) == (status, code)
        if status == 200:
            message = self.model.messages[message_id]
            message.mark_read(now)
            assert response.json == {"message_id": message_id, "is_read": True, "read_at": shown(message.read_at)}

    @rule(name=names, message_id=ids)
    def delete(self, name: str, message_id: int) -> None:
        now = self.now()
        response = self.callers[name].delete(f"{API}/{message_id}")

        status, code = self.model.standing(name, message_id)
        if status == 200:
            assert response.status_code == 204
            self.model.messages[message_id].hide_from(name, now)
        else:
            assert (response.status_code, response.json["code"]) == (status, code)

    @rule(pair=pairs, up_to=st.none() | ids)
    def mark_conversation_read(self, pair: list[str], up_to: int | None) -> None:
        name, partner = pair
        now = self.now()
        body = {} if up_to is None else {"up_to": up_to}
        response = self.callers[name].patch(f"{API}/conversation/{partner}/read", json=body)

        if closed := self.model.closed(name, partner):
            assert refusal(response) == closed
            return
        unread = [message for message in self.model.seen(name, partner) if message.is_unread_by(name)]
        marked = [message for message in unread if up_to is None or message.id <= up_to]
        assert response.json == {"with_user": partner, "marked": len(marked)}
        for message in marked:
            message.mark_read(now)

    @rule(pair=pairs)
    def hide_conversation(self, pair: list[str]) -> None:
        name, partner = pair
        now = self.now()
        response = self.callers[name].delete(f"{API}/conversation/{partner}")
        if closed := self.model.closed(name, partner):
            assert refusal(response) == closed
            return
        assert response.status_code == 204
        for message in self.model.seen(name, partner):
            message.hide_from(name, now)

    @rule(pair=pairs)
    def block(self, pair: list[str]) -> None:
        name, other = pair
        response = self.callers[name].put(f"{API}/blocks/{other}")
        if closed := self.model.closed(name, other):
            assert refusal(response) == closed
        elif self.model.may_block(name, other):
            assert response.status_code == 204
            self.model.blocks.add((name, other))
        else:
            assert refusal(response) == (400, "staff_not_blockable")

    @rule(pair=pairs)
    def unblock(self, pair: list[str]) -> None:
        name, other = pair
        response = self.callers[name].delete(f"{API}/blocks/{other}")
        closed = self.model.closed(name, other)
        if closed and not (self.is_active(name) and (name, other) in self.model.blocks):
            assert refusal(response) == closed
        else:
            assert response.status_code == 204
            self.model.blocks.discard((name, other))

    @rule(name=names)
    def suspend(self, name: str) -> None:
        if self._admin_sets(name, suspended=True):
            self.model.suspended.add(name)

    @rule(name=names)
    def reinstate(self, name: str) -> None:
        if self._admin_sets(name, suspended=False) and name in self.model.suspended:
            self.model.suspended.remove(name)
            assert self.callers[name].get(f"{API}/unread").status_code == 401
            self.callers[name] = self.client.as_user(name)

    def _admin_sets(self, name: str, *, suspended: bool) -> bool:
        """Whether there is such an account."""
        response = self.admin.patch(f"/api/users/{name}", json={"suspended": suspended})
        assert response.status_code == (200 if name in self.model.roles else 404)
        return name in self.model.roles

    # the host's SQL

    @rule(pair=pairs, row=rows, message_id=st.none() | ids, way=ways)
    def host_inserts(self, pair: list[str], row: dict[str, Any], message_id: int | None, way: str) -> None:
        row = {"sender_username": pair[0], "recipient_username": pair[1], **row}
        if message_id is not None:
            row["id"] = message_id
        assume(way or message_id not in self.model.messages)
        self.require_storable(way, *row.values())
        inserted = self.host.execute(f"{_insert(way, row)} RETURNING id", row).fetchall()

        if message_id not in self.model.messages or way == "OR REPLACE":
            [(message_id,)] = inserted
            self.model.messages[message_id] = _inserted(row, message_id)

    @rule(pair=pairs, row=rows, message_id=ids, change=changes)
    def host_upserts(self, pair: list[str], row: dict[str, Any], message_id: int, change: tuple[str, Any]) -> None:
        column, value = change
        assume(not column.endswith("_username"))
        row = {"sender_username": pair[0], "recipient_username": pair[1], "id": message_id, **row}
        self.require_storable(value, *row.values())
        self.host.execute(_insert("", row) + f" ON CONFLICT (id) DO UPDATE SET {column} = :new", {**row, "new": value})

        if message_id in self.model.messages:
            setattr(self.model.messages[message_id], column, value)
        else:
            self.model.messages[message_id] = _inserted(row, message_id)

    @rule(message_id=ids, change=changes, way=ways)
    def host_updates_one(self, message_id: int, change: tuple[str, Any], way: str) -> None:
        self._host_updates(way, "id", message_id, *change)

    @rule(side=st.sampled_from(SIDES), name=names, change=changes, way=ways)
    def host_updates_many(self, side: str, name: str, change: tuple[str, Any], way: str) -> None:
        self._host_updates(way, side, name, *change)

    def _host_updates(self, way: str, where: str, wanted: object, column: str, value: object) -> None:
        chosen = {key: message for key, message in self.model.messages.items() if getattr(message, where) == wanted}
        changed = {key: replace(message, **{column: value}) for key, message in chosen.items()}
        assume(all(message.sender_username != message.recipient_username for message in changed.values()))
        self.require_storable(way, value)
        self.host.execute(f"UPDATE {way} messages SET {column} = ? WHERE {where} = ?", (value, wanted))
        self.model.messages.update(changed)

    @rule(message_id=ids)
    def host_turns_a_message_round(self, message_id: int) -> None:
        self.host.execute(
            "UPDATE messages SET sender_username = recipient_username, recipient_username = sender_username"
            " WHERE id = ?",
            (message_id,),
        )
        if message_id in self.model.messages:
            message = self.model.messages[message_id]
            message.sender_username, message.recipient_username = message.recipient_username, message.sender_username

    @rule(message_id=ids, new_id=ids, way=ways)
    def host_renumbers(self, message_id: int, new_id: int, way: str) -> None:
        assume(message_id in self.model.messages)
        assume(way or new_id not in self.model.messages)
        self.require_storable(way)
        self.host.execute(f"UPDATE {way} messages SET id = ? WHERE id = ?", (new_id, message_id))
        if new_id not in self.model.messages or way == "OR REPLACE":
            self.model.messages[new_id] = replace(self.model.messages.pop(message_id), id=new_id)

    @rule(message_id=ids)
    def host_deletes_one(self, message_id: int) -> None:
        self.host.execute("DELETE FROM messages WHERE id = ?", (message_id,))
        self.model.messages.pop(message_id, None)

    @rule(name=names)
    def host_deletes_many(self, name: str) -> None:
        self.host.execute("DELETE FROM messages WHERE sender_username = ?", (name,))
        self.model.messages = {k: m for k, m in self.model.messages.items() if m.sender_username != name}

    @rule(name=names)
    def host_removes_a_person(self, name: str) -> None:
        self.host.execute("DELETE FROM users WHERE username = ?", (name,))
        self.model.roles.pop(name, None)

    @rule(name=names, role=st.sampled_from([*STAFF, "user", "guest"]), way=ways)
    def host_inserts_a_person(self, name: str, role: str, way: str) -> None:
        """Suspension and blocks stay: a host may change a row by deleting and inserting it."""
        is_new = name not in self.model.roles
        self.require_storable(way)
        insert = f"INSERT {way} INTO users (username, role) VALUES (?, ?)"
        if not (is_new or way == "OR REPLACE"):
            insert += " ON CONFLICT (username) DO UPDATE SET role = excluded.role"
        self.host.execute(insert, (name, role))
        self.model.roles[name] = role
        if is_new:
            assert self.callers[name].get(f"{API}/unread").status_code == 401
            self.callers[name] = self.client.as_user(name)

    @rule(old=names, way=ways)
    def host_renames_a_person(self, old: str, way: str) -> None:
        partners = {m.partner_of(old) for m in self.model.messages.values() if m.involves(old)}
        free = [name for name in NAMES if name not in self.model.roles and name not in partners]
        if old in self.model.roles and free:
            new = free[0]
            self.require_storable(way)
            self.host.execute(f"UPDATE {way} users SET username = ? WHERE username = ?", (new, old))
            self.model.rename(old, new)
            self.callers[new], self.callers[old] = self.callers[old], self.client

    # what must hold after every step

    @invariant()
    def everyone_sees_what_the_model_says(self) -> None:
        self.model.remember_who_wrote()
        for name in NAMES:
            if not self.is_active(name):
                code = "account_suspended" if name in self.model.roles else "unauthorized"
                assert self.callers[name].get(f"{API}/inbox").json["code"] == code
                continue
            assert self._get(name, "inbox") == self.model.inbox(name, unread_only=False)
            assert self._get(name, "inbox?unread_only=true") == self.model.inbox(name, unread_only=True)
            assert self._get(name, "unread") == {"total_unread": self.model.unread(name)}
            for partner in set(NAMES) - {name}:
                if closed := self.model.closed(name, partner):
                    assert refusal(self.callers[name].get(f"{API}/conversation/{partner}")) == closed
                else:
                    assert self._get(name, f"conversation/{partner}") == self.model.conversation(name, partner)

    def _get(self, name: str, path: str) -> Any:
        """Reads like a polling client: a 304 means the previous answer."""
        tag, answer = self.known.get((name, path), ('"none"', None))
        response = self.callers[name].get(f"{API}/{path}", headers={"If-None-Match": tag})
        assert response.status_code in (200, 304)
        if response.status_code == 200:
            answer = response.json
            self.known[name, path] = (response.headers.get("ETag", '"none"'), answer)
        return answer


def _insert(way: str, row: dict[str, Any]) -> str:
    return f"INSERT {way} INTO messages ({', '.join(row)}) VALUES ({', '.join(f':{column}' for column in row)})"


def _inserted(row: dict[str, Any], message_id: int) -> Message:
    message = Message(**{**row, "id": message_id})
    if message.sent_at is None:
        message.sent_at = SomeTime()
    return message


class MessagingOnPostgresql(Messaging):
    """The same people on PostgreSQL, which has no OR REPLACE and whose columns hold their types."""

    def open(self) -> None:
        self.database = postgresql_server.new_database()
        self.client = Client(create_app(Settings(database=self.database, send_rate=0), clock=self.clock))
        self.host = postgresql_server.Host(self.database)
        self.host.drop_foreign_keys()

    def require_storable(self, *values: object) -> None:
        assume(not {"OR REPLACE", "OR IGNORE", 1770287445, "some time ago"}.intersection(values))

    def teardown(self) -> None:
        super().teardown()
        postgresql_server.drop_database(self.database)


TestMessaging = Messaging.TestCase
TestMessaging.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, derandomize=True, database=None
)

TestMessagingOnPostgresql = pytest.mark.postgresql(MessagingOnPostgresql.TestCase)
TestMessagingOnPostgresql.settings = settings(
    max_examples=3, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
