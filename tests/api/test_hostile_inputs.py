"""Answers to hostile inputs: one table of requests, and one assertion for all of them.

uma, a user, sends each request. thea is a therapist; clara, a clinician, has never written to uma. Message 1 is from
uma to thea, message 2 is between thea and clara.
"""

import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from support import API, send
from werkzeug.test import TestResponse

from msgsvc import Settings, create_app
from msgsvc.testing import Client

SEND, INBOX, UNREAD, RECIPIENTS = f"{API}/send", f"{API}/inbox", f"{API}/unread", f"{API}/recipients"
WITH, BLOCKS = f"{API}/conversation", f"{API}/blocks"
LOGIN, PASSWORD = "/api/auth/login", "/api/auth/password"
HELLO = {"recipient": "thea", "content": "Hello"}
EMOJI_ESCAPE = r"\ud83d\ude42"
BLANKS = " " * 64 * 1024


class Call(NamedTuple):
    method: str
    path: str
    arguments: dict[str, Any]


def get(path: str, **arguments: Any) -> Call:
    return Call("GET", path, arguments)


def call(method: str, path: str, body: object = None, **headers: str) -> Call:
    """bytes are sent as they are, everything else as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(method, path, {"data": data, "headers": {"Content-Type": "application/json", **named}})


def post(body: object, **headers: str) -> Call:
    return call("POST", SEND, body, **headers)


def text(content: str) -> Call:
    """A message whose content is inserted into the JSON text unescaped."""
    return post(b'{"recipient": "thea", "content": "' + content.encode() + b'"}')


def raw_path(method: str, path_info: str) -> Call:
    """A path whose bytes reach the application as given."""
    return Call(method, "/", {"environ_overrides": {"PATH_INFO": path_info}})


# fmt: off
CASES = [
    # ---- query parameters
    (get(f"{INBOX}?limit=abc"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=9"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=51"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit="), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=20&limit=20"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=2_0"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=0x10"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=010"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=%2B20"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=+20"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=20%20"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=20%0A"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=20.0"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=2e1"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=-20"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=%D9%A2%D9%A0"), 400, "invalid_parameter"),              # Arabic-Indic digits
    (get(f"{INBOX}?limit=%E0%A5%A8%E0%A5%A6"), 400, "invalid_parameter"),        # Devanagari digits
    (get(f"{INBOX}?limit=%EF%BC%92%EF%BC%90"), 400, "invalid_parameter"),        # full-width digits
    (get(f"{INBOX}?limit=%C2%B2%C2%B2"), 400, "invalid_parameter"),              # superscripts
    (get(f"{INBOX}?limit=%FF"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=%00"), 400, "invalid_parameter"),
    (get(f"{INBOX}?limit=" + "1" * 5000), 400, "invalid_parameter"),
    (get(f"{INBOX}?" + "&".join(["x=1"] * 5000)), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=0"), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=-1"), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=100000000000000000000"), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=9223372036854775807"), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=1_0"), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=NaN"), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=1&page=2"), 400, "invalid_parameter"),
    (get(f"{INBOX}?unread_only=True"), 400, "invalid_parameter"),
    (get(f"{INBOX}?unread_only=1"), 400, "invalid_parameter"),
    (get(f"{INBOX}?unread_only="), 400, "invalid_parameter"),
    (get(f"{INBOX}?unread_only=true&unread_only=true"), 400, "invalid_parameter"),
    (get(f"{INBOX}?page=1%26limit=9"), 400, "invalid_parameter"),
    (get(f"{INBOX}?elsewhere=%F0%9F%99%82&_=1"), 200, None),
    (get(f"{WITH}/thea?limit=0"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?limit=201"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?before=abc"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?before=9223372036854775808"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?before=-1"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?before="), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?after=1_0"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?after=18446744073709551616"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?after=%D9%A2"), 400, "invalid_parameter"),
    (get(f"{WITH}/thea?after=1&after=1"), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?limit=0"), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?limit=99999"), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?q="), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?q=a&q=b"), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?q=%ED%A0%80"), 400, "invalid_parameter"),                # an encoded lone surrogate
    (get(f"{RECIPIENTS}?q=%FF"), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?q=%00"), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?q=" + "x" * 5000), 400, "invalid_parameter"),
    (get(f"{RECIPIENTS}?q=%27%20OR%201=1--"), 200, None),
    # ---- paths
    (get(f"{API}/"), 404, "not_found"),
    (get(API), 404, "not_found"),
    (get("/nothing"), 404, "not_found"),
    (get(f"{INBOX}/"), 404, "not_found"),
    (get(f"/{INBOX}"), 404, "not_found"),
    (get(f"{API}//inbox"), 404, "not_found"),
    (get(f"{API}/Inbox"), 404, "not_found"),
    (get(f"{INBOX}%00"), 404, "not_found"),
    (get(f"{INBOX}%0A"), 404, "not_found"),
    (get(f"{API}/../messages/inbox"), 404, "not_found"),
    (get(f"{API}/{'x' * 60000}"), 404, "not_found"),
    (get(f"{WITH}/"), 404, "not_found"),
    (get(f"{WITH}/thea%2Fuma"), 404, "not_found"),
    (get(f"{WITH}/thea%00"), 400, "invalid_field"),
    (get(f"{WITH}/%00"), 400, "invalid_field"),
    (get(f"{WITH}/" + "x" * 5000), 400, "invalid_field"),
    (raw_path("GET", f"{WITH}/\xff"), 404, "not_found"),
    (raw_path("GET", f"{WITH}/\xed\xa0\x80"), 404, "not_found"),                 # a lone surrogate in UTF-8
    (get(f"{WITH}/thea%20"), 404, "user_not_found"),
    (get(f"{WITH}/%F0%9F%99%82"), 404, "user_not_found"),
    (get(f"{WITH}/'%20OR%20'1'='1"), 404, "user_not_found"),
    (get(f"{WITH}/%25"), 404, "user_not_found"),
    (call("DELETE", f"{WITH}/nobody"), 404, "user_not_found"),
    (call("DELETE", f"{WITH}/%00"), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/th%2Fea/read"), 404, "not_found"),
    (call("PATCH", f"{API}/0/read"), 404, "not_found"),
    (call("PATCH", f"{API}/0042/read"), 404, "not_found"),
    (call("PATCH", f"{API}/-1/read"), 404, "not_found"),
    (call("PATCH", f"{API}/+1/read"), 404, "not_found"),
    (call("PATCH", f"{API}/1.0/read"), 404, "not_found"),
    (call("PATCH", f"{API}/0x1/read"), 404, "not_found"),
    (call("PATCH", f"{API}/1_0/read"), 404, "not_found"),
    (call("PATCH", f"{API}/1%0A/read"), 404, "not_found"),
    (call("PATCH", f"{API}/1%00/read"), 404, "not_found"),
    (call("PATCH", f"{API}/%D9%A1/read"), 404, "not_found"),                     # an Arabic-Indic 1
    (call("PATCH", f"{API}/%EF%BC%91/read"), 404, "not_found"),                  # a full-width 1
    (call("PATCH", f"{API}/9223372036854775807/read"), 404, "message_not_found"),
    (call("PATCH", f"{API}/9223372036854775808/read"), 404, "not_found"),
    (call("PATCH", f"{API}/{10**20}/read"), 404, "not_found"),
    (call("PATCH", f"{API}/{'9' * 5000}/read"), 404, "not_found"),
    (call("DELETE", f"{API}/9223372036854775807"), 404, "message_not_found"),
    (call("DELETE", f"{API}/9223372036854775808"), 404, "not_found"),
    (get(f"{API}/9223372036854775808"), 404, "not_found"),
    (get(f"{API}/9223372036854775808/read"), 404, "not_found"),
    (call("OPTIONS", f"{API}/9999999999999999999/read"), 404, "not_found"),
    (call("DELETE", f"{API}/0042"), 404, "not_found"),
    (call("DELETE", f"{API}/%D9%A1"), 404, "not_found"),
    (raw_path("DELETE", f"{API}/\xff"), 404, "not_found"),
    # ---- methods
    (get(SEND), 405, "method_not_allowed"),
    (call("PUT", SEND, HELLO), 405, "method_not_allowed"),
    (call("OPTIONS", SEND), 405, "method_not_allowed"),
    (call("BREW", SEND), 405, "method_not_allowed"),
    (call("POST", INBOX), 405, "method_not_allowed"),
    (call("DELETE", INBOX), 405, "method_not_allowed"),
    (call("POST", UNREAD), 405, "method_not_allowed"),
    (call("POST", RECIPIENTS), 405, "method_not_allowed"),
    (get(f"{API}/1/read"), 405, "method_not_allowed"),
    (get(f"{API}/1"), 405, "method_not_allowed"),
    (call("PUT", f"{WITH}/thea"), 405, "method_not_allowed"),
    (get(f"{WITH}/thea/read"), 405, "method_not_allowed"),
    (get(LOGIN), 405, "method_not_allowed"),
    (get("/api/auth/logout"), 405, "method_not_allowed"),
    (call("DELETE", "/api/auth/session"), 405, "method_not_allowed"),
    (call("POST", PASSWORD), 405, "method_not_allowed"),
    (call("POST", "/healthz"), 405, "method_not_allowed"),
    # ---- the body as a whole
    (post(b""), 400, "missing_field"),
    (post(b" "), 400, "invalid_json"),
    (post(b"{"), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": "x"} {}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": "x",}'), 400, "invalid_json"),
    (post(b"{'recipient': 'thea', 'content': 'x'}"), 400, "invalid_json"),
    (post([]), 400, "invalid_json"),
    (post([HELLO]), 400, "invalid_json"),
    (post(b"null"), 400, "invalid_json"),
    (post("Hello"), 400, "invalid_json"),
    (post(5), 400, "invalid_json"),
    (post(b"true"), 400, "invalid_json"),
    (post(b"[" * 60_000), 400, "invalid_json"),
    (post(b"[" * 30_000 + b"]" * 30_000), 400, "invalid_json"),
    (post(b'{"content":' + b"[" * 30_000 + b"]" * 30_000 + b"}"), 400, "invalid_json"),
    (post(b"[" * 100_000), 413, "body_too_large"),
    (post(b'{"recipient": "thea", "content": "x", "content": "x"}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": {"a": 1, "a": 2}}'), 400, "invalid_json"),
    (post(rb'{"recipient": "thea", "content": "x", "c\u006fntent": "y"}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": NaN}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": Infinity}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": -Infinity}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": ' + b"9" * 5000 + b"}"), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": 1e999}'), 400, "invalid_field"),
    (post(b'{"recipient": "thea", "content": "\xff"}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": "\xed\xa0\x80"}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": "\xc0\xaf"}'), 400, "invalid_json"),
    (post(b'{"recipient": "thea", "content": "a\nb"}'), 400, "invalid_json"),    # a raw line break in a string
    (post(b"\xef\xbb\xbf" + json.dumps(HELLO).encode()), 400, "invalid_json"),  # a byte order mark
    (post(json.dumps(HELLO).encode("utf-16")), 400, "invalid_json"),
    (post(json.dumps(HELLO).encode("utf-16-le")), 400, "invalid_json"),
    (post(json.dumps(HELLO).encode("utf-32")), 400, "invalid_json"),
    (post(json.dumps(HELLO).encode() + BLANKS.encode()), 413, "body_too_large"),
    (call("PATCH", f"{API}/1/read", {"content": BLANKS}), 413, "body_too_large"),
    (call("POST", LOGIN, {"username": "uma", "password": BLANKS}), 413, "body_too_large"),
    # ---- media types
    (post(HELLO, Content_Type="text/plain"), 415, "unsupported_media_type"),
    (post(HELLO, Content_Type=""), 415, "unsupported_media_type"),
    (post(HELLO, Content_Type="application/jsonp"), 415, "unsupported_media_type"),
    (post(HELLO, Content_Type="application/merge-patch+json"), 415, "unsupported_media_type"),
    (post(HELLO, Content_Type="text/json"), 415, "unsupported_media_type"),
    (post(b"recipient=thea", Content_Type="application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
    (post(b"--x--", Content_Type="multipart/form-data; boundary=x"), 415, "unsupported_media_type"),
    (call("PATCH", f"{API}/1/read", {}, Content_Type="text/plain"), 415, "unsupported_media_type"),
    (call("DELETE", f"{API}/1", {}, Content_Type="text/plain"), 415, "unsupported_media_type"),
    (call("POST", LOGIN, {}, Content_Type="text/plain"), 415, "unsupported_media_type"),
    (call("PUT", PASSWORD, {}, Content_Type="text/plain"), 415, "unsupported_media_type"),
    (post(HELLO, Content_Type="application/json; charset=utf-8"), 201, None),
    (post(HELLO, Content_Type="Application/JSON;q=1"), 201, None),
    # ---- the fields of send
    (post({}), 400, "missing_field"),
    (post({"recipient": "thea"}), 400, "missing_field"),
    (post({"content": "Hello"}), 400, "missing_field"),
    (post({**HELLO, "content": 5}), 400, "invalid_field"),
    (post({**HELLO, "content": ["Hello"]}), 400, "invalid_field"),
    (post({**HELLO, "content": {"text": "Hello"}}), 400, "invalid_field"),
    (post({**HELLO, "content": True}), 400, "invalid_field"),
    (post({**HELLO, "content": None}), 400, "missing_field"),
    (post({**HELLO, "content": ""}), 400, "missing_field"),
    (post({**HELLO, "content": " \u2003\n"}), 400, "missing_field"),
    (post({**HELLO, "content": "x" * 5001}), 400, "invalid_field"),
    (post({**HELLO, "recipient": 5}), 400, "invalid_field"),
    (post({**HELLO, "recipient": None}), 400, "missing_field"),
    (post({**HELLO, "recipient": ["thea"]}), 400, "invalid_field"),
    (post({**HELLO, "recipient": ""}), 400, "missing_field"),
    (post({**HELLO, "recipient": "thea\0"}), 400, "invalid_field"),
    (post({**HELLO, "recipient": "\ud800"}), 400, "invalid_field"),
    (post({**HELLO, "recipient": "uma"}), 400, "self_message"),
    (post({**HELLO, "recipient": "nobody"}), 404, "recipient_not_found"),
    (post({**HELLO, "recipient": "'; DROP TABLE messages; --"}), 404, "recipient_not_found"),
    (post({**HELLO, "recipient": "clara"}), 403, "reply_only"),
    (post({**HELLO, "subject": 5}), 400, "invalid_field"),
    (post({**HELLO, "subject": False}), 400, "invalid_field"),
    (post({**HELLO, "subject": []}), 400, "invalid_field"),
    (post({**HELLO, "subject": "x" * 101}), 400, "invalid_field"),
    (post({**HELLO, "subject": "a\0b"}), 400, "invalid_field"),
    (post({**HELLO, "subject": "\udfff"}), 400, "invalid_field"),
    (post({**HELLO, "sender": "thea"}), 400, "unknown_field"),
    (post({**HELLO, "Content": "Hello"}), 400, "unknown_field"),
    (post({**HELLO, "": 1}), 400, "unknown_field"),
    (post({**HELLO, "\ud800": 1}), 400, "unknown_field"),
    (post({**HELLO, "\0": 1}), 400, "unknown_field"),
    (post({**HELLO, "x" * 9999: 1}), 400, "unknown_field"),
    (text(r"\u0000"), 400, "invalid_field"),
    (text(r"\ud83d"), 400, "invalid_field"),
    (text(r"\ude42\ud83d"), 400, "invalid_field"),
    (text(EMOJI_ESCAPE * 5001), 400, "invalid_field"),
    (text(EMOJI_ESCAPE * 5000), 201, None),
    (text("\u202e<script>alert(1)</script>"), 201, None),
    # ---- Idempotency-Key
    (post(HELLO, Idempotency_Key=""), 400, "invalid_header"),
    (post(HELLO, Idempotency_Key="x" * 256), 400, "invalid_header"),
    (post(HELLO, Idempotency_Key="a b"), 400, "invalid_header"),
    (post(HELLO, Idempotency_Key="a\tb"), 400, "invalid_header"),
    (post(HELLO, Idempotency_Key="\xe9"), 400, "invalid_header"),
    (post(HELLO, Idempotency_Key="a\x7f"), 400, "invalid_header"),
    # ---- the fields of the other calls
    (call("PATCH", f"{WITH}/thea/read", {"up_to": "1"}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"up_to": True}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"up_to": 1.0}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"up_to": 0}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"up_to": -1}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"up_to": None}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"up_to": 2**63}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"up_to": 10**400}), 400, "invalid_field"),
    (call("PATCH", f"{WITH}/thea/read", {"upto": 1}), 400, "unknown_field"),
    (call("PATCH", f"{WITH}/thea/read", b"[]"), 400, "invalid_json"),
    (call("DELETE", f"{WITH}/thea", {"up_to": 1}), 400, "unknown_field"),
    (call("PATCH", f"{API}/1/read", {"is_read": False}), 400, "unknown_field"),
    (call("PATCH", f"{API}/1/read", b"[]"), 400, "invalid_json"),
    (call("DELETE", f"{API}/1", b"null"), 400, "invalid_json"),
    (call("DELETE", f"{API}/1", {"both": True}), 400, "unknown_field"),
    (call("POST", LOGIN, b""), 400, "missing_field"),
    (call("POST", LOGIN, {"username": "uma"}), 400, "missing_field"),
    (call("POST", LOGIN, {"username": ["uma"], "password": "x"}), 400, "invalid_field"),
    (call("POST", LOGIN, {"username": "uma", "password": 5}), 400, "invalid_field"),
    (call("POST", LOGIN, {"username": "uma\0", "password": "x"}), 400, "invalid_field"),
    (call("POST", LOGIN, {"username": "\ud800", "password": "x"}), 400, "invalid_field"),
    (call("POST", LOGIN, {"username": "uma", "password": "\ud800"}), 400, "invalid_field"),
    (call("POST", LOGIN, {"username": "uma", "password": "x" * 5000}), 400, "invalid_field"),
    (call("POST", LOGIN, {"username": "uma", "password": "x", "role": "admin"}), 400, "unknown_field"),
    (call("POST", LOGIN, {"username": "uma", "password": "x"}), 401, "wrong_credentials"),
    (call("PUT", PASSWORD, {"current_password": "x", "new_password": "short"}), 400, "invalid_field"),
    (call("PUT", PASSWORD, {"current_password": "x", "new_password": ["battery"]}), 400, "invalid_field"),
    (call("PUT", PASSWORD, {"current_password": "x", "new_password": "battery", "username": "thea"}), 400,
     "unknown_field"),
    (call("PUT", PASSWORD, {"new_password": "battery staple"}), 400, "missing_field"),
    (call("POST", "/api/auth/logout", {"all": True}), 400, "unknown_field"),
    (call("POST", "/api/auth/logout-all", b"nonsense"), 400, "invalid_json"),
    # ---- blocks
    (call("PUT", f"{BLOCKS}/uma"), 400, "self_block"),
    (call("PUT", f"{BLOCKS}/thea"), 400, "staff_not_blockable"),
    (call("PUT", f"{BLOCKS}/nobody"), 404, "user_not_found"),
    (call("DELETE", f"{BLOCKS}/nobody"), 404, "user_not_found"),
    (call("PUT", f"{BLOCKS}/%00"), 400, "invalid_field"),
    (call("PUT", f"{BLOCKS}/th%2Fea"), 404, "not_found"),
    (call("PUT", f"{BLOCKS}/nobody", {"for": "ever"}), 400, "unknown_field"),
    (call("PUT", f"{BLOCKS}/nobody", b"["), 400, "invalid_json"),
    (call("DELETE", f"{BLOCKS}/nobody", b"x", Content_Type="text/plain"), 415, "unsupported_media_type"),
    (raw_path("PUT", f"{BLOCKS}/\xff"), 404, "not_found"),
    (call("POST", BLOCKS), 405, "method_not_allowed"),
    # ---- calls that a user may not make stay forbidden whatever else is wrong
    (get(f"{API}/admin/conversations?limit=abc"), 403, "admin_only"),
    (get(f"{API}/admin/conversation/nobody/%00?limit=abc"), 403, "admin_only"),
    (get(f"{API}/admin/conversation/thea/clara"), 403, "admin_only"),
    (get(f"{API}/admin/audit?before=-1"), 403, "admin_only"),
    (call("POST", f"{API}/admin/audit"), 405, "method_not_allowed"),
    (get("/api/users?role=guest"), 403, "admin_only"),
    (call("POST", "/api/users", b"[", Content_Type="text/plain"), 403, "admin_only"),
    (call("PATCH", "/api/users/nobody", {"role": 5}), 403, "admin_only"),
    (call("PATCH", "/api/users/uma", {"role": "admin"}), 403, "admin_only"),
    (call("POST", "/api/users", {"username": "eve"}, Authorization="x"), 401, "unauthorized"),
    # ---- Authorization
    (get(INBOX, headers={"Authorization": ""}), 401, "unauthorized"),
    (get(INBOX, headers={"Authorization": "Bearer"}), 401, "unauthorized"),
    (get(INBOX, headers={"Authorization": "Bearer " + "A" * 43}), 401, "unauthorized"),
    (get(INBOX, headers={"Authorization": "Bearer " + "A" * 60000}), 401, "unauthorized"),
    (get(INBOX, headers={"Authorization": "Bearer \xff\xfe"}), 401, "unauthorized"),
    (get(INBOX, headers={"Authorization": "Bearer ' OR 1=1 --"}), 401, "unauthorized"),
    (get(INBOX, headers={"Authorization": "Basic dW1hOnVtYQ=="}), 401, "unauthorized"),
    (get(INBOX, headers={"Authorization": "Digest username=uma"}), 401, "unauthorized"),
    # ---- the order of the checks: each row is also wrong in everything checked later
    (get("/nowhere?limit=abc", headers={"Authorization": "x"}), 404, "not_found"),
    (call("PUT", SEND, b"[", Authorization="x", Content_Type="text/plain"), 405, "method_not_allowed"),
    (post(b"[", Authorization="x", Content_Type="text/plain"), 401, "unauthorized"),
    (post(BLANKS, Authorization="x"), 401, "unauthorized"),
    (get(f"{WITH}/%00?limit=abc", headers={"Authorization": "x"}), 401, "unauthorized"),
    (call("PATCH", f"{API}/4711/read", b"[", Authorization="x"), 401, "unauthorized"),
    (call("PUT", PASSWORD, {"new_password": 5}, Authorization="x"), 401, "unauthorized"),
    (get(f"{WITH}/nobody?limit=abc"), 400, "invalid_parameter"),
    (get(f"{WITH}/uma?limit=abc"), 400, "invalid_parameter"),
    (post({"recipient": "nobody", "content": "x" * 5001}), 400, "invalid_field"),
    (post({**HELLO, "recipient": "nobody"}, Idempotency_Key="a b"), 400, "invalid_header"),
    (post({**HELLO, "recipient": "clara", "content": " "}), 400, "missing_field"),
    (post({**HELLO, "recipient": "clara"}, Content_Type="text/plain"), 415, "unsupported_media_type"),
    (call("PATCH", f"{API}/4711/read", {"a": 1}), 400, "unknown_field"),
    (call("DELETE", f"{API}/2", b"["), 400, "invalid_json"),
    (call("DELETE", f"{API}/2", b"x", Content_Type="text/plain"), 415, "unsupported_media_type"),
    (call("PATCH", f"{API}/4711/read"), 404, "message_not_found"),
    (call("PATCH", f"{API}/2/read"), 403, "not_participant"),
    (call("PATCH", f"{API}/1/read"), 403, "not_recipient"),
    (call("DELETE", f"{API}/2"), 403, "not_participant"),
]
# fmt: on


@pytest.fixture(scope="module")
def uma(shared_database: str) -> Iterator[Client]:
    client = Client(create_app(Settings(database=shared_database)))
    people = {name: client.as_user(name, role) for name, role in (("thea", "therapist"), ("clara", "clinician"))}
    uma = client.as_user("uma")
    assert send(uma, "thea") == 1
    assert send(people["thea"], "clara") == 2
    yield uma
    client.close()


def assert_well_formed(response: TestResponse) -> None:
    """Asserts what holds for every answer."""
    assert response.status_code < 500
    assert response.headers["X-Request-ID"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert ("WWW-Authenticate" in response.headers) == (response.status_code == 401)
    assert ("Allow" in response.headers) == (response.status_code == 405)
    assert "Server" not in response.headers
    if response.status_code >= 400:
        assert response.content_type == "application/json"
        assert response.json.keys() == {"error", "code"}
        assert len(response.json["error"]) < 300
        assert response.json["error"].isprintable()
        assert "Traceback" not in response.text


def _name(case: tuple[Call, int, str | None]) -> str:
    call, status, code = case
    path = call.arguments.get("environ_overrides", {}).get("PATH_INFO", call.path)
    shown = f"{call.method} {path[:40]} {call.arguments.get('data', b'')[:50]!r} {status} {code}"
    return shown.encode("ascii", "backslashreplace").decode().replace("\0", "")


@pytest.mark.parametrize(("call", "status", "code"), CASES, ids=map(_name, CASES))
def test_hostile_input(uma: Client, call: Call, status: int, code: str | None) -> None:
    response = uma.open(call.path, method=call.method, **call.arguments)

    assert_well_formed(response)
    assert response.status_code == status, response.text
    assert (response.json["code"] if status >= 400 else None) == code


class Arriving(io.RawIOBase):
    """A body that arrives in pieces, one for each read; then the connection ends or fails."""

    def __init__(self, body: bytes, *, fails: bool = False) -> None:
        self._rest, self._fails = body, fails

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part, self._rest = self._rest[:7], self._rest[7:]
        if not part and self._fails:
            raise RuntimeError("what this server raises")
        buffer[: len(part)] = part
        return len(part)


def send_arriving(uma: Client, body: Arriving, length: int, *, server_ends_it: bool) -> TestResponse:
    """Sends the body as a server does that passes it on while it arrives; the test client cannot."""
    environ = {"wsgi.input": body, "CONTENT_LENGTH": str(length)}
    environ |= {"wsgi.input_terminated": True} if server_ends_it else {}
    return uma.post(SEND, headers={"Content-Type": "application/json"}, environ_overrides=environ)


@pytest.mark.parametrize("server_ends_it", [True, False])
def test_a_body_that_arrives_in_pieces_is_read_to_its_end(uma: Client, server_ends_it: bool) -> None:
    body = json.dumps(HELLO).encode()

    assert send_arriving(uma, Arriving(body), len(body), server_ends_it=server_ends_it).status_code == 201


@pytest.mark.parametrize("server_ends_it", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_client_that_disconnects_inside_its_body_gets_400(uma: Client, fails: bool, server_ends_it: bool) -> None:
    body = json.dumps(HELLO).encode()
    response = send_arriving(uma, Arriving(body, fails=fails), len(body) + 1, server_ends_it=server_ends_it)

    assert_well_formed(response)
    assert (response.status_code, response.json["code"]) == (400, "invalid_body")


def test_a_body_of_unknown_length_that_breaks_off_gets_400(uma: Client) -> None:
    environ = {"wsgi.input": Arriving(b"", fails=True), "CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    response = uma.patch(f"{WITH}/thea/read", environ_overrides=environ)

    assert (response.status_code, response.json["code"]) == (400, "invalid_body")


@pytest.mark.parametrize("server_ends_it", [True, False])
def test_body_announced_over_the_limit_is_refused_without_reading_it(uma: Client, server_ends_it: bool) -> None:
    response = send_arriving(uma, Arriving(b"", fails=True), 64 * 1024 + 1, server_ends_it=server_ends_it)

    assert (response.status_code, response.json["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (SEND, {"POST"}),
        (INBOX, {"GET", "HEAD"}),
        (UNREAD, {"GET", "HEAD"}),
        (RECIPIENTS, {"GET", "HEAD"}),
        (f"{API}/1", {"DELETE"}),
        (f"{API}/1/read", {"PATCH"}),
        (f"{WITH}/thea", {"GET", "HEAD", "DELETE"}),
        (f"{WITH}/thea/read", {"PATCH"}),
        (LOGIN, {"POST"}),
        (PASSWORD, {"PUT"}),
    ],
)
def test_405_names_the_methods_that_are_allowed(uma: Client, path: str, allowed: set[str]) -> None:
    response = uma.open(path, method="TRACE")

    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("page=0", ["page", "1"]),
        ("limit=9", ["limit", "10", "50"]),
        ("limit=20&limit=20", ["limit"]),
        ("limit=", ["limit"]),
        ("unread_only=1", ["unread_only", "true", "false"]),
    ],
)
def test_a_refused_parameter_is_named_with_its_range(uma: Client, query: str, words: list[str]) -> None:
    response = uma.get(f"{INBOX}?{query}")

    assert [word for word in words if word not in response.json["error"]] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-DEF_1.2", True),
        ("x" * 64, True),
        ("", False),
        ("a b", False),
        ("x" * 5000, False),
        ("\xff", False),
        ('{"level":"info"}', False),
    ],
)
def test_a_valid_request_id_is_kept(uma: Client, given: str, kept: bool) -> None:
    for path in (INBOX, "/nowhere"):
        answered = uma.get(path, headers={"X-Request-ID": given}).headers["X-Request-ID"]
        assert (answered == given) is kept
        assert answered.isascii()
        assert answered


def test_head_answers_as_get_without_the_body(uma: Client) -> None:
    for path, status in ((INBOX, 200), (f"{INBOX}?page=0", 400), ("/nowhere", 404), ("/healthz", 200)):
        got, headed = uma.get(path), uma.head(path)
        assert (headed.status_code, headed.data) == (status, b"")
        assert headed.headers["Content-Length"] == got.headers["Content-Length"]
