"""Every log line of the code is explained in the table of the operating page."""

import ast
import re
from pathlib import Path

import pytest
from processes import CHECKOUT

import msgsvc

OPERATING = CHECKOUT / "docs" / "operating.md"
LEVELS = ("debug", "info", "warning", "error", "exception")


def message_of(call: ast.Call) -> str | None:
    """The text of a call that logs, with … for what is filled in."""
    name = ast.unparse(call.func)
    if name.startswith("logger.") and name.removeprefix("logger.") in LEVELS:
        text = call.args[0]
    elif name == "line_of":
        text = call.args[1]
    else:
        return None
    if isinstance(text, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in text.values)
    return re.sub(r"%[.0-9]*[sdr]", "…", text.value) if isinstance(text, ast.Constant) else None


def messages() -> list[tuple[str, str]]:
    """The file and text of each."""
    trees = {path.name: ast.parse(path.read_text()) for path in sorted(Path(msgsvc.__file__).parent.rglob("*.py"))}
    calls = [(name, node) for name, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(name, message) for name, call in calls if (message := message_of(call))]


def explained() -> list[str]:
    return re.findall(r"^\| `([^`]+)` \| (?:info|warning|error) \| .+ \|$", OPERATING.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize(("file", "message"), messages())
def test_the_operating_page_explains_the_log_line(file: str, message: str) -> None:
    pattern = re.escape(message).replace("…", ".+")
    assert [row for row in explained() if re.fullmatch(pattern, row)], f"{file}: add a row to docs/operating.md"


def test_the_guard_finds_the_log_lines() -> None:
    assert {("server.py", "listening on …"), ("logs.py", "… log lines were lost")} <= set(messages())
