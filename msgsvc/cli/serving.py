"""The commands that serve: serve and demo."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgsvc.app import create_app
from msgsvc.cli.demo import prepare
from msgsvc.cli.options import opened, say, settings
from msgsvc.serving import logs
from msgsvc.serving.connection_limits import ConnectionLimits
from msgsvc.serving.server import Server


def serve(options: argparse.Namespace) -> None:
    """Serves until a signal ends it."""
    chosen = settings(options)
    limits = ConnectionLimits(chosen.threads)
    with _thread_limit_in_errors():
        logs.configure(chosen.log_format)
    with opened(options, create_app) as app:
        with _thread_limit_in_errors():
            server = Server(app, limits)
        server.run()


def demo(options: argparse.Namespace) -> None:
    """Fills a database with the demo and serves it."""
    limits = ConnectionLimits(settings(options).threads)
    with tempfile.TemporaryDirectory(prefix="msgsvc-demo-") as directory:
        options.database = options.database or str(Path(directory, "messages.db"))
        options.host = "127.0.0.1"
        with opened(options, create_app) as app:
            with _thread_limit_in_errors():
                server = Server(app, limits)
            say(prepare(app, server.url))
            logs.configure(app.services.settings.log_format)
            server.run()


@contextmanager
def _thread_limit_in_errors() -> Iterator[None]:
    """Python says no more than "can't start new thread"."""
    try:
        yield
    except RuntimeError:
        raise OSError("too few processes are allowed for the threads: raise the limit (ulimit -u)") from None
