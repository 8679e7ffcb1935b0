"""All schemas of the document, by name."""

from msgsvc.openapi.answers import ANSWERS
from msgsvc.openapi.bodies import BODIES
from msgsvc.openapi.parts import Json
from msgsvc.roles import ROLES

SCHEMAS: Json = {"Role": {"type": "string", "enum": list(ROLES)}, **BODIES, **ANSWERS}
