"""People management for admins. Only where the accounts are msgsvc's own."""

from msgsvc import accounts, fields
from msgsvc.errors import ApiError
from msgsvc.json_http import Response
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
        (total,) = snapshot.one("count_users", role=role)
        rows = snapshot.all("select_users", role=role, limit=limit, offset=(page - 1) * limit)
    answer = {"users": [_user(row) for row in rows], "page": page, "page_size": limit, "total_users": total}
    return Response(answer)


def create(request: Request) -> Response:
    """POST /api/users: a new account."""
    body = request.body("username", "role", "password")
    username = fields.new_username("username", body.get("username"))
    role = fields.choice("role", body.get("role"), ROLES)
    password = fields.password("password", body.get("password"))
    request.authorize()
    password_hash = request.services.passwords.hash(password)

    def add(transaction: Transaction) -> Row:
        accounts.create(transaction, request.actor(), username, role, password_hash)
        return transaction.one("select_account", username=username)

    return Response(_user(request.write(add)), 201)


def change(request: Request, username: str) -> Response:
    """PATCH /api/users/<username>: role, suspension, password; all of it or nothing."""
    body = request.body("role", "suspended", "password")
    name = fields.username("username", username)
    role = fields.choice("role", body["role"], ROLES) if "role" in body else None
    suspended = fields.flag("suspended", body["suspended"]) if "suspended" in body else None
    password = fields.password("password", body["password"]) if "password" in body else None
    if not body:
        raise ApiError("missing_field", "Give at least one of: role, suspended, password")
    request.authorize()
    password_hash = request.services.passwords.hash(password) if password else None

    def apply(transaction: Transaction) -> Row:
        actor = request.actor()
        if role:
            accounts.change_role(transaction, actor, name, role)
        if password_hash:
            accounts.reset_password(transaction, actor, name, password_hash)
        if suspended is not None:
            (accounts.suspend if suspended else accounts.reinstate)(transaction, actor, name)
        return transaction.one("select_account", username=name)

    return Response(_user(request.write(apply)))


def _user(row: Row) -> dict[str, object]:
    username, role, suspended = row
    return {"username": username, "role": role, "suspended": suspended == 1}
