"""What is printed and written: tables for a terminal, the README's table, the plot."""

import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from statistics import median

from .against import Comparison
from .load import Measurement
from .measure import CallResult, Memory
from .page import Wait
from .seed import Seed
from .victims import Beside, Probe

GOALS = {"inbox": 0.70, "conversation": 0.55, "unread-304": 0.90, "send": 0.55, "read": 0.55}
"""The ratio to the bare application that each call is to reach."""

POSTGRESQL_GOALS = {
    "inbox": 0.55,
    "conversation": 0.55,
    "unread-304": 0.80,
    "unread": 0.80,
    "send": 0.45,
    "read": 0.45,
    "delete": 0.45,
}
"""The ratio to the bare application with one statement on the database."""

Table = list[Sequence[str]]
"""The first row is the head, the first column the name."""


def machine() -> str:
    """What was measured where, in one line."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("werkzeug", "waitress"))
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {platform.system()} {platform.machine()}, {_processor()}, "
        f"{os.cpu_count()} cores; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {libraries}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown processor"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def _percentiles(rounds: list[Measurement]) -> list[str]:
    """p50 and p99 as medians of the rounds, and the one worst request."""
    worst = max((latency for measured in rounds for latency in measured.latencies), default=float("nan"))
    return [*(milliseconds(median(m.percentile(p) for m in rounds)) for p in (50, 99)), milliseconds(worst)]


def _rate(rounds: list[Measurement]) -> str:
    return f"{median(measured.rate for measured in rounds):,.0f}"


def _cpu(rounds: list[Measurement]) -> str:
    """Microseconds of processor time a request."""
    return f"{median(measured.cpu_microseconds for measured in rounds):.0f}"


def _database_cpu(rounds: list[Measurement]) -> str:
    """Microseconds of processor time of the database server for a request."""
    return f"{median(1e6 * m.database_cpu_seconds / max(1, len(m.latencies)) for m in rounds):.0f}"


def _errors(rounds: list[Measurement]) -> str:
    return str(sum(measured.errors for measured in rounds))


def calls_table(results: list[CallResult]) -> Table:
    """Every call on the pinned server beside the bare application."""
    table: Table = [
        (
            "call",
            "bytes",
            "req/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "errors",
            "CPU µs",
            "bare req/s",
            "ratio",
            "goal",
            "by wrk",
        )
    ]
    for result in results:
        goal = GOALS.get(result.call.name)
        table.append(
            (
                result.call.name,
                str(result.body_bytes),
                _rate(result.pinned),
                *_percentiles(result.pinned),
                _errors(result.pinned),
                _cpu(result.pinned),
                _rate(result.bare),
                f"{result.ratio:.2f}",
                f"{goal:.2f}" if goal else "",
                f"{result.wrk_ratio:.2f}" if result.wrk_ratio else "",
            )
        )
    return table


def postgresql_table(results: list[CallResult]) -> Table:
    """Every call on PostgreSQL beside the bare application with one statement; the CPU of each, and of the server."""
    figures = ("req/s", "p50 ms", "p99 ms", "CPU µs", "server CPU µs")
    head = ("call", "round trips", *figures, "errors", "bare req/s", "bare p50 ms", "bare CPU µs", "bare server CPU µs")
    table: Table = [(*head, "ratio", "goal")]
    for result in results:
        ours, bare = (
            (_rate(rounds), *_percentiles(rounds)[:2], _cpu(rounds), _database_cpu(rounds))
            for rounds in (result.pinned, result.bare)
        )
        table.append(
            (
                result.call.name,
                f"{result.round_trips:.1f}",
                *ours,
                _errors(result.pinned),
                *(bare[0], bare[1], bare[3], bare[4]),
                f"{result.ratio:.2f}",
                f"{POSTGRESQL_GOALS[result.call.name]:.2f}",
            )
        )
    return table


def sizes_table(sizes: list[tuple[str, int, int]], messages: int) -> Table:
    """The bytes that each table takes for a message of the seed."""
    table: Table = [("bytes a message", "table", "with indexes")]
    rows = [*sizes, ("all", *(sum(row[side] for row in sizes) for side in (1, 2)))]
    return table + [(name, f"{alone / messages:.0f}", f"{whole / messages:.0f}") for name, whole, alone in rows]


def free_table(results: list[CallResult]) -> Table:
    """Every call on the server that nobody has pinned."""
    table: Table = [("call", "req/s", "p50 ms", "p99 ms", "max ms", "errors", "CPU µs", "free/pinned")]
    for result in results:
        if result.free:
            figures = (_rate(result.free), *_percentiles(result.free), _errors(result.free), _cpu(result.free))
            table.append((result.call.name, *figures, f"{result.free_ratio:.2f}"))
    return table


def growth_table(seeds: list[Seed], growth: dict[str, list[list[Measurement]]]) -> Table:
    """p50 of each call by the number of messages, and how it compares to the smallest's."""
    table: Table = [("p50 ms", *(f"{seed.messages:,}" for seed in seeds), "errors")]
    for name, sizes in growth.items():
        p50s = [median(measured.percentile(50) for measured in rounds) for rounds in sizes]
        cells = [milliseconds(p50s[0]), *(f"{milliseconds(p50)} (x{p50 / p50s[0]:.2f})" for p50 in p50s[1:])]
        table.append((name, *cells, _errors([measured for rounds in sizes for measured in rounds])))
    return table


