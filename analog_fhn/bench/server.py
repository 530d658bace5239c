"""The server of the page: on this machine alone, for whoever has its token, one whole state per request."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any

from analog_fhn._support.extras import extra
from analog_fhn._support.json_text import read_object
from analog_fhn.bench.answers.accuracy import accuracy
from analog_fhn.bench.answers.array import array
from analog_fhn.bench.answers.follow import follow
from analog_fhn.bench.answers.response import response
from analog_fhn.bench.answers.waveform import waveform
from analog_fhn.bench.answers.yields import YieldRun, yields
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.commands import commands
from analog_fhn.bench.state import State
from analog_fhn.bench.work import Stopped, Watch
from analog_fhn.errors import InputError, MissingProgramError, RunError
from analog_fhn.ngspice.batch import stop_all

with extra("bench", "the page needs starlette and uvicorn"):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"
LARGEST_BODY = 65_536  # bytes of a request
_BODY_SECONDS = 10.0
_HEAD_SECONDS = 10.0  # without a request until a connection is closed, at most twice that
_CONNECTIONS = 128  # at once; more would use up the process's open files
_LAST_SECONDS = 10.0  # for computations to see that they are stopped, when the server ends
_THREADS = 6
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_log = logging.getLogger(__name__)

Answer = Callable[[Bench, State, Watch], dict[str, Any]]
ANSWERS: dict[str, Answer] = {"waveform": waveform, "response": response, "array": array, "follow": follow}


class Guard:
    """Lets through only what asks under the page's own address, from the page's own origin, with the token.

    Parameters
    ----------
    inner
        What answers, without the token in its paths.
    token
        First part of every path.
    port
        That the server listens at.
    once
        Path that leads to the page's address, once. What starts a browser is read by every user of the machine (`ps`).
    """

    def __init__(self, inner: ASGIApp, token: str, port: int, once: str) -> None:
        self._inner, self._token, self._once = inner, token.encode(), once.encode()
        self._hosts = {f"{name}:{port}".encode() for name in (HOST, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await PlainTextResponse(refusal, 403)(scope, receive, _guarded(send))
            return
        first, _, path = scope["path"].lstrip("/").partition("/")
        if first.encode() != self._token:
            self._once = b""
            await RedirectResponse(f"/{self._token.decode()}/", 303)(scope, receive, _guarded(send))
            return
        inside = dict(scope, path=f"/{path}", raw_path=f"/{path}".encode())
        await self._inner(inside, receive, _guarded(send))

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None: it is not."""
        headers = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "This server answers at its own address alone."
        origins = [value for name, value in headers if name == b"origin"]
        if any(origin != b"http://" + hosts[0] for origin in origins):
            return "This server answers its own page alone."
        first = scope["path"].lstrip("/").partition("/")[0].encode("utf-8", "surrogateescape")
        opens = bool(self._once) and secrets.compare_digest(first, self._once)
        if not (secrets.compare_digest(first, self._token) or opens):
            return "The address of the page has a token in it; analog-fhn bench has printed it."
        return None


