"""The benchmark runs without an error on a small database and writes its report."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parent.parent
CALLS = ["inbox", "conversation", "unread-304", "unread", "send", "read", "delete"]


def run(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments, "--tiny", "--directory", str(directory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_call_is_measured_without_an_error(tmp_path: Path) -> None:
    table, plot = tmp_path / "table.md", tmp_path / "plot.svg"

    done = run(tmp_path, "-m", "tests.benchmark", "--markdown", str(table), "--plot", str(plot))

    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    head, _, *measured = rows[: 2 + len(CALLS)]
    figures = {row[0]: dict(zip(head, row, strict=True)) for row in measured}
    assert list(figures) == CALLS
    for figure in figures.values():
        assert figure["errors"] == "0"
        assert 0 < float(figure["p50 ms"]) <= float(figure["p99 ms"]) <= float(figure["max ms"])
        assert 0 < float(figure["ratio"]) < 10
    assert {"inbox-page-90", "conversation-deep", "plain lock", "group commit"} <= {row[0] for row in rows}
    assert len(list(ET.parse(plot).getroot())) > len(CALLS)


def test_a_call_that_fails_fails_the_benchmark(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.benchmark import __main__ as benchmark, calls, measure;"
        "measure.CALLS = [calls.Call('missing', 200, lambda work: iter([work.request('GET', '/missing')] * 50))];"
        "measure.GROWTH_CALLS = [];"
        "sys.exit(benchmark.main())"
    )

    done = run(tmp_path, "-c", program)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "missing" in done.stdout
