"""The command line: runs one command and turns its errors into one line and an exit status."""

import errno
import io
import logging
import os
import signal
import sys
from types import FrameType
from typing import TextIO

from msgsvc.authorization import place_of
from msgsvc.cli.demo import NotEmptyError
from msgsvc.cli.maintenance import FaultsFoundError
from msgsvc.cli.options import UsageError, flush_output
from msgsvc.cli.parser import build_parser
from msgsvc.cli.process_title import wipe_passwords
from msgsvc.errors import ApiError
from msgsvc.serving import logs
from msgsvc.settings import SettingsError, require_text
from msgsvc.storage.base import BackupRefusedError, MigrationError, StorageError
from msgsvc.storage.copying import CopyRefusedError
from msgsvc.storage.sql_files import SqlFilesError

BROKEN_PIPE_STATUS = 128 + signal.SIGPIPE
"""The status that a shell reports for a program ended by this signal."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; its exit status: 0, 1 where it fails, 2 for a wrong command line or setting, 130 for a signal.

    Where the reader of its output has gone, the command ends silently with status 141.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        wipe_passwords(arguments)
        _prepare_streams(arguments)
        _run(arguments)
    except (KeyboardInterrupt, Exception) as error:
        line, status = _line_and_status(error)
        if isinstance(error, OSError) and sys.stdout is not None:
            _discard(sys.stdout)
        if line:
            _fail(arguments, line)
        return status
    return 0


def _line_and_status(error: BaseException) -> tuple[str, int]:
    line, status = str(error), 1
    match error:
        case KeyboardInterrupt():
            line, status = "interrupted", 130
        case UsageError() | SettingsError():
            status = 2
        case BrokenPipeError():
            line, status = "", BROKEN_PIPE_STATUS
        case ApiError():
            line = error.sentence
        case OSError() if error.filename:
            line = f"{error.filename}: {error.strerror}"
        case OSError() | StorageError() | MigrationError() | SqlFilesError():
            pass
        case BackupRefusedError() | CopyRefusedError() | NotEmptyError() | FaultsFoundError():
            pass
        case Exception():
            line = f"internal error: {place_of(error)}"
    return line, status


def _run(arguments: list[str]) -> None:
    for argument in arguments:
        try:
            require_text(argument)
        except ValueError as error:
            raise UsageError(str(error)) from None
    try:
        options = build_parser().parse_args(arguments)
    except SystemExit:
        flush_output()
        raise
    options.run(options)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _is_serve(arguments: list[str]) -> bool:
    return arguments[:1] == ["serve"]


def _prepare_streams(arguments: list[str]) -> None:
    """Standard error that is closed goes to /dev/null; only `serve` can do without standard output."""
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(os.devnull, "w"))
    if sys.stdout is None:
        if not _is_serve(arguments):
            raise OSError(errno.EBADF, "closed", "standard output")
    elif isinstance(sys.stdout, io.TextIOWrapper):
        # A name may have characters that the locale cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard(stream: TextIO) -> None:
    """Sends the stream to /dev/null: Python would try to flush it again at exit, fail, and change the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _visible(line: str) -> str:
    """A path or a name may hold line ends and what a terminal obeys."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


def _fail(arguments: list[str], line: str) -> None:
    """Prints the line, for `serve` as a JSON log line. A URI with a password that it repeats is left out."""
    for argument in arguments:
        uri = argument.partition("://")[2]
        if "@" in uri or "password" in uri:
            line = line.replace(uri, "…")
    text = (
        logs.line_of(logging.ERROR, line, logs.JsonFormatter())
        if _is_serve(arguments)
        else f"msgsvc: {_visible(line)}\n"
    )
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
