"""The error codes of the document, and which calls answer with them."""

from msgsvc import fields
from msgsvc.errors import ERRORS
from msgsvc.json_http import BODY_LIMIT

_EXAMPLE_SENTENCES = {
    "invalid_field": f"content must have 1 to {fields.CONTENT_LIMIT} characters, not 5001",
    "invalid_header": "Idempotency-Key must have 1 to 255 visible ASCII characters",
    "invalid_json": "The body must be a JSON object",
    "invalid_parameter": "limit must be a whole number from 10 to 50",
    "missing_field": f"content is required: 1 to {fields.CONTENT_LIMIT} characters",
    "unknown_field": "Unknown field 'colour': known are recipient, subject, content",
    "method_not_allowed": "This path knows only GET, HEAD",
    "body_too_large": f"The body is longer than {BODY_LIMIT} bytes",
    "too_many_messages": "At most 60 messages a minute may be sent",
    "headers_too_large": "The headers are longer than 16384 bytes or 100 lines",
}
"""For each code that has no usual sentence in the catalogue."""

EXAMPLES = {
    code: {"value": {"error": sentence or _EXAMPLE_SENTENCES[code], "code": code}}
    for code, (_, sentence) in ERRORS.items()
}
"""An error of each code."""

STORAGE_ERRORS = ("storage_busy", "storage_full", "storage_unavailable")
BODY_ERRORS = (
    "invalid_body",
    "invalid_json",
    "unknown_field",
    "length_required",
    "body_too_large",
    "unsupported_media_type",
)
CLOSED_ERRORS = ("account_suspended", "cross_site", "password_change_required")
ACCESS_ERRORS: dict[str, tuple[str, ...]] = {
    "ANYONE": (),
    "OWN_SESSION": ("unauthorized", "account_suspended", "cross_site"),
    "MEMBER": ("unauthorized", *CLOSED_ERRORS),
    "ADMIN": ("unauthorized", "admin_only", *CLOSED_ERRORS),
}
PARAMETER_ERRORS = {"path": ("not_found",), "query": ("invalid_parameter",), "header": ()}
SHARED_ERRORS: dict[int, tuple[str, ...]] = {
    401: ("unauthorized",),
    403: CLOSED_ERRORS,
    404: ("not_found",),
    405: ("method_not_allowed",),
    411: ("length_required",),
    413: ("body_too_large",),
    415: ("unsupported_media_type",),
    503: STORAGE_ERRORS,
}
"""The error responses that calls share; the others are written out where they belong.

404 is also the answer of every other path, and 405 that of every other method.
"""
