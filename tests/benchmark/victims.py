"""What a victim sees of the service, alone and beside each attack: every attack on a server that has just started."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import cycle

from . import attacks, servers
from .attacks import Attack, Outcome, get, post
from .crowd import PASSWORD, THERAPIST, VICTIM, Crowd
from .load import Address, Connection, Measurement

PAUSE_SECONDS = 0.005
"""Between an answer and the victim's next request, so that the victim is no load."""


@dataclass(frozen=True)
class Probe:
    """A call of the victim, and the p99 that the contract promises for it beside any other client."""

    name: str
    status: int
    requests: list[bytes]
    bound_seconds: float | None = None
    is_once: bool = False


@dataclass
class Beside:
    """What the victim saw beside one attack, and what the attack cost the server."""

    attack: str
    probes: list[tuple[Probe, Measurement]] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    megabytes_before: float = 0.0
    peak_megabytes: float = 0.0
    descriptors: int = 0


def _probes(crowd: Crowd) -> list[Probe]:
    token = crowd.tokens[VICTIM]
    body = {"recipient": THERAPIST, "content": "Shall we talk about it tomorrow?"}
    return [
        Probe("GET unread", 200, [get("/api/messages/unread", token)], bound_seconds=0.020),
        Probe("POST send", 201, [post("/api/messages/send", body, token)], bound_seconds=0.100),
        Probe("GET /healthz", 200, [get("/healthz")]),
    ]


def _logins(crowd: Crowd) -> Probe:
    """One login of each of the others."""
    bodies = [{"username": name, "password": PASSWORD} for name in crowd.others]
    return Probe("POST login", 200, [post("/api/auth/login", body) for body in bodies], is_once=True)


def measure(crowd: Crowd, seconds: float, threads: int, say: Callable[[str], None]) -> Iterator[tuple[Beside, Beside]]:
    """For each attack: what the victim saw just before it, and beside it."""
    cores = servers.cores()
    server_on, load_on = (cores.server, cores.load) if cores else (None, None)
    for number, attack in enumerate(attacks.attacks(crowd)):
        say(f"{attack.name} …")
        database = shutil.copy(crowd.path, crowd.path.with_name(f"attack{number}.db"))
        with servers.msgsvc(servers.HERE, database, threads, server_on) as server, servers.running_on(load_on):
            alone = _beside(None, server, crowd, seconds, with_logins=attack.is_login)
            yield alone, _beside(attack, server, crowd, seconds, with_logins=attack.is_login)


def _beside(
    attack: Attack | None, server: servers.Server, crowd: Crowd, seconds: float, *, with_logins: bool
) -> Beside:
    result = Beside(attack.name if attack else "alone", megabytes_before=server.resident_megabytes())
    probes = _probes(crowd) + ([_logins(crowd)] if with_logins else [])
    with attacks.under_way(attack, server.address) if attack else nullcontext(Outcome()) as result.outcome:
        descriptors_at_begin = server.open_descriptors()
        result.probes = _measure(probes, server.address, seconds)
        result.descriptors = max(descriptors_at_begin, server.open_descriptors())
        result.peak_megabytes = server.peak_megabytes()
    return result


def _measure(probes: list[Probe], address: Address, seconds: float) -> list[tuple[Probe, Measurement]]:
    """All probes at once, each on a connection of its own."""
    measured = [(probe, Measurement(seconds=seconds)) for probe in probes]
    workers = [threading.Thread(target=_ask, args=(*pair, address)) for pair in measured]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return measured


def _ask(probe: Probe, measurement: Measurement, address: Address) -> None:
    """Asks one request after the other until the seconds are over, or each once."""
    connection: Connection | None = None
    deadline = time.perf_counter() + measurement.seconds
    for request in probe.requests if probe.is_once else cycle(probe.requests):
        asked_at = time.perf_counter()
        try:
            connection = connection or Connection(address, attacks.VICTIMS)
            connection.send(request)
            while not connection.receive():
                pass
            status = connection.status
        except OSError:
            status = b""
        if status == b"%d" % probe.status:
            measurement.latencies.append(time.perf_counter() - asked_at)
        else:
            measurement.errors += 1
        if connection and (not status or connection.ends):
            connection.socket.close()
            connection = None
        if not probe.is_once and time.perf_counter() > deadline:
            break
        time.sleep(PAUSE_SECONDS)
    if connection:
        connection.socket.close()
