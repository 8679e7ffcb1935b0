"""The JSON shape of what more than one call shows."""

from msgsvc.database import Row
from msgsvc.times import rfc3339


def message(row: Row) -> dict[str, object]:
    """A message, from the eight columns of the history statements."""
    message_id, sender, recipient, subject, content, is_read, read_at, sent_at = row
    return {
        "id": message_id,
        "sender": sender,
        "recipient": recipient,
        "content": content,
        "subject": subject,
        "is_read": is_read == 1,
        "read_at": rfc3339(read_at),
        "sent_at": rfc3339(sent_at),
    }
