"""One browser tab as the server knows it: Streamlit's websocket protocol without a browser.

It behaves like Streamlit's own front end (1.67): cookies first, then a websocket with protobuf messages. Fragments with ``run_every``
are timers of the browser. A timer does not wait for the answer to its last tick; the server answers queued ticks with a single
run.
"""

import asyncio
import http.cookiejar
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NumberInput_pb2 import NumberInput
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.patience import SECONDS

CACHED_RUNS = 2  # the front end discards a message that was not used for so many runs


@dataclass
class Tick:
    """One tick of a timer. ``due`` and ``sent`` are on the monotonic clock; ``latency`` is in seconds from ``sent``, None until answered."""

    fragment: str
    interval: float
    due: float
    sent: float
    latency: float | None = None


@dataclass
class Timer:
    interval: float
    due: float


@dataclass
class Session:
    """A tab that shows ``address/page?query``: ``open`` it, let it ``tick`` any number of times, ``close`` it.

    ``ticks`` are those sent so far; ``received`` counts bytes; ``errors``, one line each, are errors that a reader would have seen and
    violations of the protocol. ``last`` is the last message sent.
    """

    address: str
    query: str
    page: str = ""  # its path; empty for the race page
    ticks: list[Tick] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    received: int = 0
    last: bytes = b""

    async def open(self) -> None:
        """Open the tab and wait until the page has run to its end."""
        self._page, self._run_count = "", 0
        self._timers: dict[str, Timer] = {}
        self._cached: dict[str, tuple[list[str], int]] = {}  # by hash: fragments of the run, and its number
        self._widgets: dict[str, WidgetState] = {}
        # Positions of the popovers. They are never opened, so their contents do not exist.
        self._popovers: set[tuple[int, ...]] = set()
        self._waiting: list[Tick] = []  # sent, but not yet picked up by the server
        self._served: list[Tick] = []  # those of the current run
        self._ready = asyncio.Event()
        token, cookies = await asyncio.to_thread(_cookies, self.address)
        self._socket: ClientConnection = await connect(
            f"ws{self.address.removeprefix('http')}/_stcore/stream",
            origin=self.address,
            subprotocols=["streamlit", token],
            additional_headers={"Cookie": cookies},
            max_size=None,
        )
        self._reader = asyncio.create_task(self._read())
        await self._rerun("")
        await asyncio.wait_for(self._ready.wait(), SECONDS)

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    async def tick(self, until: float, phase: float) -> None:
        """Run the timers until ``until``; the first tick comes after the share ``phase`` of its interval."""
        start = time.monotonic()
        for timer in self._timers.values():
            timer.due = start + phase * timer.interval
        while time.monotonic() < until and not self._reader.done():
            fragment, timer = min(self._timers.items(), key=lambda item: item[1].due, default=("", None))
            wake = min(until, timer.due) if timer else until
            if (wait := wake - time.monotonic()) > 0:
                await asyncio.sleep(min(wait, 0.1))  # the timers may change meanwhile
            elif timer and timer.due <= time.monotonic():
                tick = Tick(fragment, timer.interval, timer.due, time.monotonic())
                self.ticks.append(tick)
                self._waiting.append(tick)
                timer.due += timer.interval
                await self._rerun(fragment)

    async def answered(self, seconds: float) -> None:
        """Wait until every tick has been answered, for at most ``seconds``."""
        deadline = time.monotonic() + seconds
        while (self._waiting or self._served) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    async def _rerun(self, fragment: str) -> None:
        message = BackMsg()
        rerun = message.rerun_script
        rerun.query_string, rerun.page_script_hash = self.query, self._page
        rerun.page_name = "" if self._page else self.page
        rerun.fragment_id, rerun.is_auto_rerun = fragment, bool(fragment)
        rerun.widget_states.widgets.extend(self._widgets.values())
        rerun.cached_message_hashes.extend(self._cached)
        context = rerun.context_info
        context.timezone, context.locale, context.url = "UTC", "en-US", f"{self.address}/{self.page}"
        context.color_scheme = "light"
        context.timezone_offset, context.is_embedded = 0, False
        self.last = message.SerializeToString()
        try:
            await self._socket.send(self.last)
        except ConnectionClosed as error:
            self.errors.append(f"sending: {error}")

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                self.received += len(data)
                self._take(ForwardMsg.FromString(data))
        except ConnectionClosed as error:
            self.errors.append(f"receiving: {error}")

    def _take(self, message: ForwardMsg) -> None:
        fragments = list(message.metadata.run.fragment_ids)
        match message.WhichOneof("type"):
            case "new_session":
                if fragments:
                    self._served += [tick for tick in self._waiting if tick.fragment in fragments]
                    self._waiting = [tick for tick in self._waiting if tick.fragment not in fragments]
                else:
                    self._timers.clear()
                    self._page = message.new_session.page_script_hash
            case "navigation":
                self._page = message.navigation.page_script_hash
            case "page_info_changed":
                self.query = message.page_info_changed.query_string
            case "auto_rerun":
                name, interval = message.auto_rerun.fragment_id, message.auto_rerun.interval
                if name not in self._timers or self._timers[name].interval != interval:
                    self._timers[name] = Timer(interval, time.monotonic() + interval)
            case "stop_auto_rerun":
                for name in message.stop_auto_rerun.fragment_ids:
                    self._timers.pop(name, None)
            case "ref_hash":
                if message.ref_hash not in self._cached:
                    self.errors.append("the server refers to a message that was not kept")
                else:
                    self._cached[message.ref_hash] = (self._cached[message.ref_hash][0], self._run_count)
            case "delta":
                if message.metadata.cacheable:
                    self._cached[message.hash] = (
                        [message.delta.fragment_id] if message.delta.fragment_id else [],
                        self._run_count,
                    )
                self._place(tuple(message.metadata.delta_path), message.delta)
            case "session_event":
                if message.session_event.HasField("script_compilation_exception"):
                    self.errors.append(message.session_event.script_compilation_exception.message)
            case "script_finished":
                self._finish(message.script_finished, fragments)

    def _place(self, path: tuple[int, ...], delta: Delta) -> None:
        if delta.WhichOneof("type") == "add_block":
            is_popover = delta.add_block.WhichOneof("type") == "popover"
            (self._popovers.add if is_popover else self._popovers.discard)(path)
        elif delta.WhichOneof("type") == "new_element" and not any(
            path[: len(popover)] == popover for popover in self._popovers
        ):
            self._see(delta.new_element)

    def _see(self, element: Element) -> None:
        kind = element.WhichOneof("type")
        shown = getattr(element, kind)
        if kind == "exception":
            self.errors.append(f"{shown.type}: {shown.message}")
        elif kind in ("selectbox", "multiselect", "slider", "number_input", "checkbox", "file_uploader"):
            self._widgets[shown.id] = WidgetState(id=shown.id, **_value(kind, shown))

    def _finish(self, status: int, fragments: list[str]) -> None:
        if status == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            return  # another run follows, which answers
        self._run_count += 1
        for name, (of, seen) in list(self._cached.items()):
            if (not fragments or set(of) & set(fragments)) and self._run_count - seen > CACHED_RUNS:
                del self._cached[name]
        now = time.monotonic()
        for tick in self._served:
            tick.latency = now - tick.sent
        self._served = []
        if not fragments:
            self._ready.set()


