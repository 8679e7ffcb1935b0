"""Private one-to-one messaging for care teams, as a plain WSGI service."""

from msgsvc.app import create_app, remote_user
from msgsvc.settings import Settings

__all__ = ["Settings", "__version__", "create_app", "remote_user"]

__version__ = "1.0.0"
