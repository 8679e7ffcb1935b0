"""Blocks: the people who may not write to the caller."""

from msgsvc import fields
from msgsvc.errors import ApiError
from msgsvc.json_http import NO_CONTENT, Response
from msgsvc.request import Request
from msgsvc.roles import may_be_blocked_by
from msgsvc.storage.base import Transaction
from msgsvc.times import rfc3339, stored

BLOCKS_EACH_USER = 1000
"""More would make the list of them a long answer."""


def blocks(request: Request) -> Response:
    """GET /api/messages/blocks: everyone whom the caller has blocked."""
    with request.read() as snapshot:
        rows = snapshot.all("select_blocks", caller=request.caller.username)
    return Response({"blocks": [{"username": blocked, "blocked_at": rfc3339(at)} for blocked, at in rows]})


def block(request: Request, username: str) -> Response:
    """PUT /api/messages/blocks/<username>: from now on this person cannot write to the caller."""
    request.body()
    blocked = fields.username("username", username)
    now = stored(request.now())

    def add(transaction: Transaction) -> None:
        caller = request.caller
        _refuse_self(blocked, caller.username)
        account = transaction.first("select_account", username=blocked)
        if account is None:
            _require_partner(transaction, caller.username, blocked)
        elif not may_be_blocked_by(request.services.roles.meaning(account[1]), caller.role):
            raise ApiError("staff_not_blockable")
        is_new = transaction.run("insert_block", caller=caller.username, username=blocked, now=now)
        if is_new and transaction.one("count_blocks", caller=caller.username) > (BLOCKS_EACH_USER,):
            raise ApiError("too_many_blocks")

    request.write(add)
    return NO_CONTENT


def unblock(request: Request, username: str) -> Response:
    """DELETE /api/messages/blocks/<username>: lifts the block, where there is one."""
    request.body()
    blocked = fields.username("username", username)

    def lift(transaction: Transaction) -> None:
        caller = request.caller.username
        _refuse_self(blocked, caller)
        lifted = transaction.run("delete_block", caller=caller, username=blocked)
        if not lifted and transaction.first("select_account", username=blocked) is None:
            _require_partner(transaction, caller, blocked)

    request.write(lift)
    return NO_CONTENT


def _require_partner(transaction: Transaction, caller: str, blocked: str) -> None:
    """For a name without an account: raises ApiError 404 unless the caller still sees a message of the conversation."""
    if transaction.one("select_conversation_exists", owner=caller, partner=blocked) == (0,):
        raise ApiError("user_not_found")


def _refuse_self(blocked: str, caller: str) -> None:
    if blocked == caller:
        raise ApiError("self_block")