def _value(kind: str, widget: Any) -> dict[str, Any]:
    """Return what the front end sends as a widget's value: the one set by the page, else the default; empty if there is no value."""
    if kind == "file_uploader":
        return {"file_uploader_state_value": FileUploaderState()}
    given = widget.set_value
    match kind:
        case "selectbox" if given:
            return {"string_value": widget.raw_value} if widget.HasField("raw_value") else {}
        case "selectbox":
            return {"string_value": widget.options[widget.default]} if widget.HasField("default") else {}
        case "multiselect":
            chosen = widget.raw_values if given else [widget.options[index] for index in widget.default]
            return {"string_array_value": {"data": chosen}}
        case "slider":
            return {"double_array_value": {"data": widget.value if given else widget.default}}
        case "number_input":
            name = "value" if given else "default"
            number, whole = getattr(widget, name), widget.data_type == NumberInput.INT
            known = widget.HasField(name)
            return {"int_value" if whole else "double_value": int(number) if whole else number} if known else {}
        case _:
            return {"bool_value": widget.value if given else widget.default}


def _cookies(address: str) -> tuple[str, str]:
    """Make the requests that the browser makes before the websocket. Return the XSRF token and all cookies as one header."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    for path in ("/", "/_stcore/health", "/_stcore/host-config"):
        request = urllib.request.Request(f"{address}{path}", headers={"Accept": "text/html,*/*"})
        with opener.open(request, timeout=SECONDS) as answer:
            answer.read()
    cookies = {cookie.name: cookie.value or "" for cookie in jar}
    return cookies.get("_streamlit_xsrf", ""), "; ".join(f"{name}={value}" for name, value in cookies.items())
