"""Blocks: whom the caller does not want to hear from."""

from msgsvc import fields
from msgsvc.json_http import NO_CONTENT, ApiError, Request, Response
from msgsvc.roles import may_be_blocked_by
from msgsvc.times import rfc3339, stored


def blocks(request: Request) -> Response:
    """GET /api/messages/blocks: everyone whom the caller has blocked."""
    with request.database.read() as snapshot:
        rows = snapshot.all("select_blocks", caller=request.caller.username)
    return Response({"blocks": [{"username": blocked, "blocked_at": rfc3339(at)} for blocked, at in rows]})


def block(request: Request, username: str) -> Response:
    """PUT /api/messages/blocks/<username>: from now on this person cannot write to the caller."""
    request.body()
    blocked = _other(request, username)
    caller = request.caller

    with request.transaction() as transaction:
        account = transaction.first("select_account", username=blocked)
        if account is None:
            raise ApiError(404, "user_not_found", "No such user")
        if not may_be_blocked_by(account[1], caller.role):
            raise ApiError(400, "staff_not_blockable", "A user cannot block staff")
        transaction.run("insert_block", caller=caller.username, username=blocked, now=stored(request.now()))
    return NO_CONTENT


def unblock(request: Request, username: str) -> Response:
    """DELETE /api/messages/blocks/<username>: lifts the block, where there is one."""
    request.body()
    blocked = _other(request, username)

    with request.transaction() as transaction:
        lifted = transaction.run("delete_block", caller=request.caller.username, username=blocked)
        if not lifted and transaction.first("select_account", username=blocked) is None:
            raise ApiError(404, "user_not_found", "No such user")
    return NO_CONTENT


def _other(request: Request, username: str) -> str:
    other = fields.username("username", username)
    if other == request.caller.username:
        raise ApiError(400, "self_block", "You cannot block yourself")
    return other
