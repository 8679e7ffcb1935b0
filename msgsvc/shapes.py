"""The JSON of the rows of lists, written straight from the database rows: a page of dicts costs twice as much."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from json.encoder import encode_basestring as string

from msgsvc.roles import ROLES, RoleNames
from msgsvc.storage.base import Row
from msgsvc.times import rfc3339

PREVIEW_LIMIT = 100

_ROLE_JSON: dict[str | None, str] = {None: "null", **{role: string(role) for role in ROLES}}


def messages(rows: Iterable[Row], owner: str, partner: str) -> Iterator[str]:
    """Messages between two people, from the seven columns of the history statements; the second says whether the owner
    sent it."""
    owner, partner = string(owner), string(partner)
    directions = (f'"sender":{partner},"recipient":{owner}', f'"sender":{owner},"recipient":{partner}')
    for message_id, is_from_owner, subject, content, is_read, read_at, sent_at in rows:
        yield (
            f'{{"id":{message_id},{directions[is_from_owner]},"content":{string(content)},'
            f'"subject":{"null" if subject is None else string(subject)},"is_read":{"true" if is_read else "false"},'
            f'"read_at":{_time(read_at)},"sent_at":{_time(sent_at)}}}'
        )


def inbox_row(row: Row, roles: RoleNames) -> str:
    """One conversation, from the columns of the inbox statements, which fetch one character beyond the limit."""
    partner, content, sent_at, unread_count, is_from_partner, role = row
    preview = content if len(content) <= PREVIEW_LIMIT else content[: PREVIEW_LIMIT - 3] + "..."
    return (
        f'{{"with_user":{string(partner)},"with_role":{_ROLE_JSON[roles.known(role)]},"last_message":{string(preview)},"last_message_time":{_time(sent_at)},'
        f'"unread_count":{unread_count},"is_latest_from_them":{"true" if is_from_partner else "false"}}}'
    )


@lru_cache(maxsize=8192)
def _time(value: object) -> str:
    time = rfc3339(value)
    return "null" if time is None else f'"{time}"'
