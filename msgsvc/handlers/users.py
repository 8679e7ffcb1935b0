"""People management for admins. Only where the accounts are msgsvc's own."""

import json

from msgsvc import accounts, fields
from msgsvc.client_address import network_of
from msgsvc.errors import ApiError
from msgsvc.json_http import Response
from msgsvc.passwords import StoredPassword, new_password
from msgsvc.request import Request
from msgsvc.roles import ROLES
from msgsvc.storage.base import Row, Transaction


def users(request: Request) -> Response:
    """GET /api/users: a page of the accounts, by name."""
    query = request.query("page", "limit", "role")
    page = fields.page(query)
    limit = fields.limit(query, highest=100, default=20)
    role = fields.choice("role", query["role"], ROLES, "invalid_parameter") if "role" in query else None

    with request.read() as snapshot:
        roles = json.dumps(request.services.roles.names(role)) if role else None
        (total,) = snapshot.one("count_users", roles=roles)
        rows = snapshot.all("select_users", roles=roles, limit=limit, offset=(page - 1) * limit)
    users = [_user(request, row) for row in rows]
    answer = {"users": users, "page": page, "page_size": limit, "total_users": total}
    return Response(answer)


def create(request: Request) -> Response:
    """POST /api/users: a new account."""
    body = request.body("username", "role", "password", "must_change_password")
    username = fields.new_username("username", body.get("username"))
    role = fields.choice("role", body.get("role"), ROLES)
    password = new_password("password", body.get("password"), username)
    must_change = fields.flag("must_change_password", body.get("must_change_password", False))
    stored = _hash(request, password, must_change=must_change)

    def add(transaction: Transaction) -> Row:
        accounts.create(transaction, request.actor(), username, role, stored)
        return transaction.one("select_account", username=username)

    return Response(_user(request, request.write(add)), 201)


def change(request: Request, username: str) -> Response:
    """PATCH /api/users/<username>: role, suspension, password; all of it or nothing."""
    body = request.body("role", "suspended", "password", "must_change_password")
    name = fields.username("username", username)
    role = fields.choice("role", body["role"], ROLES) if "role" in body else None
    suspended = fields.flag("suspended", body["suspended"]) if "suspended" in body else None
    password = new_password("password", body["password"], name) if "password" in body else None
    must_change = fields.flag("must_change_password", body.get("must_change_password", False))
    if not body:
        raise ApiError("missing_field", "Give at least one of: role, suspended, password")
    if "must_change_password" in body and not password:
        raise ApiError("missing_field", "password is required with must_change_password")
    stored = _hash(request, password, must_change=must_change) if password else None

    def apply(transaction: Transaction) -> Row:
        actor = request.actor()
        if role:
            accounts.change_role(transaction, actor, name, role, request.services.roles)
        if stored:
            accounts.reset_password(transaction, actor, name, stored)
        if suspended:
            accounts.suspend(transaction, actor, name, request.services.roles)
        elif suspended is not None:
            accounts.reinstate(transaction, actor, name)
        return transaction.one("select_account", username=name)

    return Response(_user(request, request.write(apply)))


def _hash(request: Request, password: str, *, must_change: bool) -> StoredPassword:
    """The hash of a password. Authorizes the caller first, because hashing is slow; the transaction does so again."""
    request.authorize()
    passwords = request.services.passwords
    with passwords.turn(request.caller.username, network_of(request.client_address())):
        return StoredPassword(passwords.hash(password), must_change)


def _user(request: Request, row: Row) -> dict[str, object]:
    username, role, suspended = row
    return {"username": username, "role": request.services.roles.meaning(role), "suspended": suspended == 1}
