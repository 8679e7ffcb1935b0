"""The command line."""

import argparse
import errno
import logging
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields as fields_of
from pathlib import Path
from types import FrameType
from typing import NoReturn

from msgsvc import accounts, demo, fields
from msgsvc.app import App, create_app
from msgsvc.audit import Actor
from msgsvc.errors import ApiError
from msgsvc.roles import ROLES, SendingFacts, decide_sending
from msgsvc.serving import logs
from msgsvc.serving.server import Server
from msgsvc.sessions import open_session
from msgsvc.settings import Settings, SettingsError
from msgsvc.storage.base import BackupRefusedError, MigrationError, StorageError, Transaction
from msgsvc.storage.engines import engine_for
from msgsvc.storage.sql_files import SqlFilesError

SERVE_OPTIONS = ("host", "port", "threads", "log_format")
"""The settings that are options of serve as well."""


class FaultsFoundError(Exception):
    """The database has faults."""


class UsageError(Exception):
    """The command line is wrong."""


class _Parser(argparse.ArgumentParser):
    """Reports in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; its exit status: 0, 1 for what cannot be done, 2 for a wrong command line or setting."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except KeyboardInterrupt:
        return _fail(arguments, "interrupted", 130)
    except (UsageError, SettingsError) as error:
        return _fail(arguments, str(error), 2)
    except ApiError as error:
        return _fail(arguments, error.sentence, 1)
    except OSError as error:
        return _fail(arguments, f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    except (
        FaultsFoundError,
        BackupRefusedError,
        demo.NotEmptyError,
        MigrationError,
        StorageError,
        SqlFilesError,
    ) as error:
        return _fail(arguments, str(error), 1)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(arguments: list[str], line: str, status: int) -> int:
    if arguments[:1] == ["serve"]:
        logs.configure("json")
        logging.getLogger("msgsvc").error(line)
    else:
        print(f"msgsvc: {line}", file=sys.stderr)
    return status


def _parser() -> _Parser:
    parser = _Parser(prog="msgsvc", description="Private one-to-one messaging for care teams.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    user = commands.add_parser("user", help="manage the accounts", allow_abbrev=False)
    actions = user.add_subparsers(required=True, metavar="ACTION")

    def command(
        name: str,
        run: Callable[[argparse.Namespace], None],
        help: str,
        among: "argparse._SubParsersAction[_Parser]" = commands,
    ) -> _Parser:
        added = among.add_parser(name, help=help, description=help, allow_abbrev=False)
        added.set_defaults(run=run)
        added.add_argument("--database", metavar="PATH", help="the SQLite file")
        return added

    serve = command("serve", _serve, "serve the API until SIGTERM or SIGINT")
    for setting in fields_of(Settings):
        if setting.name in SERVE_OPTIONS:
            serve.add_argument(f"--{setting.name.replace('_', '-')}", help=setting.metadata["help"])
    command("demo", _demo, "serve a new database with four people and an example conversation").add_argument("--port")
    command("migrate", _migrate, "bring the database to the present schema")
    command("token", _token, "print a session token for an account").add_argument("name")
    command("check", _check, "verify integrity, foreign keys and summaries")
    backup = command("backup", _backup, "take a consistent copy while the service runs")
    backup.add_argument("destination")
    backup.add_argument("--overwrite", action="store_true", help="replace an existing file")
    explain = command("explain", _explain, "say whether one person may write to another, and which rule decides")
    explain.add_argument("sender")
    explain.add_argument("recipient")

    command("list", _user_list, "list the accounts", actions)
    add = command("add", _user_add, "create an account", actions)
    add.add_argument("name")
    add.add_argument("--role", required=True, choices=ROLES)
    password = command("password", _user_password, "set a password and end the account's sessions", actions)
    password.add_argument("name")
    for parser_with_password in (add, password):
        parser_with_password.add_argument(
            "--password-stdin", action="store_true", help="read it from standard input instead of making one"
        )
    command("suspend", _user_suspend, "close an account at once", actions).add_argument("name")
    command("reinstate", _user_reinstate, "open a suspended account again", actions).add_argument("name")
    role = command("role", _user_role, "change the role of an account", actions)
    role.add_argument("name")
    role.add_argument("role", choices=ROLES)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    given = {name: getattr(options, name, None) for name in ("database", *SERVE_OPTIONS)}
    return Settings.from_environ(os.environ, **given)


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[App]:
    app = create_app(_settings(options))
    try:
        yield app
    finally:
        app.close()


def _actor() -> Actor:
    return Actor("command line", time.time())


def _serve(options: argparse.Namespace) -> None:
    logs.configure(_settings(options).log_format)
    with _opened(options) as app:
        Server(app).run()


def _demo(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="msgsvc-demo-") as directory:
        options.database = options.database or str(Path(directory, "messages.db"))
        options.host = "127.0.0.1"
        with _opened(options) as app:
            server = Server(app)
            print(demo.prepare(app, server.url), flush=True)
            logs.configure(app.services.settings.log_format)
            server.run()


def _migrate(options: argparse.Namespace) -> None:
    path = _settings(options).database
    if path == ":memory:":
        raise UsageError("--database: a :memory: database is made anew each time, so there is nothing to migrate")
    for name in engine_for(path).migrate(path) or ["nothing to do"]:
        print(name)


def _token(options: argparse.Namespace) -> None:
    with _opened(options) as app:

        def open_one(transaction: Transaction) -> str:
            accounts.require_active(transaction, options.name)
            token, _ = open_session(transaction, app.services.settings, options.name, time.time())
            return token

        token = app.services.database.write(open_one)
    print(token)


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _check(options: argparse.Namespace) -> None:
    path = _existing_database(options)
    with _naming(path):
        faults = list(engine_for(path).check(path, _progress))
    _progress("")
    for fault in faults or ["ok"]:
        print(fault)
    if faults:
        raise FaultsFoundError(f"{path}: faults found: {len(faults)}")


def _backup(options: argparse.Namespace) -> None:
    path = _existing_database(options)
    with _naming(path):
        engine_for(path).backup(path, options.destination, _progress, overwrite=options.overwrite)
    _progress("")
    print(options.destination)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise StorageError(error.code, f"{path}: {error}") from error


def _existing_database(options: argparse.Namespace) -> str:
    path = _settings(options).database
    if not Path(path).is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such database", path)
    return path


def _user_list(options: argparse.Namespace) -> None:
    with _opened(options) as app, app.services.database.read() as snapshot:
        for username, role, suspended in snapshot.each("select_users", role=None, limit=-1, offset=0):
            print(username, role, "suspended" if suspended else "active", sep="\t")


def _user_add(options: argparse.Namespace) -> None:
    username = fields.new_username("NAME", options.name)
    password = _password(options)
    with _opened(options) as app:
        password_hash = app.services.passwords.hash(password)
        app.services.database.write(
            lambda transaction: accounts.create(transaction, _actor(), username, options.role, password_hash)
        )
    _print_made(options, password)


def _user_password(options: argparse.Namespace) -> None:
    password = _password(options)
    with _opened(options) as app:
        password_hash = app.services.passwords.hash(password)
        app.services.database.write(
            lambda transaction: accounts.reset_password(transaction, _actor(), options.name, password_hash)
        )
    _print_made(options, password)


def _user_role(options: argparse.Namespace) -> None:
    with _opened(options) as app:
        app.services.database.write(
            lambda transaction: accounts.change_role(transaction, _actor(), options.name, options.role)
        )


def _user_suspend(options: argparse.Namespace) -> None:
    with _opened(options) as app:
        app.services.database.write(lambda transaction: accounts.suspend(transaction, _actor(), options.name))


def _user_reinstate(options: argparse.Namespace) -> None:
    with _opened(options) as app:
        app.services.database.write(lambda transaction: accounts.reinstate(transaction, _actor(), options.name))


def _explain(options: argparse.Namespace) -> None:
    with _opened(options) as app, app.services.database.read() as snapshot:
        facts = snapshot.first("select_sending_facts", sender=options.sender, recipient=options.recipient)
        sender = snapshot.first("select_account", username=options.sender)
    if facts is None or sender is None:
        raise ApiError("user_not_found", f"no such user: {options.recipient if sender else options.sender}")
    if options.sender == options.recipient:
        print("no: nobody writes to themselves")
    else:
        decision = decide_sending(SendingFacts(*facts))
        print(f"{'yes' if decision.allowed else 'no'}: {decision.rule}")


def _password(options: argparse.Namespace) -> str:
    if not options.password_stdin:
        return secrets.token_urlsafe(12)
    return fields.password("password", sys.stdin.readline().rstrip("\r\n"))


def _print_made(options: argparse.Namespace, password: str) -> None:
    if not options.password_stdin:
        print(password)
