"""A conversation with the generated Python client. Arguments: URL, and the password of thea and uma."""

import sys

from msgsvc_client import AuthenticatedClient, Client
from msgsvc_client.api.conversations import get_conversation, list_conversations
from msgsvc_client.api.messages import delete_message, mark_message_read, send_message
from msgsvc_client.api.monitoring import list_audit_rows
from msgsvc_client.api.sessions import log_in
from msgsvc_client.models import AuditList, Conversation, Error, Inbox, LoggedIn, Login, NewMessage, ReadReceipt, Sent

_, url, password = sys.argv


def logged_in(username: str) -> AuthenticatedClient:
    answer = log_in.sync(client=Client(url), body=Login(username=username, password=password))
    assert isinstance(answer, LoggedIn), answer
    return AuthenticatedClient(url, token=answer.token, prefix=answer.token_type)


thea, uma = logged_in("thea"), logged_in("uma")

message = NewMessage(recipient="uma", content="How are you?")
sent = send_message.sync(client=thea, body=message, idempotency_key="first")
assert isinstance(sent, Sent), sent

inbox = list_conversations.sync(client=uma, limit=10, unread_only=True)
assert isinstance(inbox, Inbox), inbox
assert [row.with_user for row in inbox.conversations] == ["thea"]
assert inbox.total_unread == 1

conversation = get_conversation.sync("thea", client=uma)
assert isinstance(conversation, Conversation), conversation
assert [(row.id, row.content, row.subject) for row in conversation.messages] == [
    (sent.message_id, "How are you?", None)
]

read = mark_message_read.sync(sent.message_id, client=uma)
assert isinstance(read, ReadReceipt), read
assert read.read_at is not None

deleted = delete_message.sync_detailed(sent.message_id, client=uma)
assert (deleted.status_code, deleted.parsed) == (204, None)
again = delete_message.sync(sent.message_id, client=uma)
assert isinstance(again, Error), again
assert again.code == "message_not_found"

refused = list_audit_rows.sync(client=uma)
assert not isinstance(refused, AuditList), refused
assert refused is not None
assert refused.code == "admin_only"