def _guarded(send: Send) -> Send:
    """`send` that adds the headers by which browsers keep others out."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message = dict(message, headers=[*message.get("headers", ()), *own])
        await send(message)

    return sent


class Desk:
    """Answers requests: each computation in a thread, stopped as soon as whoever asked is gone.

    Parameters
    ----------
    bench
        What is asked about.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._threads = ThreadPoolExecutor(_THREADS, "bench")
        self._watches: set[Watch] = set()

    @property
    def at_work(self) -> int:
        """Number of computations that have not ended."""
        return len(self._watches)

    def stop(self) -> None:
        """Have all computations end."""
        for watch in list(self._watches):
            watch.stop()

    def close(self) -> None:
        """Stop, for good."""
        self.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def warm_up(self) -> None:
        """Have compiled code loaded before somebody waits for it."""
        watch = Watch()
        self._watches.add(watch)

        def work() -> None:
            with suppress(InputError, MissingProgramError, RunError, Stopped):
                state = self._bench.state({})
                waveform(self._bench, state, watch)
                next(accuracy(self._bench, state, watch))
            self._watches.discard(watch)

        self._threads.submit(work)

    def app(self) -> Starlette:
        """What answers behind the guard."""
        routes = [
            Route("/", self._file, methods=["GET"]),
            Route("/api/{question}", self._ask, methods=["POST"]),
            Route("/{name}", self._file, methods=["GET"]),
        ]
        return Starlette(routes=routes)

    async def _file(self, request: Request) -> Response:
        content = page_files().get(request.path_params.get("name", "index.html"))
        if content is None:
            return PlainTextResponse("There is no such page.", 404)
        body, kind = content
        return Response(body, media_type=kind)

    async def _ask(self, request: Request) -> Response:
        question = request.path_params["question"]
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _error("expected application/json", 415)
        try:
            content = read_object(await _body(request), "request")
            return self._response(question, content)
        except _TooMuch:
            return _error(f"request: expected at most {LARGEST_BODY} bytes", 413)
        except TimeoutError:
            return _error("request: did not come to its end in time", 408)
        except ClientDisconnect:  # nobody reads this
            return _error("request: was left", 400)
        except InputError as error:
            return _error(str(error), 422)

    def _response(self, question: str, content: dict[str, Any]) -> Response:
        """Response that computes and sends; wrong knobs are refused at once."""
        run = YieldRun.read(content.pop("run", {})) if question == "yield" else None
        state = self._bench.state(content)
        bench = self._bench
        if question == "setup":
            return Computed(self, lambda watch: bench.describe(state) | {"commands": commands(bench, state)})
        if question == "commands":
            return Computed(self, lambda watch: commands(bench, state))
        if question == "accuracy":
            return Streamed(self, lambda watch: accuracy(bench, state, watch))
        if run is not None:
            return Streamed(self, lambda watch: yields(bench, state, run, watch))
        if question in ANSWERS:
            answer = ANSWERS[question]
            return Streamed(self, lambda watch: iter([answer(bench, state, watch)]))
        return _error("there is no such question", 404)

    async def run(self, work: Callable[[Watch], Any], receive: Receive, report: Callable[[Any], None]) -> Any:
        """What `work` returns, computed in a thread; stopped if the client goes, or this task is cancelled.

        Parameters
        ----------
        report
            Called in the loop's thread with what is said meanwhile.
        """
        loop = asyncio.get_running_loop()
        watch = Watch(lambda *said: _later(loop, report, said))
        self._watches.add(watch)

        def done() -> Any:
            try:
                watch.look()
                return work(watch)
            finally:
                _later(loop, self._watches.discard, watch)

        future = loop.run_in_executor(self._threads, done)
        future.add_done_callback(_seen)
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({future, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                watch.stop()
            return await future
        finally:
            watch.stop()
            gone.cancel()


class Computed(Response):
    """Response with one JSON object, computed in a thread."""

    def __init__(self, desk: Desk, work: Callable[[Watch], dict[str, Any]]) -> None:
        super().__init__()
        self._desk, self._work = desk, work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            content = await self._desk.run(self._work, receive, lambda said: None)
            answer: Response = JSONResponse(content)
        except Stopped:
            return
        except Exception as error:
            answer = _failure(error)
        await answer(scope, receive, send)


class Streamed(Response):
    """Response with a JSON object per line, sent as they are computed; in between how far the work is.

    Lines are ``{"progress": [what, done, total]}``, ``{"answer": {...}}``, and in place of an answer
    ``{"error": message}``.
    """

    def __init__(self, desk: Desk, work: Callable[[Watch], Iterator[dict[str, Any]]]) -> None:
        super().__init__()
        self._desk, self._work = desk, work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes | None]()
        headers = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        def work(watch: Watch) -> None:
            for answer in self._work(watch):
                watch.look()
                _later(loop, lines.put_nowait, _line({"answer": answer}))

        async def compute() -> None:
            try:
                await self._desk.run(work, receive, lambda said: lines.put_nowait(_line({"progress": said})))
            except Stopped:
                pass
            except Exception as error:
                lines.put_nowait(_line({"error": _message(error)}))
            lines.put_nowait(None)

        task = asyncio.ensure_future(compute())
        try:
            while (line := await lines.get()) is not None:
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            task.cancel()


def _line(content: dict[str, Any]) -> bytes:
    """One line of JSON; a number that JSON has no word for is a ValueError."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _later(loop: asyncio.AbstractEventLoop, call: Callable[[Any], None], value: Any) -> None:
    """Have a loop call something from a thread; a loop that has ended needs it no more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, value)


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at how work has ended, which the loop complains of where whoever asked was gone before."""
    if not future.cancelled():
        future.exception()


class _TooMuch(Exception):
    """A body of more bytes than are read."""


async def _body(request: Request) -> bytes:
    """Body of a request, within its limits of size and time."""
    if int(request.headers.get("content-length", "0") or 0) > LARGEST_BODY:
        raise _TooMuch

    async def read() -> bytes:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > LARGEST_BODY:
                raise _TooMuch
            parts.append(part)
        return b"".join(parts)

    return await asyncio.wait_for(read(), _BODY_SECONDS)


async def _gone(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _error(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status)


def _message(error: Exception) -> str:
    """What people read of an error; of one that nobody expected its traceback goes to the log."""
    if isinstance(error, InputError | MissingProgramError | RunError):
        return str(error)
    _log.error("the bench failed", exc_info=error)
    return f"{type(error).__name__}: this should not happen; the terminal says more"


def _failure(error: Exception) -> Response:
    known = {InputError: 422, MissingProgramError: 503, RunError: 500}
    return _error(_message(error), next((status for kind, status in known.items() if isinstance(error, kind)), 500))


@cache
def page_files() -> dict[str, tuple[bytes, str]]:
    """The page's files by name: content and type. No other file can be asked for."""
    content = {}
    for place in files("analog_fhn.bench").joinpath("page").iterdir():
        kind = _TYPES.get("." + place.name.rpartition(".")[2])
        if kind is not None:
            content[place.name] = (place.read_bytes(), kind)
    return content


