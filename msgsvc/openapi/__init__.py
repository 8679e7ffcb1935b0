"""The OpenAPI 3.1 document: what every call takes and answers.

``builder`` joins the table of routes with four tables: ``operations``, ``parameters``, ``schemas`` and ``errors``.
"""

from msgsvc.openapi.builder import document

__all__ = ["document"]
