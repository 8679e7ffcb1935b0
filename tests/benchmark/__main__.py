"""``python -m tests.benchmark``: measures, prints the tables, and ends with status 1 where a request failed."""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from . import against, crowd, page, report, servers, victims
from .against import ALL_CALLS
from .commits import compare
from .load import Measurement
from .measure import CallResult, Plan, measure_calls, measure_growth
from .seed import Seed, build
from .servers import Checkout

TINY_MESSAGES, TINY_SIZES = 500, [300, 600]


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description="Measures msgsvc on this machine.")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite", help="(default: sqlite)")
    parser.add_argument("--messages", type=int, default=100_000, help="messages in the database (default: 100000)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round (default: 2)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of each call, of which medians count (default: 5)"
    )
    parser.add_argument("--threads", type=int, default=8, help="threads of the servers (default: 8)")
    sizes = {"type": int, "nargs": "*", "default": [10_000, 100_000, 1_000_000]}
    parser.add_argument("--sizes", **sizes, help="for the growth table (default: 10000 100000 1000000); none skips it")
    known = ", ".join(call.name for call in ALL_CALLS)
    parser.add_argument("--calls", type=_calls, default=[], metavar="NAME,…", help=f"only these of {known}")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--against", type=Path, metavar="DIR", help="compare with the checkout of this project in DIR")
    other.add_argument("--victim", action="store_true", help="measure what a victim sees beside each attack")
    other.add_argument("--page", action="store_true", help="measure how long the page takes to show a full inbox")
    parser.add_argument("--directory", help="where the databases are made, on the disk that is to be measured")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables for the README")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the ratios")
    parser.add_argument("--tiny", action="store_true", help="hardly measure, only see that every call works")
    options = parser.parse_args(arguments)
    if options.engine == "postgresql" and (options.against or options.victim or options.plot):
        parser.error("--against, --victim and --plot are for SQLite")
    if options.tiny:
        options.messages, options.sizes, options.seconds, options.rounds = TINY_MESSAGES, TINY_SIZES, 0.05, 1
    return options


def _calls(value: str) -> list[str]:
    chosen = value.split(",")
    if unknown := set(chosen) - {call.name for call in ALL_CALLS}:
        raise argparse.ArgumentTypeError(f"no such call: {', '.join(sorted(unknown))}")
    return chosen


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
    plan = Plan(options.seconds, options.rounds, options.threads, options.calls, _progress)
    with tempfile.TemporaryDirectory(prefix="msgsvc-benchmark-", dir=options.directory) as directory:
        if options.against:
            return _run_against(options, plan, Path(directory))
        if options.victim:
            return _run_victim(options, Path(directory))
        if options.page:
            return _run_page(options, plan, Path(directory))
        if options.engine == "postgresql":
            return _run_postgresql(options, plan, Path(directory))
        return _run(options, plan, Path(directory))


def _run_against(options: argparse.Namespace, plan: Plan, directory: Path) -> int:
    """Every chosen call on this checkout (new) and on the other one (old)."""
    old = Checkout.at(options.against.resolve())
    _progress(f"two databases of {options.messages:,} messages …")
    new_seed = build(directory / "new.db", options.messages)
    old_seed = build(directory / "old.db", options.messages, old)
    comparisons, memory = against.compare(new_seed, old_seed, plan)
    _progress("")
    lines = [report.memory_line(figures, which) for figures, which in zip(memory, ("new", "old"), strict=True)]
    _print(options, [("New (this checkout) against old", report.against_table(comparisons))], lines)
    return 1 if any(m.errors or not m.latencies for result in comparisons for m in result.new + result.old) else 0


def _run_victim(options: argparse.Namespace, directory: Path) -> int:
    """What a victim sees alone and beside each attack. A bound that is not kept is reported, it fails nothing."""
    scale = crowd.TINY if options.tiny else crowd.Scale()
    _progress(f"a database of {scale.people:,} people …")
    people = crowd.build(directory / "crowd.db", scale)
    measured = list(victims.measure(people, options.seconds, options.threads, _progress))
    _progress("")
    sections = [
        ("A victim alone, and beside one other client", report.victims_table(measured)),
        ("What each attack got", report.attacks_table(measured)),
    ]
    _print(options, sections, [])
    return 1 if any(m.errors or not m.latencies for alone, _ in measured for _, m in alone.probes) else 0


def _run_page(options: argparse.Namespace, plan: Plan, directory: Path) -> int:
    """How long a person waits for a full inbox."""
    _progress(f"a database of {options.messages:,} messages …")
    seed = build(directory / "page.db", options.messages)
    waits = page.measure(seed, plan.rounds, plan.threads)
    _progress("")
    _print(options, [("A full inbox on a processor slowed four times", report.page_table(waits))], [])
    return 0


def _print(options: argparse.Namespace, sections: list[tuple[str, report.Table]], lines: list[str]) -> None:
    """The tables as text, and as Markdown into the file that was asked for."""
    command = shlex.join(["python", "-m", "tests.benchmark", *sys.argv[1:]])
    _say(f"{report.machine()}\n{command}")
    for title, table in sections:
        _say(f"\n{title}\n\n{report.as_text(table)}")
    _say("\n" + "\n".join(lines))
    if options.markdown:
        tables = [f"{title}:\n\n{report.as_markdown(table)}" for title, table in sections]
        text = "\n\n".join([f"`{command}`, {report.machine()}", *tables, " ".join(lines)])
        options.markdown.write_text(text.rstrip() + "\n", encoding="utf-8")


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
    _print(options, shown, lines)
    if options.plot:
        options.plot.write_text(report.as_svg(results), encoding="utf-8")
    return _status(results, growth)


def _run_postgresql(options: argparse.Namespace, plan: Plan, directory: Path) -> int:
    from . import postgresql  # noqa: PLC0415 - it needs the driver

    cores = servers.cores()
    server = postgresql.DatabaseServer(cores.load if cores else None)

    def load(messages: int, name: str) -> postgresql.Database:
        _progress(f"a database of {messages:,} messages …")
        return server.load(build(directory / f"{name}{messages}.db", messages))

    results, figures = postgresql.measure_calls(load(options.messages, "calls"), server, directory, plan)
    databases = [load(messages, "growth") for messages in sorted(options.sizes)]
    growth = postgresql.measure_growth(databases, server, directory, plan) if databases else {}
    _progress("")
    seeds = [database.seed for database in databases]
    sections = [
        (f"Calls, {options.messages:,} messages, 16 connections, server on one core", report.postgresql_table(results)),
        ("Growth, for a person with 2,000 partners", report.growth_table(seeds, growth)),
        ("Size, before the calls", report.sizes_table(figures.sizes, options.messages)),
    ]
    shown = [(title, table) for title, table in sections if len(table) > 1]
    lines = [
        f"PostgreSQL {figures.version} with its default settings, {figures.connections} connections of msgsvc.",
        report.memory_line(figures.memory),
    ]
    _print(options, shown, lines)
    return _status(results, growth)


def _status(results: list[CallResult], growth: dict[str, list[list[Measurement]]]) -> int:
    """1 where a request was not answered as it must be."""
    measured = [m for result in results for m in result.bare + result.pinned + result.free]
    measured += [m for sizes in growth.values() for rounds in sizes for m in rounds]
    return 1 if any(m.errors or not m.latencies for m in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
