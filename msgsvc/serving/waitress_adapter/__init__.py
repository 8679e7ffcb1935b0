"""The only package that uses what waitress does not document: its parser, task, channel and server classes.

setup.cfg bounds the versions of waitress, and tests/serving/test_waitress_internals.py checks the facts used here.
"""
