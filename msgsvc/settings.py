"""Every setting once: its field, default, meaning, and the function that checks a value given as text or in Python."""

import difflib
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from msgsvc.roles import ROLES

ENVIRONMENT_PREFIX = "MSGSVC_"


class SettingsError(ValueError):
    """A setting is unknown or has a bad value. The message is one line that names it."""


def _setting(default: Any, check: Callable[[Any], Any], help: str, *, secret: bool = False) -> Any:
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"check": check, "help": help})
    return field(default=default, repr=not secret, metadata={"check": check, "help": help})


def require_text(value: str) -> None:
    """Raises ValueError for what Python could not decode of a command line or an environment."""
    try:
        value.encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        raise ValueError(f"{value!a} is not text in the encoding of this locale, {encoding}") from None


def _optional_text(value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"must be text, not {type(value).__name__}")
    require_text(str(value))
    return str(value)


def _text(value: Any) -> str:
    if not _optional_text(value):
        raise ValueError("must not be empty")
    return str(value)


def _whole_number(lowest: int, highest: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", str(value), flags=re.ASCII) or not lowest <= int(value) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}, not {str(value)!r}")
        return int(value)

    return check


def _prefix(value: Any) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", str(value)):
        raise ValueError(f"must be a path such as /api/messages, not {str(value)!r}")
    return str(value)


def _page(value: Any) -> str:
    return str(value) if value in ("", "/") else _prefix(value)


def _frame_ancestors(value: Any) -> str:
    if not re.fullmatch(r"'none'|('self'|https?://[^\s;,'\"]+)( ('self'|https?://[^\s;,'\"]+))*", str(value)):
        raise ValueError(f"must be 'none', or 'self' and origins separated by blanks, not {str(value)!r}")
    return str(value)


