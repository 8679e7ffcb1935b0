"""The message calls and the inbox page as blueprints of a Flask site, inside the site's own request handling."""

from collections.abc import Callable
from http import HTTPMethod
from typing import Any

from flask import Blueprint, Response, current_app, request

from msgsvc.app import App
from msgsvc.routes import IdConverter, host_paths


def blueprint(messages: App) -> Blueprint:
    """A blueprint of the message calls under the prefix of the settings; every other path stays the site's."""
    calls = Blueprint("msgsvc", __name__, url_prefix=messages.services.settings.prefix)
    calls.record(lambda state: state.app.url_map.converters.update(msgsvc_id=IdConverter))
    for path in host_paths("msgsvc_id"):
        calls.add_url_rule(path, path, _view(messages), methods=list(HTTPMethod))
    return calls


def page_blueprint(messages: App) -> Blueprint:
    """A blueprint of the inbox page, at the page's path in the settings."""
    page = Blueprint("msgsvc_page", __name__, url_prefix=messages.services.settings.page)
    for path in ("/", "/<name>"):
        page.add_url_rule(path, path, _view(messages), methods=list(HTTPMethod))
    return page


def _view(messages: App) -> Callable[..., Response]:
    def answer(**_arguments: Any) -> Response:
        status, headers, body = messages.answer(request.environ)
        response = current_app.response_class([body], status, headers)
        if not body:
            # Flask sets a type even where there is no body.
            response.headers.setlist("Content-Type", [value for name, value in headers if name == "Content-Type"])
        return response

    return answer
