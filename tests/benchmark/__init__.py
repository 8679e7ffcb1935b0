"""The benchmark: ``python -m tests.benchmark``, from the top of the repository.

It asks the service every call over real sockets and asks a bare waitress + werkzeug application for an answer of the
same size in turn with it, so that the ratio between the two says what msgsvc adds, whatever machine this is.
"""
