"""Takes a consistent, verified copy while the service runs."""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgsvc.storage.base import BackupRefusedError, Progress, StorageError
from msgsvc.storage.sqlite.connection import BUSY_SECONDS, Connection, inspection_mode
from msgsvc.storage.sqlite.location import real_path

_COMPANIONS = ("-journal", "-wal", "-shm")


def backup(path: str, destination: str, progress: Progress, *, overwrite: bool = False) -> None:
    """A consistent copy, verified before it takes its name.

    Raises BackupRefusedError, StorageError, or OSError; nothing is left behind then.
    """
    path = real_path(path)
    target = Path(destination)
    with closing(Connection(path, {}, mode=inspection_mode(path), busy_seconds=BUSY_SECONDS)) as source:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master")
        if target.resolve() == Path(path) or (target.exists() and target.samefile(path)):
            raise BackupRefusedError(f"{target} is the database itself")
        with (
            new_file(target, overwrite=overwrite) as partial,
            closing(Connection(partial, {}, mode="rw", busy_seconds=BUSY_SECONDS)) as copy,
        ):
            source.copy_to(copy, lambda percent: progress(f"copying: {percent} %"))
            copy.on_progress(lambda: progress("verifying the copy"))
            if copy.execute("PRAGMA quick_check") != [("ok",)]:
                raise StorageError("storage_unavailable", f"the copy of {path} is damaged, as its source may be")


@contextmanager
def new_file(target: Path, *, overwrite: bool) -> Iterator[str]:
    """The path of an empty file that takes the target's name at the end of the block, if nothing is raised.

    Raises BackupRefusedError, OSError.
    """
    _refuse_target(target, overwrite=overwrite)
    partial = str(target.parent / f".{target.name}.{secrets.token_hex(8)}")
    try:
        Path(partial).touch(mode=0o600, exist_ok=False)
        yield partial
        _remove_companions(str(target))
        Path(partial).replace(target)
        _sync_directory(target.parent)
    finally:
        Path(partial).unlink(missing_ok=True)
        _remove_companions(partial)


def _refuse_target(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise BackupRefusedError(f"{target} is in no directory that exists")
    if target.name.endswith(_COMPANIONS):
        raise BackupRefusedError(f"{target} has the name of a write-ahead log or journal; SQLite would take it for one")
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise BackupRefusedError(f"{target} exists; --overwrite replaces it")
    if target.is_symlink() or not target.is_file():
        raise BackupRefusedError(f"{target} is not a regular file")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_companions(path: str) -> None:
    """SQLite would apply the WAL or journal of an older file of this name to the new one."""
    for suffix in _COMPANIONS:
        Path(path + suffix).unlink(missing_ok=True)
