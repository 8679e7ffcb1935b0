"""The two measurements over HTTP: every call beside the bare application, and every call as the history grows."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Protocol

from . import servers, wrk
from .calls import CALLS, GROWTH_CALLS, Call, Workload, same_sized
from .load import Measurement, ask, measure
from .seed import Seed, open_sessions

WARM_UP_SECONDS = 0.3
WARM_UPS = 2


class Clock(Protocol):
    """Tells the processor time of a database server."""

    def cpu_seconds(self) -> float: ...


@dataclass(frozen=True)
class Plan:
    """How long and how often is measured, which calls, and what tells of the progress."""

    seconds: float
    rounds: int
    threads: int
    only: list[str]
    say: Callable[[str], None]

    def chosen(self, calls: list[Call]) -> list[Call]:
        """The calls that were asked for."""
        return [call for call in calls if not self.only or call.name in self.only]


@dataclass
class CallResult:
    """The rounds of one call. ``free`` is the server that no one has pinned; empty where none can be pinned."""

    call: Call
    body_bytes: int
    bare: list[Measurement] = field(default_factory=list)
    pinned: list[Measurement] = field(default_factory=list)
    free: list[Measurement] = field(default_factory=list)
    wrk_ratio: float | None = None
    """The ratio as wrk sees it, where it is installed and can send the requests: a check on our own load."""

    round_trips: float | None = None
    """To the database server, for one call; None where there is no such server."""

    @property
    def ratio(self) -> float:
        """Requests a second over those of the bare application: the median of what each round gave."""
        return _ratio(self.pinned, self.bare)

    @property
    def free_ratio(self) -> float:
        """Requests a second of the free server over those of the pinned one."""
        return _ratio(self.free, self.pinned)


def _ratio(ours: list[Measurement], others: list[Measurement]) -> float:
    """Not a number where the others got no answer at all."""
    return median(a.rate / b.rate if b.rate else float("nan") for a, b in zip(ours, others, strict=True))


@dataclass
class Memory:
    """Resident megabytes of the server, before and after the load."""

    before: float
    after: float


class Target:
    """A server with its workload, and the cores for the load against it."""

    def __init__(
        self, server: servers.Server, work: Workload, load_on: set[int] | None, database: Clock | None = None
    ) -> None:
        """With the clock of the database server, where there is one."""
        self.server = server
        self.work = work
        self.database = database
        self._load_on = load_on

    def round(self, call: Call, seconds: float) -> Measurement:
        with servers.running_on(self._load_on):
            return _timed(
                self.server,
                self.database,
                lambda: measure(self.server.address, self.work.take(call), call.status, seconds),
            )


def _timed(server: servers.Server, database: Clock | None, run: Callable[[], Measurement]) -> Measurement:
    before = server.cpu_seconds(), database.cpu_seconds() if database else 0.0
    measurement = run()
    measurement.cpu_seconds = server.cpu_seconds() - before[0]
    measurement.database_cpu_seconds = database.cpu_seconds() - before[1] if database else 0.0
    return measurement


def measure_calls(seed: Seed, plan: Plan) -> tuple[list[CallResult], Memory]:
    """Every call on the pinned server, in turn with the bare application and with a server that nobody has pinned."""
    cores = servers.cores()
    server_on, load_on = (cores.server, cores.load) if cores else (None, None)
    tokens = open_sessions(seed)
    with ExitStack() as stack:
        bare = stack.enter_context(servers.bare(seed.path.with_name("bare.log"), plan.threads, server_on))
        databases = [seed.path, *([_copy(seed.path)] if cores else [])]
        targets = []
        for database, on, load in zip(databases, (server_on, None), (load_on, None), strict=False):
            server = stack.enter_context(servers.msgsvc(seed.checkout, database, plan.threads, on))
            work = Workload(seed, tokens, server.address, plan.rounds + WARM_UPS)
            targets.append(Target(server, work, load))
        pinned = targets[0]
        before = pinned.server.resident_megabytes()
        results = []
        for call in plan.chosen(CALLS):
            plan.say(f"{call.name} …")
            results.append(measure_call(call, bare, targets, load_on, plan))
        memory = Memory(before, pinned.server.resident_megabytes())
    return results, memory


def _copy(database: Path) -> Path:
    return Path(shutil.copy(database, database.with_name(f"free-{database.name}")))


def measure_call(
    call: Call, bare: servers.Server, targets: list[Target], load_on: set[int] | None, plan: Plan
) -> CallResult:
    """One call on each target, in turn with the bare application."""
    example = next(targets[0].work.take(call))
    _, body = ask(targets[0].server.address, example)
    bare_request = same_sized(example, len(body))
    result = CallResult(call, len(body))

    def bare_round(seconds: float) -> Measurement:
        with servers.running_on(load_on):
            return _timed(bare, targets[0].database, lambda: measure(bare.address, repeat(bare_request), 200, seconds))

    warm_up = min(WARM_UP_SECONDS, plan.seconds)
    for target in targets:
        target.round(call, warm_up)
    bare_round(warm_up)
    for _ in range(plan.rounds):
        result.bare.append(bare_round(plan.seconds))
        for target, rounds in zip(targets, (result.pinned, result.free), strict=False):
            rounds.append(target.round(call, plan.seconds))
    if call.is_always_the_same and wrk.is_usable(plan.seconds):
        with servers.running_on(load_on):
            ours = wrk.rate(targets[0].server.address, example, plan.seconds)
            result.wrk_ratio = ours / wrk.rate(bare.address, bare_request, plan.seconds)
    return result


def measure_growth(seeds: list[Seed], plan: Plan) -> dict[str, list[list[Measurement]]]:
    """Every call as the history grows; see compare_sizes."""
    cores = servers.cores()
    server_on, load_on = (cores.server, cores.load) if cores else (None, None)
    with ExitStack() as stack:
        targets = []
        for seed in seeds:
            tokens = open_sessions(seed)
            server = stack.enter_context(servers.msgsvc(seed.checkout, seed.path, plan.threads, server_on))
            targets.append(Target(server, Workload(seed, tokens, server.address, plan.rounds + WARM_UPS), load_on))
        return compare_sizes(targets, plan)


def compare_sizes(targets: list[Target], plan: Plan) -> dict[str, list[list[Measurement]]]:
    """By call: for each size, its rounds. The sizes take turns, so that a noisy minute hits them alike."""
    results = {}
    for call in plan.chosen(GROWTH_CALLS):
        plan.say(f"growth: {call.name} …")
        for target in targets:
            target.round(call, min(WARM_UP_SECONDS, plan.seconds))
        rounds = [[target.round(call, plan.seconds) for target in targets] for _ in range(plan.rounds)]
        results[call.name] = [list(of_size) for of_size in zip(*rounds, strict=True)]
    return results
