"""What the web server does beside the pages: a cookie for every browser, headers that keep others out, a health check."""

import logging
import re
import secrets
import sys

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.shell import services
from app.shell.identity import COOKIE, TOKEN
from ssam import config

YEAR = 365 * 24 * 3600  # seconds that a browser keeps its cookie after the last visit
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address of a race is what lets others watch it
    # Streamlit's page starts an inline script and compiles its components; nothing comes from, or goes to, another host.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        "frame-ancestors 'self'; base-uri 'self'; object-src 'none'; form-action 'self'"
    ),
}
log = logging.getLogger("ssam.app")


class Guard:
    """ASGI middleware: sets HEADERS, and with every page the cookie that says whose races are whose.

    The cookie is ``Secure`` where the request came by https. Behind a proxy that is what X-Forwarded-Proto says, which uvicorn
    believes of the addresses in ``FORWARDED_ALLOW_IPS`` only (by default this machine).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = HTTPConnection(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                # The browser may have the page and not the cookie: then the answer, "not modified", has no type.
                if "text/html" in headers.get("content-type", "") + request.headers.get("accept", ""):
                    headers.append("Set-Cookie", _cookie(request))
            await send(message)

        await self.app(scope, receive, send_guarded)


def _cookie(request: HTTPConnection) -> str:
    """The browser's token once more, so that it stays; a new one where there is none, or what nobody here has made."""
    known = request.cookies.get(COOKIE, "")
    token = known if re.fullmatch(TOKEN, known) else secrets.token_urlsafe(32)
    secure = "; Secure" if request.url.scheme == "https" else ""
    return f"{COOKIE}={token}; Max-Age={YEAR}; Path=/; HttpOnly; SameSite=Lax{secure}"


def prepare() -> None:
    """Opens what every page needs. Ends the program with one line where a setting or the run database is bad."""
    try:
        config.teachers()
        services.lab()
    except ValueError as error:
        sys.exit(f"SSAM Lab does not start: {error}")


def health(request: Request) -> JSONResponse:
    """200 while the run store can be read. That no runner lives is said, but is no failure: the next page starts one."""
    try:
        lab = services.lab()
        lab.store.queue.jobs()
        return JSONResponse({"status": "ok", "runner": lab.client.runner.is_alive()})
    except (SQLAlchemyError, OSError, ValueError) as error:
        log.error("health: %s", type(error).__name__)  # its text may name paths and hosts
        return JSONResponse({"status": "the run store cannot be read"}, status_code=503)


def tell(error: Exception) -> bool:
    """What a reader sees of an error in a page. The server's log has the rest."""
    if isinstance(error, SQLAlchemyError | OSError):
        st.error("The run store cannot be reached at the moment. Reload the page in a while; races go on meanwhile.")
    else:
        st.error(f"Something went wrong in this page ({type(error).__name__}). Reload it; races go on meanwhile.")
    return True


ROUTES = [Route("/health", health)]
MIDDLEWARE = [Middleware(Guard)]