def commits_table(commits: dict[str, list[Measurement]]) -> Table:
    """Group commit beside a plain lock."""
    table: Table = [("8 threads", "commits/s", "p50 ms", "p99 ms", "max ms")]
    return table + [(name, _rate(rounds), *_percentiles(rounds)) for name, rounds in commits.items()]


def against_table(comparisons: list[Comparison]) -> Table:
    """Both checkouts side by side: medians of the rounds."""
    figures = ("req/s", "p50 ms", "p99 ms", "CPU µs")
    columns = [f"{which} {figure}" for which in ("new", "old") for figure in figures]
    table: Table = [("call", *columns, "errors", "CPU new/old", "quartiles")]
    for result in comparisons:
        sides = [(_rate(rounds), *_percentiles(rounds)[:2], _cpu(rounds)) for rounds in (result.new, result.old)]
        low, middle, high = result.cpu_quartiles
        ratio = (f"{middle:.3f}", f"{low:.2f} to {high:.2f}")
        table.append((result.name, *sides[0], *sides[1], _errors(result.new + result.old), *ratio))
    return table


def victims_table(measured: list[tuple[Beside, Beside]]) -> Table:
    """What the victim saw just before each attack and beside it, with the bounds of the promise."""
    head = ("attack", "call", "alone p50 ms", "alone p99 ms", "p50 ms", "p99 ms", "max ms", "answered", "failed")
    table: Table = [(*head, "p99 bound", "kept")]
    for alone, beside in measured:
        for (probe, before), (_, during) in zip(alone.probes, beside.probes, strict=True):
            cells = (*_percentiles([before])[:2], *_percentiles([during]), str(len(during.latencies)))
            bound = milliseconds(probe.bound_seconds) if probe.bound_seconds else "none fails"
            kept = "yes" if is_kept(probe, during) else "NO"
            table.append((beside.attack, probe.name, *cells, str(during.errors), bound, kept))
    return table


def page_table(waits: list[Wait]) -> Table:
    """What is seen when, in milliseconds since the navigation began."""
    table: Table = [("cache", "loads", "rows built", "usable at best", "quartile", "median", "quartile")]
    for wait in waits:
        (_, built, _), usable = wait.quartiles()
        least = min(load[-1] for load in wait.loads)
        table.append((wait.cache, str(len(wait.loads)), *(f"{time:.0f}" for time in (built, least, *usable))))
    return table


def is_kept(probe: Probe, measured: Measurement) -> bool:
    """Whether every request was answered as it must be, and the p99 stayed below the bound."""
    is_fast = probe.bound_seconds is None or measured.percentile(99) < probe.bound_seconds
    return is_fast and not measured.errors and bool(measured.latencies)


def attacks_table(measured: list[tuple[Beside, Beside]]) -> Table:
    """What each attack got, and what it cost the server."""
    table: Table = [("attack", "connections held", "answered", "refused", "MB before", "MB at most", "descriptors")]
    for _, beside in measured:
        got = beside.outcome
        megabytes = (f"{beside.megabytes_before:.0f}", f"{beside.peak_megabytes:.0f}")
        figures = (str(got.held), str(got.answered), str(got.refused), *megabytes, str(beside.descriptors))
        table.append((beside.attack, *figures))
    return table


def memory_line(memory: Memory, which: str = "the server") -> str:
    return f"Memory of {which}: {memory.before:.1f} MB before the load, {memory.after:.1f} MB after it."


def migration_line(seed: Seed) -> str:
    return f"`msgsvc migrate` of {seed.messages:,} messages: {seed.migration_seconds:.1f} s."


def as_text(table: Table) -> str:
    """In columns, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in table
    )


def as_markdown(table: Table) -> str:
    head, *rows = table
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


BAR_HEIGHT, BAR_PITCH, CHART_WIDTH, NAME_WIDTH = 18, 34, 460, 110


def as_svg(results: list[CallResult]) -> str:
    """A bar for each call: its requests a second in parts of the bare application's, the goal as a mark."""
    scale = CHART_WIDTH / max(1.0, *(result.ratio for result in results))
    height = 40 + BAR_PITCH * len(results)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {NAME_WIDTH + CHART_WIDTH + 110} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="{NAME_WIDTH}" y="18">'
        "Requests a second, bare waitress + werkzeug = 1; the mark is the goal</text>",
    ]
    for number, result in enumerate(results):
        top = 30 + BAR_PITCH * number
        end = NAME_WIDTH + result.ratio * scale
        after = NAME_WIDTH + max(1.0, result.ratio) * scale + 6
        parts += [
            f'<text x="{NAME_WIDTH - 8}" y="{top + 13}" text-anchor="end">{escape(result.call.name)}</text>',
            f'<rect x="{NAME_WIDTH}" y="{top}" width="{scale:.0f}" height="{BAR_HEIGHT}" fill="#e4e4e7"/>',
            f'<rect x="{NAME_WIDTH}" y="{top}" width="{end - NAME_WIDTH:.0f}" height="{BAR_HEIGHT}" fill="#2563a8"/>',
            f'<text x="{after:.0f}" y="{top + 13}">{result.ratio:.2f}, {_rate(result.pinned)}/s</text>',
        ]
        if result.call.name in GOALS:
            goal = NAME_WIDTH + GOALS[result.call.name] * scale
            parts.append(f'<rect x="{goal:.0f}" y="{top - 3}" width="2" height="{BAR_HEIGHT + 6}" fill="#c2410c"/>')
    return "\n".join([*parts, "</svg>", ""])
