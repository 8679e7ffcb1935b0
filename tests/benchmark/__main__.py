"""``python -m tests.benchmark``: measures, prints the tables, and ends with status 1 where a request failed."""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from . import report
from .calls import CALLS, GROWTH_CALLS
from .commits import compare
from .measure import Plan, measure_calls, measure_growth
from .seed import Seed, build

TINY_MESSAGES, TINY_SIZES = 500, [300, 600]


def _options(arguments: list[str]) -> argparse.Namespace:
    names = list(dict.fromkeys(call.name for call in CALLS + GROWTH_CALLS))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description="Measures msgsvc on this machine.")
    parser.add_argument("--messages", type=int, default=100_000, help="messages in the database (default: 100000)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round (default: 2)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of each call, of which medians count (default: 5)"
    )
    parser.add_argument("--threads", type=int, default=8, help="threads of the servers (default: 8)")
    sizes = {"type": int, "nargs": "*", "default": [10_000, 100_000, 1_000_000]}
    parser.add_argument("--sizes", **sizes, help="for the growth table (default: 10000 100000 1000000); none skips it")
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="CALL", help=f"of {', '.join(names)}")
    parser.add_argument("--directory", help="where the databases are made, on the disk that is to be measured")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables for the README")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the ratios")
    parser.add_argument("--tiny", action="store_true", help="hardly measure, only see that every call works")
    options = parser.parse_args(arguments)
    if options.tiny:
        options.messages, options.sizes, options.seconds, options.rounds = TINY_MESSAGES, TINY_SIZES, 0.05, 1
    return options


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()


def main() -> int:
    """Measures what the options ask for; 1 where a request was not answered as it must be."""
    options = _options(sys.argv[1:])
    plan = Plan(options.seconds, options.rounds, options.threads, options.only, _progress)
    with tempfile.TemporaryDirectory(prefix="msgsvc-benchmark-", dir=options.directory) as directory:
        return _run(options, plan, Path(directory))


def _run(options: argparse.Namespace, plan: Plan, directory: Path) -> int:
    def seed(messages: int, name: str) -> Seed:
        _progress(f"a database of {messages:,} messages …")
        return build(directory / f"{name}{messages}.db", messages)

    main_seed = seed(options.messages, "calls")
    results, memory = measure_calls(main_seed, plan)
    commits = compare(main_seed, plan.seconds, plan.rounds)
    seeds = [seed(messages, "growth") for messages in sorted(options.sizes)]
    growth = measure_growth(seeds, plan) if seeds else {}
    _progress("")

    sections = [
        (f"Calls, {options.messages:,} messages, 16 connections, server on one core", report.calls_table(results)),
        ("The same, server on any core", report.free_table(results)),
        ("Growth, for a person with 2,000 partners", report.growth_table(seeds, growth)),
        ("Group commit against a plain lock", report.commits_table(commits)),
    ]
    lines = [report.memory_line(memory), *(report.migration_line(seed) for seed in [main_seed, *seeds])]
    shown = [(title, table) for title, table in sections if len(table) > 1]
    command = shlex.join(["python", "-m", "tests.benchmark", *sys.argv[1:]])
    _say(f"{report.machine()}\n{command}")
    for title, table in shown:
        _say(f"\n{title}\n\n{report.as_text(table)}")
    _say("\n" + "\n".join(lines))

    if options.markdown:
        tables = [f"{title}:\n\n{report.as_markdown(table)}" for title, table in shown]
        text = "\n\n".join([f"`{command}`, {report.machine()}", *tables, " ".join(lines)])
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.plot:
        options.plot.write_text(report.as_svg(results), encoding="utf-8")
    measured = [m for result in results for m in result.bare + result.pinned + result.free]
    measured += [m for sizes in growth.values() for rounds in sizes for m in rounds]
    return 1 if any(m.errors or not m.latencies for m in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
