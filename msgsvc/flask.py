"""The message calls as a blueprint of a Flask site, inside the site's own request handling."""

from http import HTTPMethod
from typing import Any

from flask import Blueprint, Response, current_app, request

from msgsvc.app import App
from msgsvc.routes import IdConverter, host_paths


def blueprint(messages: App) -> Blueprint:
    """A blueprint of the message calls under the prefix of the settings; every other path stays the site's."""

    def answer(**_arguments: Any) -> Response:
        status, headers, body = messages.answer(request.environ)
        response = current_app.response_class([body], status, headers)
        if not body:
            # Flask names a type for every body, also for none.
            response.headers.setlist("Content-Type", [value for name, value in headers if name == "Content-Type"])
        return response

    calls = Blueprint("msgsvc", __name__, url_prefix=messages.services.settings.prefix)
    calls.record(lambda state: state.app.url_map.converters.update(msgsvc_id=IdConverter))
    for path in host_paths("msgsvc_id"):
        calls.add_url_rule(path, path, answer, methods=list(HTTPMethod))
    return calls
