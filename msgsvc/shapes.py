"""The JSON of the rows of lists, written straight from the database rows: a page of dicts costs twice as much."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from json.encoder import encode_basestring as string

from msgsvc.roles import ROLES, RoleNames
from msgsvc.storage.base import Row
from msgsvc.times import rfc3339

PREVIEW_LIMIT = 100

MESSAGES_BYTES = 256 * 1024
"""A response holds at most this many bytes of messages as JSON, and one message at least."""

_ROLE_JSON: dict[str | None, str] = {None: "null", **{role: string(role) for role in ROLES}}


def messages(rows: Iterable[Row], owner: str, partner: str, limit: int) -> tuple[list[bytes], bool]:
    """The first messages between two people, as many as one answer holds; and whether there are more.

    The rows have the seven columns of the history statements; the second says whether the owner sent the message. Rows
    that the answer has no room for are not fetched.
    """
    owner, partner = string(owner), string(partner)
    directions = (f'"sender":{partner},"recipient":{owner}', f'"sender":{owner},"recipient":{partner}')
    page: list[bytes] = []
    room = MESSAGES_BYTES
    rows = iter(rows)
    for message_id, is_from_owner, subject, content, is_read, read_at, sent_at in islice(rows, limit):
        message = (
            f'{{"id":{message_id},{directions[is_from_owner]},"content":{string(content)},'
            f'"subject":{"null" if subject is None else string(subject)},"is_read":{"true" if is_read else "false"},'
            f'"read_at":{_time(read_at)},"sent_at":{_time(sent_at)}}}'
        ).encode()
        room -= len(message)
        if room < 0 and page:
            return page, True
        page.append(message)
    return page, next(rows, None) is not None


def inbox_rows(rows: Iterable[Row], roles: RoleNames) -> list[bytes]:
    """The conversations of an inbox, from the columns of its statements, which fetch one character beyond the limit."""
    page = []
    for partner, content, sent_at, unread_count, is_from_partner, role in rows:
        preview = content if len(content) <= PREVIEW_LIMIT else content[: PREVIEW_LIMIT - 3] + "..."
        conversation = (
            f'{{"with_user":{string(partner)},"with_role":{_ROLE_JSON[roles.known(role)]},'
            f'"last_message":{string(preview)},"last_message_time":{_time(sent_at)},'
            f'"unread_count":{unread_count},"is_latest_from_them":{"true" if is_from_partner else "false"}}}'
        )
        page.append(conversation.encode())
    return page


@lru_cache(maxsize=8192)
def _time(value: object) -> str:
    time = rfc3339(value)
    return "null" if time is None else f'"{time}"'
