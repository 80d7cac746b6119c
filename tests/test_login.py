"""Logging in with a provider (OIDC): a small one made up here, the real server and a real browser."""

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from joserfc import jwk, jwt
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from ssam.store import Store
from tests.browser import PATIENCE, app_server, chromium, end_runner, start_race, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECRETS = """
[auth]
redirect_uri = "{app}/oauth2callback"
cookie_secret = "{cookie_secret}"
client_id = "lab"
client_secret = "not much of one"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


class Provider:
    """Lets everybody in as ``person`` (claims of the identity token) without asking."""

    def __init__(self) -> None:
        self.person: dict[str, object] = {}
        self._key = jwk.RSAKey.generate_key(2048, {"kid": "one"})
        self._nonces: dict[str, str] = {}
        routes = [
            Route("/.well-known/openid-configuration", self._about),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/keys", lambda request: JSONResponse({"keys": [self._key.as_dict(private=False)]})),
        ]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run)

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self._server.started)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _about(self, request: Request) -> JSONResponse:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse(
            {
                "issuer": self.address,
                "id_token_signing_alg_values_supported": ["RS256"],
                **{name: f"{self.address}/{path}" for name, path in ends.items()},
            }
        )

    def _authorize(self, request: Request) -> RedirectResponse:
        asked, code = request.query_params, secrets.token_hex(8)
        self._nonces[code] = asked["nonce"]
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}")

    async def _token(self, request: Request) -> JSONResponse:
        nonce = self._nonces.pop(str((await request.form())["code"]))
        now = int(time.time())
        claims = {"iss": self.address, "aud": "lab", "iat": now, "exp": now + 600, "nonce": nonce, **self.person}
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "expires_in": 600, "id_token": token})


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


def log_in(browser: Browser, address: str) -> Page:
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address + "/?preset=demo")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    return page


def test_who_logs_in_elsewhere_finds_their_races_and_a_teacher_everybodys(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "secrets.toml"
    monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(keys))
    monkeypatch.setenv("SSAM_TEACHERS", "ada@school.example")
    pause = ".st-key-pause_race button"
    with chromium() as browser, app_server(tmp_path) as address:
        keys.write_text(
            SECRETS.format(app=address, provider=provider.address, cookie_secret=secrets.token_hex(16)),
            encoding="utf-8",
        )
        provider.person = {"sub": "1", "email": "student@school.example", "email_verified": True}
        page = log_in(browser, address)
        start_race(page)
        expect(page.locator(pause)).to_be_visible()
        link = page.url
        elsewhere = log_in(browser, address)
        elsewhere.goto(link)
        expect(elsewhere.locator(pause)).to_be_visible()
        elsewhere.get_by_role("button", name="Log out").click()
        expect(elsewhere.get_by_role("button", name="Log in")).to_be_visible()
        elsewhere.goto(link)
        expect(elsewhere.get_by_text("omeone else's race")).to_be_visible()
        expect(elsewhere.locator(pause)).to_have_count(0)
        provider.person = {"sub": "2", "email": "ada@school.example", "email_verified": True}
        teacher = log_in(browser, address)
        teacher.goto(link)
        teacher.locator(".st-key-stop_race button").click()
        store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
        (run,) = store.runs.newest()
        wait_until(lambda: store.runs.get(run.id).state in ("stopped", "finished"))
        assert run.owner not in ("1", "student@school.example")
        store.close()
    end_runner(tmp_path)
