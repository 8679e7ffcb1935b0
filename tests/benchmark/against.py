"""This checkout against another one: every call on both, in turn within each round."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import quantiles

from . import servers
from .calls import CALLS, GROWTH_CALLS, Workload
from .load import Measurement
from .measure import WARM_UP_SECONDS, WARM_UPS, Memory, Plan, Target
from .seed import Seed, open_sessions

ALL_CALLS = list({call.name: call for call in CALLS + GROWTH_CALLS}.values())


@dataclass
class Comparison:
    """The rounds of one call on both checkouts."""

    name: str
    new: list[Measurement] = field(default_factory=list)
    old: list[Measurement] = field(default_factory=list)

    @property
    def cpu_quartiles(self) -> list[float]:
        """CPU time a request, new over old: the lower quartile, the median and the upper quartile of the rounds."""
        ratios = [
            new.cpu_microseconds / old.cpu_microseconds
            for new, old in zip(self.new, self.old, strict=True)
            if new.cpu_microseconds and old.cpu_microseconds
        ]
        if len(ratios) < 2:  # quantiles() needs two
            return (ratios or [float("nan")]) * 3
        return quantiles(ratios, n=4, method="inclusive")


def compare(new: Seed, old: Seed, plan: Plan) -> tuple[list[Comparison], list[Memory]]:
    """The chosen calls, and the memory of the new and the old server. Both servers are pinned to the same core."""
    cores = servers.cores()
    server_on, load_on = (cores.server, cores.load) if cores else (None, None)
    with ExitStack() as stack:
        targets = []
        for seed in (new, old):
            tokens = open_sessions(seed)
            server = stack.enter_context(servers.msgsvc(seed.checkout, seed.path, plan.threads, server_on))
            targets.append(Target(server, Workload(seed, tokens, server.address, plan.rounds + WARM_UPS), load_on))
        before = [target.server.resident_megabytes() for target in targets]
        comparisons = []
        for call in plan.chosen(ALL_CALLS):
            comparison = Comparison(call.name)
            for target in targets:
                target.round(call, min(WARM_UP_SECONDS, plan.seconds))
            for number in range(plan.rounds):
                plan.say(f"{call.name}, round {number + 1} …")
                pairs = list(zip((comparison.new, comparison.old), targets, strict=True))
                # Which of the two goes first alternates, so that neither gains by its place.
                for rounds, target in pairs if number % 2 else reversed(pairs):
                    rounds.append(target.round(call, plan.seconds))
            comparisons.append(comparison)
        after = [target.server.resident_megabytes() for target in targets]
    return comparisons, [Memory(*pair) for pair in zip(before, after, strict=True)]
