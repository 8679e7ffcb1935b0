"""Programs that some tests need and that pip does not bring."""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def needs(program: str, hint: str) -> str:
    """The path of a program. Where it is missing, the test is skipped with the hint; with CI=true it fails."""
    beside_python = str(Path(sys.executable).parent)
    path = shutil.which(program, path=os.pathsep.join([beside_python, os.environ.get("PATH", os.defpath)]))
    return path or unavailable(f"{program} is missing: {hint}")


def unavailable(reason: str) -> NoReturn:
    """Ends a test that cannot run here: skipped in one line, or failed with CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
