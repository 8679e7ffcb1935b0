"""wrk, where it is installed: a second opinion on what our own load sees."""

import re
import shutil
import subprocess

from .load import CONNECTIONS, Address


def is_usable(seconds: float) -> bool:
    """wrk measures whole seconds."""
    return seconds >= 1 and shutil.which("wrk") is not None


def rate(address: Address, request: bytes, seconds: float) -> float:
    """Answers a second to that request without a body, sent again and again."""
    first_line, *headers = request.decode().strip().split("\r\n")
    url = f"http://{address[0]}:{address[1]}{first_line.split(' ')[1]}"
    options = ["--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds:.0f}s"]
    for header in headers:
        options += ["--header", header]
    output = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"Requests/sec: *([0-9.]+)", output)[0])
