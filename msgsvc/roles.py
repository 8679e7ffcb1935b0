"""The roles, and the one rule of who may write to whom. Pure functions: the facts come from the database."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

STAFF = ("therapist", "clinician", "admin")
ROLES = ("therapist", "clinician", "user", "admin")

YES, ONLY_AS_A_REPLY = "yes", "only as a reply"

SENDING_MATRIX = {
    "therapist": {"therapist": YES, "clinician": YES, "user": YES, "admin": YES},
    "clinician": {"therapist": YES, "clinician": YES, "user": YES, "admin": YES},
    "user": {"therapist": YES, "clinician": ONLY_AS_A_REPLY, "user": YES, "admin": YES},
    "admin": {"therapist": YES, "clinician": YES, "user": YES, "admin": YES},
}


class RoleNames:
    """What the role names of a host's accounts mean. Each of the four means itself; an unknown name means none."""

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self._meanings: dict[object, str] = {role: role for role in ROLES}
        self._meanings.update(meanings.items())
        self.known: Callable[[object], str | None] = self._meanings.get
        """One of the four roles for a name, or None. No method, because an inbox asks once a row."""

    def meaning(self, name: object) -> Any:
        """One of the four roles; the name itself where it means none of them; None where a host stored no text."""
        return self._meanings.get(name, name if isinstance(name, str) else None)

    def names(self, *roles: str) -> list[object]:
        """Every name that means one of the roles."""
        return [name for name, role in self._meanings.items() if role in roles]


class SendingFacts(NamedTuple):
    """What decides whether a sender may write to a recipient."""

    sender_role: object
    recipient_role: object
    sender_suspended: int
    recipient_suspended: int
    recipient_blocked_sender: int
    recipient_wrote_before: int

    @classmethod
    def of(cls, row: tuple[Any, ...], roles: RoleNames) -> "SendingFacts":
        """From a row of select_sending_facts."""
        sender_role, recipient_role, *others = row
        return cls(roles.meaning(sender_role), roles.meaning(recipient_role), *others)


class Decision(NamedTuple):
    """The answer, the rule that gave it, and for a refusal the error's code."""

    allowed: bool
    rule: str
    code: str = ""


def decide_sending(facts: SendingFacts) -> Decision:
    """Whether the sender may write to the recipient."""
    if facts.sender_suspended:
        return Decision(False, "suspension: the sender is suspended", "account_suspended")
    if facts.sender_role not in ROLES or facts.recipient_role not in ROLES:
        return Decision(False, "role matrix: a role outside the four", "not_allowed")
    is_blocked = facts.recipient_blocked_sender and may_be_blocked_by(facts.sender_role, facts.recipient_role)
    if facts.recipient_suspended or is_blocked:
        rule = "suspension: the recipient is suspended" if facts.recipient_suspended else "block: by the recipient"
        return Decision(False, rule, "not_allowed")
    sender_role, recipient_role = str(facts.sender_role), str(facts.recipient_role)
    if SENDING_MATRIX[sender_role][recipient_role] == YES:
        return Decision(True, f"role matrix: {sender_role} may write to {recipient_role}")
    if facts.recipient_wrote_before:
        return Decision(True, f"reply rule: the {recipient_role} has written to the {sender_role} before")
    rule = f"reply rule: the {recipient_role} has never written to the {sender_role}"
    return Decision(False, rule, "reply_only")


def may_be_blocked_by(blocked_role: object, blocker_role: object) -> bool:
    """Anyone may block role ``user``; a user cannot block staff. A block counts only while that holds."""
    return blocked_role == "user" or blocker_role in STAFF
