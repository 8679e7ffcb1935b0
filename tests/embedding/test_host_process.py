"""An application changes nothing in the process of its host."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hosts
import pytest
from embedded import SEND, as_remote_user, run_python
from hosts import rows

from msgsvc import Settings, create_app, remote_user


def test_two_applications_with_two_databases_live_in_one_process(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("east.db", "west.db")]
    apps = []
    for path in paths:
        hosts.create_host_database(path)
        apps.append(create_app(Settings(database=path), authenticate=remote_user))
    east, west = (as_remote_user(app, "thea") for app in apps)
    east(SEND, "POST", json={"recipient": "uma", "content": "only east"})
    assert len(east("/api/messages/inbox").json["conversations"]) == 1
    assert west("/api/messages/inbox").json["conversations"] == []
    apps[0].close()
    assert west(SEND, "POST", json={"recipient": "uma", "content": "west goes on"}).status_code == 201
    apps[1].close()
    assert [rows(path, "SELECT content FROM messages") for path in paths] == [[("only east",)], [("west goes on",)]]


def test_closing_twice_is_harmless_and_ends_every_call(embed: Callable[..., Any], host_path: str) -> None:
    app = embed()
    call = as_remote_user(app, "thea")
    assert call("/api/messages/inbox").status_code == 200
    app.close()
    app.close()
    assert (call("/api/messages/inbox").status_code, call("/healthz").status_code) == (503, 503)
    assert not Path(host_path + "-wal").exists()


def test_relative_database_path_is_resolved_at_start(
    host_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = create_app(Settings(database=Path(host_path).name), authenticate=remote_user)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert as_remote_user(app, "thea")("/api/messages/inbox").status_code == 200
    app.close()


GLOBAL_STATE = """
import gc, json, locale, logging, os, signal, socket, sqlite3, sys, threading, warnings

def state():
    gc.collect()
    loggers = [logging.getLogger(name) for name in ("", "msgsvc", "werkzeug", "waitress")]
    return {
        "environment": dict(os.environ),
        "directory": [os.getcwd(), os.listdir()],
        "umask": (lambda mask: [mask, os.umask(mask)][0])(os.umask(0o22)),
        "path": list(sys.path),
        "hooks": [str(sys.excepthook), str(threading.excepthook), str(sys.unraisablehook), str(sys.displayhook)],
        "signals": {s: str(signal.getsignal(s)) for s in signal.valid_signals()},
        "threads": [t.name for t in threading.enumerate()],
        "files": sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                        if os.path.exists(f"/proc/self/fd/{n}")),
        "loggers": [[l.level, l.propagate, l.disabled, len(l.handlers)] for l in loggers],
        "logging": [logging.root.manager.disable, str(logging.getLoggerClass()), logging.raiseExceptions],
        "log records": str(logging.getLogRecordFactory()),
        "warnings": [str(warnings.showwarning), *(str(f) for f in warnings.filters)],
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "locale": locale.setlocale(locale.LC_ALL),
        "timeout": socket.getdefaulttimeout(),
        "sqlite": [len(sqlite3.adapters), len(sqlite3.converters), sqlite3.enable_callback_tracebacks.__name__],
        "gc": [gc.get_threshold(), gc.isenabled()],
    }
"""


def test_import_opens_and_changes_nothing(tmp_path: Path) -> None:
    script = """
    import pytest
    os.chdir(sys.argv[1])
    before = state()
    import msgsvc, msgsvc.testing, msgsvc.cli, msgsvc.pytest_plugin
    after = state()
    assert after == before, [(k, before[k], after[k]) for k in before if before[k] != after[k]]
    """
    run_python(GLOBAL_STATE + textwrap.dedent(script), str(tmp_path))


def test_application_changes_no_process_state(host_path: str) -> None:
    script = """
    import msgsvc
    from werkzeug.test import Client
    before = state()
    app = msgsvc.create_app(msgsvc.Settings(database=sys.argv[1]), authenticate=msgsvc.remote_user)
    body = {"recipient": "uma", "content": "Hello"}
    assert Client(app).post("/api/messages/send", json=body, environ_base={"REMOTE_USER": "thea"}).status_code == 201
    app.close()
    after = state()
    assert after == before, [(k, before[k], after[k]) for k in before if before[k] != after[k]]
    """
    run_python(GLOBAL_STATE + textwrap.dedent(script), host_path)
