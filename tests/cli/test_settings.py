"""Settings: one variable for each field, one order of precedence, one clear line for what is wrong.

On SQLite: settings do not depend on the engine; PostgreSQL's URI is in test_postgresql_refusals.py.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from msgsvc import Settings, create_app
from msgsvc.settings import SettingsError

FIELDS = dataclasses.fields(Settings)
NAMES = [field.name for field in FIELDS]


OTHER_VALUES = {
    "log_format": "text",
    "cors_origins": "https://app.example",
    "trusted_proxy": "10.0.0.0/8",
    "client_address_header": "X-Real-IP",
    "cors_credentials": "true",
    "cors_headers": "X-CSRFToken",
    "page_frame_ancestors": "'self'",
    "roles": "developer=admin",
    "display_name_column": "full_name",
}
TOGETHER = {"admin_username": "admin_password", "admin_password": "admin_username"}


def another_value(field: "dataclasses.Field[Any]") -> Any:
    """A valid value other than the default."""
    if field.name in OTHER_VALUES:
        return OTHER_VALUES[field.name]
    return field.default + 1 if isinstance(field.default, int) else "/long-enough-for-a-password"


@pytest.mark.parametrize("field", FIELDS, ids=NAMES)
def test_every_field_is_set_by_its_own_variable(field: "dataclasses.Field[Any]") -> None:
    values = {field.name: another_value(field)}
    if field.name in TOGETHER:
        values[TOGETHER[field.name]] = "another-long-text"
    settings = Settings.from_environ({f"MSGSVC_{name.upper()}": str(value) for name, value in values.items()})
    assert settings == dataclasses.replace(Settings(), **values)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environ({}) == Settings.from_environ({"PATH": "/bin", "msgsvc_port": "1"}) == Settings()


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_documented(name: str) -> None:
    assert Settings.__dataclass_fields__[name].metadata["help"]


@pytest.mark.parametrize(
    ("environ", "options", "name", "expected"),
    [
        ({}, {}, "port", 8000),
        ({"PORT": "1"}, {}, "port", 1),
        ({"PORT": "1", "MSGSVC_PORT": "2"}, {}, "port", 2),
        ({"MSGSVC_PORT": "2", "PORT": "1"}, {}, "port", 2),
        ({"PORT": "1", "MSGSVC_PORT": "2"}, {"port": "3"}, "port", 3),
        ({"PORT": "1"}, {"port": "3"}, "port", 3),
        ({"MSGSVC_PORT": "2"}, {"port": "0"}, "port", 0),
        ({"MSGSVC_PORT": "2"}, {"port": None}, "port", 2),
        ({}, {}, "database", "messages.db"),
        ({"RAILWAY_VOLUME_MOUNT_PATH": "/data"}, {}, "database", "/data/messages.db"),
        ({"RAILWAY_VOLUME_MOUNT_PATH": "/data", "MSGSVC_DATABASE": "own.db"}, {}, "database", "own.db"),
        ({"RAILWAY_VOLUME_MOUNT_PATH": "/data", "MSGSVC_DATABASE": "own.db"}, {"database": "x.db"}, "database", "x.db"),
        ({"RAILWAY_VOLUME_MOUNT_PATH": "/data"}, {"database": "x.db"}, "database", "x.db"),
    ],
)
def test_precedence_is_option_variable_platform_default(
    environ: dict[str, str], options: dict[str, str | None], name: str, expected: object
) -> None:
    assert getattr(Settings.from_environ(environ, **options), name) == expected


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("MSGSVC_DATBASE", "MSGSVC_DATABASE"),
        ("MSGSVC_PROT", "MSGSVC_PORT"),
        ("MSGSVC_THREAD", "MSGSVC_THREADS"),
        ("MSGSVC_SESSION_IDLE", "MSGSVC_SESSION_IDLE_SECONDS"),
        ("MSGSVC_port", "MSGSVC_PORT"),
    ],
)
def test_misspelt_variable_gets_a_suggestion(variable: str, nearest: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({variable: "1"})
    assert re.findall(r"MSGSVC_\w+", str(caught.value)) == [variable, nearest]
    assert "\n" not in str(caught.value)


def test_unknown_variable_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="MSGSVC_XYZZY"):
        Settings.from_environ({"MSGSVC_XYZZY": "1"})


BAD_VALUES = [
    ("threads", "0"),
    ("threads", "-1"),
    ("threads", "1_0"),
    ("threads", "\u0664"),
    ("threads", " 8"),
    ("threads", "8\n"),
    ("threads", "0x8"),
    ("threads", "8.0"),
    ("threads", "1" * 50),
    ("threads", ""),
    ("port", "70000"),
    ("port", "65536"),
    ("port", "\uff18\uff10"),
    ("port", "http"),
    ("port", ""),
    ("database", ""),
    ("host", ""),
    ("prefix", ""),
    ("prefix", "api"),
    ("prefix", "/api/"),
    ("prefix", "/"),
    ("prefix", "/api//messages"),
    ("prefix", "/<name>"),
    ("prefix", "/api\n"),
    ("session_idle_seconds", "0"),
    ("session_idle_seconds", "soon"),
    ("session_max_seconds", "0"),
    ("log_format", "xml"),
    ("cors_origins", "app.example"),
    ("cors_origins", "https://app.example/path"),
    ("cors_credentials", "yes"),
    ("cors_headers", "X-CSRF: Token"),
    ("send_rate", "-1"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_bad_value_error_names_its_source(name: str, value: str) -> None:
    variable = f"MSGSVC_{name.upper()}"
    sources = {
        variable: lambda: Settings.from_environ({variable: value}),
        f"--{name.replace('_', '-')}": lambda: Settings.from_environ(
            {variable: str(getattr(Settings(), name))}, **{name: value}
        ),
        name: lambda: Settings(**{name: value}),
    }
    for label, build in sources.items():
        with pytest.raises(SettingsError) as caught:
            build()
        assert str(caught.value).startswith(f"{label} "), label
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"), [("PORT", "http"), ("PORT", ""), ("PORT", "70000"), ("RAILWAY_VOLUME_MOUNT_PATH", "")]
)
def test_bad_platform_value_error_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} "):
        Settings.from_environ({variable: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", True),
        ("port", None),
        ("port", 80.5),
        ("database", None),
        ("cors_origins", 5),
        ("cors_origins", [5]),
        ("cors_credentials", 1),
        ("log_format", None),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_python_too(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"^{name} "):
        Settings(**{name: value})


@pytest.mark.parametrize("name", TOGETHER)
def test_the_first_admin_needs_a_name_and_a_password(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({f"MSGSVC_{name.upper()}": "a-long-text"})


def test_a_password_never_shows_in_the_settings_as_text() -> None:
    assert "hunter-two" not in repr(Settings(admin_username="adam", admin_password="hunter-two"))


@pytest.mark.parametrize("name", NAMES)
def test_settings_never_change(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Settings(), name, getattr(Settings(), name))


@pytest.mark.parametrize("page", ["/healthz", "/api/users", "/api/messages/conversation", "/api/messages/inbox"])
def test_the_page_takes_no_path_of_a_call(database_path: str, page: str) -> None:
    with pytest.raises(SettingsError, match=rf"page \(MSGSVC_PAGE\) must not be {page}: calls have paths there"):
        create_app(Settings(database=database_path, page=page))
    assert not Path(database_path).exists()


@pytest.mark.parametrize("page", ["/", "/messages", "/api/page"])
def test_the_page_may_be_beside_the_calls(database_path: str, page: str) -> None:
    create_app(Settings(database=database_path, page=page)).close()