def listening(port: int) -> socket.socket:
    """Socket that listens on this machine alone; port 0: any that is free.

    Raises
    ------
    InputError
        If the port cannot be had.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise InputError(
            f"port {port} of {HOST}: cannot be listened at ({error.strerror}); expected a free one, or 0 for any"
        ) from None


class _Connection(H11Protocol):
    """Connection that is closed where no request comes: whoever has no token can hold one open, too."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            transport.abort()
        self._look(since=self)

    def _look(self, since: object) -> None:
        """Close if the request before the awaited one is still the one of the last look."""
        if self.transport.is_closing():
            return
        awaits = self.cycle is None or self.cycle.response_complete
        if awaits and self.cycle is since:
            self.transport.close()
        else:
            self.loop.call_later(_HEAD_SECONDS, self._look, self.cycle if awaits else self)


class _Stopping(uvicorn.Server):
    """Server that lets nobody wait for answers when it ends."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._desk.stop()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # whose requests are cancelled is no failure
        await super().shutdown(sockets)
        # A signal ends the process next, and simulators must not outlive it.
        end = time.monotonic() + _LAST_SECONDS
        while self._desk.at_work and time.monotonic() < end:
            stop_all()
            await asyncio.sleep(0.05)


class Server:
    """The page's server on a socket that listens.

    Parameters
    ----------
    bench
        What is shown.
    place
        See `listening`.

    Attributes
    ----------
    address
        Of the page, with its token.
    opening
        Address that leads there once.
    desk
        What answers.
    """

    def __init__(self, bench: Bench, place: socket.socket) -> None:
        port, token, once = place.getsockname()[1], secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.address, self.opening = (f"http://{HOST}:{port}/{path}/" for path in (token, once))
        self.desk = Desk(bench)
        self._place = place
        config = uvicorn.Config(
            Guard(self.desk.app(), token, port, once), http=_Connection, ws="none", loop="asyncio", lifespan="off",
            log_level="error", access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=64, timeout_graceful_shutdown=1, timeout_keep_alive=30,
        )  # fmt: skip
        self._server = _Stopping(config, self.desk)

    def run(self) -> None:
        """Serve until `stop`, or until the process is interrupted."""
        self.desk.warm_up()
        try:
            self._server.run(sockets=[self._place])
        finally:
            self.desk.close()

    def stop(self) -> None:
        """Have `run` end, from another thread."""
        self._server.should_exit = True


def serve(bench: Bench, port: int, *, browser: bool, say: Callable[[str], None]) -> None:
    """Serve the page until the process is interrupted.

    Parameters
    ----------
    port
        0: any that is free.
    browser
        Whether the page is opened in the user's browser.
    say
        Called with the page's address, when it can be asked for.
    """
    with listening(port) as place:
        server = Server(bench, place)
        say(server.address)
        if browser:
            # Beside the server: where only a browser of the terminal is found, this waits for its end.
            threading.Thread(target=webbrowser.open, args=(server.opening,), daemon=True).start()
        server.run()
