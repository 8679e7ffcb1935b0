"""The command line: runs one command and turns its errors into one line and an exit status."""

import logging
import signal
import sys
from types import FrameType

from msgsvc.cli.demo import NotEmptyError
from msgsvc.cli.maintenance import FaultsFoundError
from msgsvc.cli.options import UsageError
from msgsvc.cli.parser import build_parser
from msgsvc.errors import ApiError
from msgsvc.serving import logs
from msgsvc.settings import SettingsError
from msgsvc.storage.base import BackupRefusedError, MigrationError, StorageError
from msgsvc.storage.sql_files import SqlFilesError


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; its exit status: 0, 1 where it fails, 2 for a wrong command line or setting, 130 for a signal."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        options = build_parser().parse_args(arguments)
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
        NotEmptyError,
        MigrationError,
        StorageError,
        SqlFilesError,
    ) as error:
        return _fail(arguments, str(error), 1)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(arguments: list[str], line: str, status: int) -> int:
    """Prints the line, for `serve` as a JSON log line; returns the status."""
    if arguments[:1] == ["serve"]:
        logs.configure("json")
        logging.getLogger("msgsvc").error(line)
    else:
        print(f"msgsvc: {line}", file=sys.stderr)
    return status
