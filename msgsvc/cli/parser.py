"""The commands and options of the command line."""

import argparse
from collections.abc import Callable
from dataclasses import fields as fields_of
from typing import NoReturn, TypeAlias

import msgsvc
from msgsvc.cli import accounts, maintenance, serving
from msgsvc.cli.options import SERVE_OPTIONS, UsageError
from msgsvc.roles import ROLES
from msgsvc.settings import Settings


class _Parser(argparse.ArgumentParser):
    """Raises UsageError instead of printing several lines."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def build_parser() -> argparse.ArgumentParser:
    """The parser. It sets ``run`` to the function of the command."""
    parser = _Parser(prog="msgsvc", description="Private one-to-one messaging for care teams.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"msgsvc {msgsvc.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    user = commands.add_parser("user", help="manage the accounts", allow_abbrev=False)
    _add_commands(commands)
    _add_user_actions(user.add_subparsers(required=True, metavar="ACTION"))
    return parser


def _add(
    commands: _Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    help: str,
    database: str = Settings().database,
) -> _Parser:
    """Adds a command whose ``--database`` has this default."""
    added = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    added.set_defaults(run=run)
    added.add_argument(
        "--database", metavar="DATABASE", help=f"the SQLite file or a PostgreSQL URI (default: {database})"
    )
    return added


def _add_commands(commands: _Commands) -> None:
    serve = _add(commands, "serve", serving.serve, "serve the API until SIGTERM or SIGINT")
    for setting in fields_of(Settings):
        if setting.name in SERVE_OPTIONS:
            meaning = f"{setting.metadata['help']} (default: {setting.default})"
            serve.add_argument(f"--{setting.name.replace('_', '-')}", help=meaning)
    demo = _add(
        commands,
        "demo",
        serving.demo,
        "serve a new database with four people and an example conversation",
        database="a temporary file",
    )
    demo.add_argument("--port", help=f"port to listen on (default: {Settings().port})")
    _add(commands, "migrate", maintenance.migrate, "bring the database to the present schema")
    token = _add(commands, "token", accounts.token, "print a session token for an account")
    token.add_argument("name")
    _add(commands, "check", maintenance.check, "verify integrity, foreign keys and summaries")
    backup = _add(commands, "backup", maintenance.backup, "take a consistent copy while the service runs")
    backup.add_argument("destination")
    backup.add_argument("--overwrite", action="store_true", help="replace an existing file")
    meaning = "copy everything into another database, which must have no messages"
    copy = commands.add_parser("copy", help=meaning, description=meaning, allow_abbrev=False)
    copy.set_defaults(run=maintenance.copy)
    copy.add_argument("source", help="a SQLite file or a PostgreSQL URI")
    copy.add_argument("destination", help="another one; a file is made where there is none")
    explain = _add(
        commands, "explain", accounts.explain, "say whether one person may write to another, and which rule decides"
    )
    explain.add_argument("sender")
    explain.add_argument("recipient")


def _add_user_actions(actions: _Commands) -> None:
    _add(actions, "list", accounts.list_users, "list the accounts")
    add = _add(actions, "add", accounts.add, "create an account")
    add.add_argument("name")
    add.add_argument("--role", required=True, choices=ROLES)
    password = _add(actions, "password", accounts.set_password, "set a password and end the account's sessions")
    password.add_argument("name")
    for with_password in (add, password):
        with_password.add_argument(
            "--password-stdin", action="store_true", help="read it from standard input instead of making one"
        )
        with_password.add_argument(
            "--must-change", action="store_true", help="the account can do nothing else before it is changed"
        )
    suspend = _add(actions, "suspend", accounts.suspend, "close an account at once")
    suspend.add_argument("name")
    reinstate = _add(actions, "reinstate", accounts.reinstate, "open a suspended account again")
    reinstate.add_argument("name")
    forget = _add(actions, "forget", accounts.forget, "hide a person's side of every message and free the name")
    forget.add_argument("name")
    role = _add(actions, "role", accounts.change_role, "change the role of an account")
    role.add_argument("name")
    role.add_argument("role", choices=ROLES)
