"""Commands that run in a mount namespace of their own, where this machine allows one."""

import subprocess
from functools import cache

from requirements import unavailable


def with_mounts(*commands: str) -> tuple[str, ...]:
    """A command prefix: the shell commands are run first, in a mount namespace that ends with the process."""
    if not _allowed():
        unavailable("no mount namespace can be made here: run the tests as root, with unshare of util-linux")
    return ("unshare", "--mount", "sh", "-c", " && ".join([*commands, 'exec "$@"']), "sh")


def with_read_only_root(writable: str) -> tuple[str, ...]:
    """A command prefix: only this directory can be written, so there is no directory for temporary files."""
    read_only = (
        # Every mount but the pseudo file systems, which need no room and cannot hold temporary files.
        "for point in $(awk '$3 !~ /^(proc|sysfs|devpts|cgroup2?|mqueue|securityfs|debugfs|tracefs|bpf)$/ "
        f'&& $2 != "{writable}" {{print $2}}\' /proc/mounts); do mount -o remount,bind,ro "$point" || true; done'
    )
    return with_mounts(
        f"mount --bind '{writable}' '{writable}'", f"({read_only}) 2>/dev/null", "cd /", "! touch /tmp/x 2>/dev/null"
    )


@cache
def _allowed() -> bool:
    try:
        made = subprocess.run(
            ["unshare", "--mount", "mount", "--bind", "/tmp", "/tmp"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return made.returncode == 0
