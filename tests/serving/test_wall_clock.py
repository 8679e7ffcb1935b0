"""Time limits hold when the wall clock is set back.

On SQLite: the server does not know the engine.
"""

import signal
import socket
from contextlib import ExitStack

import pytest
from served import received, serving

SET_BACK_ON_SIGNAL = """
import signal, time
from msgsvc.serving import connection_limits
wall_clock = time.time
def set_back(*_):
    time.time = lambda: wall_clock() - 3600
    connection_limits.REQUEST_SECONDS = connection_limits.IDLE_SECONDS = 1
signal.signal(signal.SIGUSR1, set_back)
"""
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.fault
def test_incomplete_requests_and_idle_connections_end_though_the_clock_is_set_back(database_path: str) -> None:
    with serving(database_path, prepare=SET_BACK_ON_SIGNAL) as service, ExitStack() as stack:
        idle, incomplete, silent = (
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60)) for _ in range(3)
        )
        incomplete.sendall(HEALTH)
        idle.sendall(HEALTH + b"\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        service.process.send_signal(signal.SIGUSR1)
        for client in (idle, incomplete, silent):
            assert received(client) == b""
        assert service.call("GET", "/healthz").status == 200
        assert service.stop() == 0


SET_BACK_WHILE_STOPPING = """
import itertools, os, signal, time
from msgsvc.middleware import Call
from waitress.task import ThreadedTaskDispatcher
set_thread_count = ThreadedTaskDispatcher.set_thread_count
def set_back_and_stop(dispatcher, count):
    set_thread_count(dispatcher, count)
    if count == 0:
        wall_clock = time.time()
        readings = itertools.chain([wall_clock], itertools.repeat(wall_clock - 3600))
        time.time = lambda: next(readings)
ThreadedTaskDispatcher.set_thread_count = set_back_and_stop
def stop_and_work_for_ever(call):
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        time.sleep(1)
Call.handle = stop_and_work_for_ever
msgsvc.serving.server.DRAIN_SECONDS = 0
"""


@pytest.mark.fault
def test_the_stop_waits_no_longer_for_a_busy_worker_though_the_clock_is_set_back(database_path: str) -> None:
    with (
        serving(database_path, prepare=SET_BACK_WHILE_STOPPING) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=60) as client,
    ):
        client.sendall(b"GET /api/messages/blocks HTTP/1.1\r\nHost: a\r\n\r\n")
        assert service.process.wait(60) == 0
        assert "1 thread(s) still running" in service.log.read_text()
