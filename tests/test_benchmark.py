"""The benchmark runs without an error on a small database and writes its report."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from requirements import needs

from tests.benchmark import report
from tests.benchmark.against import Comparison
from tests.benchmark.load import Measurement
from tests.benchmark.servers import Checkout

ROOT = Path(__file__).parent.parent
CALLS = ["inbox", "conversation", "unread-304", "unread", "send", "read", "delete"]


def run(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments, "--tiny", "--directory", str(directory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def tables(markdown: Path) -> list[list[dict[str, str]]]:
    """The tables of a Markdown file, each row by the names of its columns."""
    found = []
    for block in markdown.read_text(encoding="utf-8").split("\n\n"):
        if block.startswith("|"):
            head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
            found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


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
        assert float(figure["ratio"]) > 0
    assert {"inbox-page-90", "conversation-deep", "plain lock", "group commit"} <= {row[0] for row in rows}
    assert len(list(ET.parse(plot).getroot())) > len(CALLS)


@pytest.mark.postgresql
def test_every_call_is_measured_on_postgresql(tmp_path: Path) -> None:
    table = tmp_path / "table.md"

    done = run(tmp_path, "-m", "tests.benchmark", "--engine", "postgresql", "--markdown", str(table))

    assert done.returncode == 0, done.stdout + done.stderr
    calls, growth, _ = tables(table)
    round_trips = {row["call"]: float(row["round trips"]) for row in calls}
    writes = {"send": 3, "read": 3, "delete": 3}
    assert {name: round_trips[name] for name in writes} == writes
    # Nobody waits for the answer to a ROLLBACK, so the next call may be sent before it.
    assert all(1 <= round_trips[name] <= 2 for name in round_trips.keys() - writes)
    assert all(row["errors"] == "0" and float(row["server CPU µs"]) > 0 for row in calls)
    assert {"inbox-page-90", "conversation-deep"} <= {row["p50 ms"] for row in growth}


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


def test_checkout_is_compared_call_by_call(tmp_path: Path) -> None:
    markdown = tmp_path / "table.md"
    arguments = ["--against", str(ROOT), "--calls", "inbox,send", "--markdown", str(markdown)]

    done = run(tmp_path, "-m", "tests.benchmark", *arguments)

    assert done.returncode == 0, done.stdout + done.stderr
    (rows,) = tables(markdown)
    assert [row["call"] for row in rows] == ["inbox", "send"]
    for row in rows:
        assert row["errors"] == "0"
        assert float(row["new p50 ms"]) > 0
        assert float(row["old p50 ms"]) > 0


def test_cpu_ratio_is_taken_round_by_round() -> None:
    def measured(cpu_seconds: float) -> Measurement:
        return Measurement(latencies=[0.001] * 100, cpu_seconds=cpu_seconds)

    result = Comparison("inbox", new=[measured(s) for s in (2, 9, 1)], old=[measured(s) for s in (1, 3, 1)])

    assert result.cpu_quartiles == [1.5, 2.0, 2.5]


def test_other_checkout_runs_its_own_code_and_environment(tmp_path: Path) -> None:
    (tmp_path / "msgsvc").mkdir()
    (tmp_path / "msgsvc" / "__main__.py").write_text("print(__file__)", encoding="utf-8")

    assert Checkout.at(tmp_path).run() == str(tmp_path / "msgsvc" / "__main__.py")

    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho own interpreter\n", encoding="utf-8")
    python.chmod(0o755)
    assert Checkout.at(tmp_path).run() == "own interpreter"


def test_victim_is_measured_beside_each_attack(tmp_path: Path) -> None:
    markdown = tmp_path / "table.md"

    done = run(tmp_path, "-m", "tests.benchmark", "--victim", "--markdown", str(markdown))

    assert done.returncode == 0, done.stdout + done.stderr
    victims, attacks = tables(markdown)
    probes = ["GET unread", "POST send", "GET /healthz"]
    names = [row["attack"] for row in attacks]
    assert [(row["attack"], row["call"]) for row in victims] == [
        *((name, probe) for name in names for probe in probes),
        ("login flood", "POST login"),
    ]
    assert all(float(row["alone p50 ms"]) > 0 for row in victims)
    held = {row["attack"]: int(row["connections held"]) for row in attacks}
    assert held["largest pages"] == 16
    assert held["admin list"] == 4
    assert all(int(row["answered"]) > 0 for row in attacks if row["attack"] in ("admin list", "openapi.json"))


def test_page_is_measured_until_its_rows_are_painted(tmp_path: Path) -> None:
    needs("chromium", "apt-get install chromium, for the benchmark of the page")
    markdown = tmp_path / "table.md"

    done = run(tmp_path, "-m", "tests.benchmark", "--page", "--markdown", str(markdown))

    assert done.returncode == 0, done.stdout + done.stderr
    (rows,) = tables(markdown)
    assert [row["cache"] for row in rows] == ["revalidated", "none"]
    for row in rows:
        assert 0 < float(row["rows built"]) <= float(row["median"])


def test_bound_is_kept_only_by_fast_answers_without_failures() -> None:
    probe = report.Probe("GET unread", 200, [], bound_seconds=0.020)

    assert report.is_kept(probe, Measurement(latencies=[0.001]))
    assert not report.is_kept(probe, Measurement(latencies=[0.030]))
    assert not report.is_kept(probe, Measurement(latencies=[0.001], errors=1))
    assert not report.is_kept(probe, Measurement())
