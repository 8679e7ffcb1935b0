"""The error codes of the document, and the calls that answer with them."""

from msgsvc import fields
from msgsvc.json_http import BODY_LIMIT

ERRORS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request is not valid HTTP/1.1"),
    "invalid_body": (400, "The body did not arrive whole"),
    "invalid_field": (400, f"content must have 1 to {fields.CONTENT_LIMIT} characters, not 5001"),
    "invalid_header": (400, "Idempotency-Key must have 1 to 255 visible ASCII characters"),
    "invalid_json": (400, "The body must be a JSON object"),
    "invalid_parameter": (400, "limit must be a whole number from 10 to 50"),
    "missing_field": (400, f"content is required: 1 to {fields.CONTENT_LIMIT} characters"),
    "self_block": (400, "You cannot block yourself"),
    "self_conversation": (400, "There is no conversation with yourself"),
    "self_message": (400, "recipient must not be yourself"),
    "staff_not_blockable": (400, "A user cannot block staff"),
    "unknown_field": (400, "Unknown field 'colour': known are recipient, subject, content"),
    "unauthorized": (401, "A valid session is required"),
    "wrong_credentials": (401, "The username or the password is wrong"),
    "account_suspended": (403, "This account is suspended"),
    "admin_only": (403, "Only admins may do this"),
    "not_allowed": (403, "You may not write to this recipient"),
    "not_participant": (403, "You take no part in this message"),
    "not_recipient": (403, "Only the recipient may mark a message as read"),
    "reply_only": (403, "Users may only reply to clinicians"),
    "wrong_password": (403, "The current password is wrong"),
    "message_not_found": (404, "No such message"),
    "not_found": (404, "No such path"),
    "recipient_not_found": (404, "No such recipient"),
    "user_not_found": (404, "No such user"),
    "method_not_allowed": (405, "This path knows only GET, HEAD"),
    "last_admin": (409, "The last active admin can be neither suspended nor demoted"),
    "user_exists": (409, "This username is taken"),
    "body_too_large": (413, f"The body is longer than {BODY_LIMIT} bytes"),
    "unsupported_media_type": (415, "The body must be sent as Content-Type: application/json"),
    "idempotency_key_reused": (422, "This Idempotency-Key was used for another body"),
    "too_many_attempts": (429, "Too many login attempts; try again later"),
    "too_many_messages": (429, "At most 60 messages a minute may be sent"),
    "headers_too_large": (431, "The headers are longer than 16384 bytes"),
    "internal_error": (500, "Something went wrong on our side"),
    "storage_busy": (503, "The database is busy; nothing was stored, try again"),
    "storage_full": (503, "The disk is full; nothing was stored"),
    "storage_unavailable": (503, "The database is unavailable; nothing was stored"),
    "too_many_logins": (503, "Too many logins at once; try again in a second"),
}
"""Every code with its status and a sentence that it may come with."""

STORAGE_ERRORS = ("storage_busy", "storage_full", "storage_unavailable")
BODY_ERRORS = ("invalid_body", "invalid_json", "unknown_field", "body_too_large", "unsupported_media_type")
WHO_ERRORS: dict[str, tuple[str, ...]] = {
    "ANYONE": (),
    "MEMBER": ("unauthorized", "account_suspended"),
    "ADMIN": ("unauthorized", "account_suspended", "admin_only"),
}
PARAMETER_ERRORS = {"path": ("not_found",), "query": ("invalid_parameter",), "header": ()}
SHARED_ERRORS: dict[int, tuple[str, ...]] = {
    401: ("unauthorized",),
    403: ("account_suspended",),
    404: ("not_found",),
    405: ("method_not_allowed",),
    413: ("body_too_large",),
    415: ("unsupported_media_type",),
    503: STORAGE_ERRORS,
}
"""The error responses that calls share; the others are written out where they belong.

404 is also the answer of every other path, and 405 that of every other method.
"""
