"""What the web server does besides the pages: a cookie for every browser, security headers, a health check."""

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
    "Referrer-Policy": "same-origin",  # whoever has the address of a race may watch it
    # Streamlit's page runs an inline script and compiles its components; nothing comes from, or goes to, another host.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        "frame-ancestors 'self'; base-uri 'self'; object-src 'none'; form-action 'self'"
    ),
}
log = logging.getLogger("ssam.app")


class Guard:
    """ASGI middleware: sets HEADERS, and with every page the cookie that identifies the owner of races.

    The cookie is ``Secure`` if the request came by https. Behind a proxy X-Forwarded-Proto says so, which uvicorn trusts only
    from the addresses in ``FORWARDED_ALLOW_IPS`` (by default this machine).
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
                # The browser may have the page but not the cookie: the answer, "not modified", then has no type.
                if "text/html" in headers.get("content-type", "") + request.headers.get("accept", ""):
                    headers.append("Set-Cookie", _cookie(request))
            await send(message)

        await self.app(scope, receive, send_guarded)


def _cookie(request: HTTPConnection) -> str:
    """Return the cookie with the browser's token, renewed; a new token if there is none or it is not one of ours."""
    known = request.cookies.get(COOKIE, "")
    token = known if re.fullmatch(TOKEN, known) else secrets.token_urlsafe(32)
    secure = "; Secure" if request.url.scheme == "https" else ""
    return f"{COOKIE}={token}; Max-Age={YEAR}; Path=/; HttpOnly; SameSite=Lax{secure}"


def prepare() -> None:
    """Open what every page needs. Exit with one line if a setting or the run database is invalid."""
    try:
        config.teachers()
        services.lab()
    except ValueError as error:
        sys.exit(f"SSAM Lab does not start: {error}")


def health(request: Request) -> JSONResponse:
    """Answer 200 while the run store can be read. A missing runner is reported but no failure: the next page starts one."""
    try:
        lab = services.lab()
        lab.store.queue.jobs()
        return JSONResponse({"status": "ok", "runner": lab.client.runner.is_alive()})
    except (SQLAlchemyError, OSError, ValueError) as error:
        log.error("health: %s", type(error).__name__)  # the message may name paths and hosts
        return JSONResponse({"status": "the run store cannot be read"}, status_code=503)


def tell(error: Exception) -> bool:
    """Show an error in a page to the reader; the server's log has the details."""
    if isinstance(error, SQLAlchemyError | OSError):
        st.error("The run store cannot be reached at the moment. Reload the page later; races continue meanwhile.")
    else:
        st.error(f"Something went wrong in this page ({type(error).__name__}). Reload it; races continue meanwhile.")
    return True


ROUTES = [Route("/health", health)]
MIDDLEWARE = [Middleware(Guard)]
