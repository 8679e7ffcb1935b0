"""THE catalogue of errors: each code once, with its HTTP status and its sentence."""

ERRORS = {
    "bad_request": (400, "The request is not valid HTTP/1.1"),
    "invalid_body": (400, "The body did not arrive whole"),
    "invalid_field": (400, ""),
    "invalid_header": (400, ""),
    "invalid_json": (400, ""),
    "invalid_parameter": (400, ""),
    "missing_field": (400, ""),
    "self_block": (400, "You cannot block yourself"),
    "self_conversation": (400, "There is no conversation with yourself"),
    "self_message": (400, "recipient must not be yourself"),
    "staff_not_blockable": (400, "A user cannot block staff"),
    "unknown_field": (400, ""),
    "unauthorized": (401, "A valid session is required"),
    "wrong_credentials": (401, "The username or the password is wrong"),
    "account_suspended": (403, "This account is suspended"),
    "cross_site": (403, "Calls from another site are refused"),
    "admin_only": (403, "Only admins may do this"),
    "not_allowed": (403, "You may not write to this recipient"),
    "not_participant": (403, "You take no part in this message"),
    "not_recipient": (403, "Only the recipient may mark a message as read"),
    "password_change_required": (403, "Change the password first: PUT /api/auth/password"),
    "refused_by_host": (403, "The application that owns this database refused the change"),
    "reply_only": (403, "Users may only reply to clinicians"),
    "wrong_password": (403, "The current password is wrong"),
    "message_not_found": (404, "No such message"),
    "not_found": (404, "No such path"),
    "recipient_not_found": (404, "No such recipient"),
    "user_not_found": (404, "No such user"),
    "method_not_allowed": (405, ""),
    "last_admin": (409, "The last active admin can be neither suspended nor demoted"),
    "too_many_blocks": (409, "At most 1000 people may be blocked"),
    "user_exists": (409, "This username is taken"),
    "length_required": (411, "The body must come with a Content-Length: this server does not hand on a chunked one"),
    "body_too_large": (413, ""),
    "unsupported_media_type": (415, "The body must be sent as Content-Type: application/json"),
    "idempotency_key_reused": (422, "This Idempotency-Key was used for another body"),
    "too_many_attempts": (429, "Too many login attempts; try again later"),
    "too_many_messages": (429, ""),
    "too_many_password_changes": (429, "The password was changed too often; try again later"),
    "headers_too_large": (431, ""),
    "internal_error": (500, "Something went wrong on our side"),
    "authentication_unavailable": (503, "The site could not say who calls; try again"),
    "storage_busy": (503, "The database is busy; nothing was stored, try again"),
    "storage_full": (503, "The disk is full; nothing was stored"),
    "storage_unavailable": (503, "The database is unavailable; try again"),
    "too_many_logins": (503, "Too many logins at once; try again in a second"),
}
"""Code: (status, sentence). The sentence is empty where each place that raises the code has one of its own."""


class ApiError(Exception):
    """A call is refused, by HTTP or on the command line: a code of the catalogue, and one plain sentence."""

    def __init__(self, code: str, sentence: str = "", *, retry_after: int | None = None) -> None:
        """retry_after is in seconds, for 429; a 503 may be tried again after one second."""
        self.code = code
        self.status, usual_sentence = ERRORS[code]
        self.sentence = sentence or usual_sentence
        super().__init__(f"{code}: {self.sentence}")
        self.retry_after = 1 if self.status == 503 else retry_after