def _choice(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be {' or '.join(choices)}, not {str(value)!r}")
        return str(value)

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError(f"must be true or false, not {str(value)!r}")
    return value in (True, "true")


def _list_of(pattern: str, what: str) -> Callable[[Any], tuple[str, ...]]:
    def check(value: Any) -> tuple[str, ...]:
        items = tuple(value.replace(",", " ").split()) if isinstance(value, str) else value
        if not isinstance(items, (tuple, list)):
            raise ValueError(f"must be {what}, not {value!r}")
        for item in items:
            if not isinstance(item, str) or not re.fullmatch(pattern, item):
                raise ValueError(f"must be {what}, not {item!r}")
        return tuple(items)

    return check


_origins = _list_of(r"https?://[^/\s]+", "origins such as https://app.example")
_header_names = _list_of(r"[A-Za-z0-9-]+", "names of headers such as X-CSRFToken")


Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def _networks(value: Any) -> Networks:
    networks = value.replace(",", " ").split() if isinstance(value, str) else value
    try:
        return tuple(ipaddress.ip_network(network) for network in networks)
    except (TypeError, ValueError):
        raise ValueError(f"must be addresses and networks such as 10.0.0.1 or 10.0.0.0/8, not {value!r}") from None


def _header(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", str(value), flags=re.ASCII):
        raise ValueError(f"must be the name of a header such as X-Real-IP, not {str(value)!r}")
    return str(value)


def _roles(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {name.strip(): role.strip() for name, _, role in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"must be names such as developer=admin,patient=user, not {value!r}")
    for name, role in value.items():
        if role not in ROLES or (name in ROLES and name != role):
            raise ValueError(f"must give names of your own one of {', '.join(ROLES)}, not {name!r} {role!r}")
    return dict(value)


def _column(value: Any) -> str:
    if not re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)?", str(value)):
        raise ValueError(f"must be the name of a column such as full_name, not {str(value)!r}")
    return str(value)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the service runs. Raises SettingsError for a bad value."""

    database: str = _setting(
        "messages.db",
        _text,
        "SQLite file, `:memory:` for a private one that goes with the app, or a URI `postgresql://…`",
        secret=True,
    )
    host: str = _setting("127.0.0.1", _text, "address that `msgsvc serve` listens on")
    port: int = _setting(8000, _whole_number(0, 65535), "port that `msgsvc serve` listens on; 0 takes a free one")
    threads: int = _setting(8, _whole_number(1, 256), "worker threads of `msgsvc serve`")
    prefix: str = _setting("/api/messages", _prefix, "public path under which the message calls live")
    page: str = _setting("/", _page, "public path of the inbox page; empty for none")
    page_frame_ancestors: str = _setting(
        "'none'", _frame_ancestors, "who may show the page in a frame: `'none'`, or `'self'` and origins"
    )
    session_idle_seconds: int = _setting(1800, _whole_number(1, 31_536_000), "a session ends when unused this long")
    session_max_seconds: int = _setting(43_200, _whole_number(1, 31_536_000), "a session ends at the latest after this")

    login_attempts_name: int = _setting(
        10, _whole_number(1, 100_000), "wrong passwords for one name after which login is closed for it"
    )
    login_attempts_address: int = _setting(
        30, _whole_number(1, 100_000), "wrong passwords from one address after which login is closed for it"
    )
    login_window_seconds: int = _setting(900, _whole_number(1, 86_400), "how long wrong passwords are counted")
    trusted_proxy: Networks = _setting(  # noqa: RUF009
        (), _networks, "addresses and networks of the proxies that tell the client's address, separated by commas"
    )
    client_address_header: str = _setting(
        "X-Forwarded-For", _header, "header in which they tell it: `X-Forwarded-For`, or one with a single address"
    )
    send_rate: int = _setting(
        60, _whole_number(0, 100_000), "messages a minute that one sender may send; 0 for no limit"
    )
    cors_origins: tuple[str, ...] = _setting((), _origins, "origins of browser clients, separated by commas")
    cors_credentials: bool = _setting(
        False, _flag, "whether those clients may send a host's cookies: `true` or `false`"
    )
    cors_headers: tuple[str, ...] = _setting(
        (), _header_names, "headers that those clients may send besides the API's own, such as a host's CSRF token"
    )
    roles: Mapping[str, str] = _setting(
        {}, _roles, "what a host's own role names mean, as `developer=admin,patient=user`"
    )
    display_name_column: str = _setting(
        "", _column, "column of a host's `users` by whose words people are found too; `username` for none any more"
    )
    log_format: str = _setting("json", _choice("json", "text"), "log lines as `json`, or `text` for people")
    admin_username: str = _setting("", _optional_text, "first admin, created when the database has no account yet")
    admin_password: str = _setting("", _optional_text, "the first admin's password", secret=True)

    def __post_init__(self) -> None:
        for setting in fields(self):
            try:
                value = setting.metadata["check"](getattr(self, setting.name))
            except ValueError as error:
                raise SettingsError(f"{setting.name} {error}") from None
            object.__setattr__(self, setting.name, value)
        if bool(self.admin_username) != bool(self.admin_password):
            raise SettingsError("admin_username and admin_password (MSGSVC_ADMIN_…) must be given together")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], **options: Any) -> "Settings":
        """Settings from the environment: an option beats ``MSGSVC_…``, which beats ``PORT`` and ``RAILWAY_…``.

        Raises SettingsError naming the option or variable that is unknown or has a bad value.
        """
        sources: dict[str, tuple[str, Any]] = {}
        if "RAILWAY_VOLUME_MOUNT_PATH" in environ:
            volume = environ["RAILWAY_VOLUME_MOUNT_PATH"]
            sources["database"] = ("RAILWAY_VOLUME_MOUNT_PATH", volume and f"{volume}/messages.db")
        if "PORT" in environ:
            sources["port"] = ("PORT", environ["PORT"])
        variables = {ENVIRONMENT_PREFIX + setting.name.upper(): setting.name for setting in fields(cls)}
        for variable, value in environ.items():
            if not variable.startswith(ENVIRONMENT_PREFIX):
                continue
            if variable not in variables:
                near = difflib.get_close_matches(variable, variables, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise SettingsError(f"{variable} is not a setting{hint}")
            sources[variables[variable]] = (variable, value)
        sources.update(
            {name: (f"--{name.replace('_', '-')}", value) for name, value in options.items() if value is not None}
        )
        for setting in fields(cls):
            if setting.name in sources:
                label, value = sources[setting.name]
                try:
                    setting.metadata["check"](value)
                except ValueError as error:
                    raise SettingsError(f"{label} {error}") from None
        return cls(**{name: value for name, (_, value) in sources.items()})
