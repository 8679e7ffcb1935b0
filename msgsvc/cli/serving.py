"""The commands that serve: serve and demo."""

import argparse
import tempfile
from pathlib import Path

from msgsvc.cli.demo import prepare
from msgsvc.cli.options import opened, settings
from msgsvc.serving import logs
from msgsvc.serving.server import Server


def serve(options: argparse.Namespace) -> None:
    """Serves until a signal ends it."""
    logs.configure(settings(options).log_format)
    with opened(options) as app:
        Server(app).run()


def demo(options: argparse.Namespace) -> None:
    """Fills a database with the demo and serves it."""
    with tempfile.TemporaryDirectory(prefix="msgsvc-demo-") as directory:
        options.database = options.database or str(Path(directory, "messages.db"))
        options.host = "127.0.0.1"
        with opened(options) as app:
            server = Server(app)
            print(prepare(app, server.url), flush=True)
            logs.configure(app.services.settings.log_format)
            server.run()
