"""Attacks on the server, two users at once, runs that are left: refused or contained."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import command_line
import pytest

from analog_fhn.bench.answers.accuracy import accuracy
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.server import ANSWERS, LARGEST_BODY, Server, listening, page_files
from analog_fhn.bench.work import Watch
from analog_fhn.ngspice import batch

SECRET = "/etc/passwd"


class Reply:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])

    @property
    def answers(self) -> list[dict[str, Any]]:
        said = [json.loads(line) for line in self.body.splitlines()]
        assert not [line for line in said if "error" in line], said
        return [line["answer"] for line in said if "answer" in line]


def request(
    server: Server, path: str | None = None, body: object = None, *, raw: bytes | None = None, **headers: str
) -> Reply:
    """Reply to a request under the page's address, or under an absolute path; headers with _ for -."""
    place = urlsplit(server.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=60)
    target = path if path is not None and path.startswith("/") else place.path + (path or "")
    content = raw if raw is not None else None if body is None else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if content is not None:
        names.setdefault("Content-Type", "application/json")
    connection.request("GET" if content is None else "POST", target, content, names)
    try:
        return Reply(connection.getresponse())
    finally:
        connection.close()


def host(server: Server) -> str:
    return urlsplit(server.address).netloc


def test_the_page_and_its_files_come_with_headers_that_keep_others_out(served: Server) -> None:
    for name in ("", *page_files()):
        reply = request(served, name)
        assert reply.status == 200
        assert "default-src 'self'" in reply.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert "server" not in reply.headers
    assert {"index.html", "style.css", "app.js"} <= page_files().keys()


def test_the_page_names_nothing_from_elsewhere() -> None:
    for name, (content, _) in page_files().items():
        addresses = set(re.findall(rb"https?://[^\s\"'`)]+", content))
        assert addresses <= {b"http://www.w3.org/2000/svg"}, name


@pytest.mark.parametrize(
    "path", ["/", "/style.css", "/api/accuracy", "/wrong/", "/wrong/api/accuracy", "/..%2f/", "//"]
)
def test_no_or_another_token(served: Server, path: str) -> None:
    for body in (None, {}):
        reply = request(served, path, body)
        assert reply.status == 403
        assert served.address.rstrip("/").rpartition("/")[2].encode() not in reply.body


def test_a_token_that_is_nearly_right(served: Server) -> None:
    token = urlsplit(served.address).path.strip("/")
    assert len(token) >= 30
    for wrong in (token[:-1], token + "x", token.swapcase(), f"{token}%00"):
        assert request(served, f"/{wrong}/").status == 403


@pytest.mark.parametrize(
    "origin", ["http://example.org", "null", "https://127.0.0.1", "http://127.0.0.1", "http://127.0.0.1:1", "file://"]
)
def test_another_origin(served: Server, origin: str) -> None:
    assert request(served, "api/setup", {}, Origin=origin).status == 403
    assert request(served, "", Origin=origin).status == 403


def test_what_opens_the_browser_leads_to_the_page_once(bench: Bench) -> None:
    with listening(0) as place:
        server = Server(bench, place)
        thread = threading.Thread(target=server.run)
        thread.start()
        once = urlsplit(server.opening).path
        assert request(server, once, Origin="http://example.org").status == 403
        assert request(server, once, Host="evil.example").status == 403
        reply = request(server, once)
        assert (reply.status, reply.headers["location"]) == (303, urlsplit(server.address).path)
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert request(server, once).status == 403
        assert request(server, "//").status == 403
        assert request(server, reply.headers["location"]).status == 200
        server.stop()
        thread.join(20)


def test_its_own_origin(served: Server) -> None:
    assert request(served, "api/setup", {}, Origin=f"http://{host(served)}").status == 200


def test_another_host_is_what_a_rebound_name_sends(served: Server) -> None:
    port = host(served).rpartition(":")[2]
    for name in (f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example", f"127.0.0.2:{port}", ""):
        assert request(served, "", Host=name).status == 403


def test_it_listens_on_this_machine_alone(served: Server) -> None:
    port = int(host(served).rpartition(":")[2])
    assert served._place.getsockname()[0] == "127.0.0.1"
    with pytest.raises(OSError, match=r".*"), socket.create_connection(("127.0.0.2", port), timeout=1):
        pass


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/state.py", "/etc/passwd", "index.html%00.js", "server.py"],
)
def test_a_path_in_the_address(served: Server, path: str) -> None:
    reply = request(served, urlsplit(served.address).path + path)
    assert reply.status in (403, 404)
    assert b"root:" not in reply.body
    assert b"import" not in reply.body


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"technology": SECRET}, f"technology = '{SECRET}': expected one of discrete, memristive, silicon, sky130"),
        ({"technology": "../calibration/discrete.yaml"}, "technology = "),
        ({"values": {"array.device": SECRET}}, "unknown key 'array.device'"),
        ({"values": {"pdk.models": SECRET}}, "unknown key 'pdk.models'"),
        ({"values": {"name": SECRET}}, "unknown key 'name'"),
        ({"values": {"__class__": 1}}, "unknown key '__class__'"),
        ({"network": SECRET}, "unknown key 'network'"),
        ({"dataset": SECRET}, "unknown key 'dataset'"),
        ({"readout": SECRET}, "readout = '/etc/passwd': expected 'vote' or 'mean'"),
    ],
)
def test_a_path_in_a_parameter(served: Server, knobs: dict[str, Any], message: str) -> None:
    reply = request(served, "api/accuracy", knobs)
    assert reply.status == 422
    assert message in reply.error
    assert "root:" not in reply.error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"gamma": NaN}', "gamma = nan: expected -100 to 100"),
        ('{"gamma": 1e999}', "a number beyond the range of double precision"),
        ('{"gamma": -Infinity}', "gamma = -inf: expected -100 to 100"),
        ('{"gamma": "-1"}', "gamma = '-1': expected a number"),
        ('{"gamma": true}', "gamma = True: expected a number"),
        ('{"gamma": [1]}', "gamma = [1]: expected a number"),
        ('{"gamma": 0}', "gamma = 0: the neurons would not see their input"),
        ('{"eps": 1e-9}', "eps = 1e-09: expected 0.001 to 1"),
        ('{"control": 1e9}', "control = 1000000000.0: expected 0.2 to 2000 T"),
        ('{"settle": 0.05}', "settle = 0.05 is no whole number of sampling intervals"),
        ('{"chip": -1}', "chip = -1: expected 0 to"),
        ('{"chip": 1.5}', "chip = 1.5: expected a whole number"),
        (f'{{"chip": 1{"0" * 30}}}', "chip = 1000000000000000000000000000000: expected 0 to"),
        (f'{{"chip": 1{"0" * 5000}}}', "a whole number of 5001 digits"),
        ('{"image": 500}', "image = 500: expected 0 to 499"),
        ('{"neuron": 12}', "neuron = 12: expected 0 to 11"),
        ('{"layer": 1}', "layer = 1: expected 0 to 0"),
        ('{"images": 501}', "images = 501: expected at most 500"),
        ('{"images": 0}', "images = 0: expected 1 to"),
        ('{"values": {"resistor.tolerance": NaN}}', "resistor.tolerance = nan: expected a number"),
        ('{"values": {"resistor.tolerance": "0.1"}}', "resistor.tolerance = '0.1': expected a number"),
        ('{"values": {"resistor.tolerance": 2}}', "resistor.tolerance = 2: expected a number from 0 to 0.999999"),
        ('{"values": {"array.levels": 2.5}}', "array.levels = 2.5: expected a whole number or null"),
        ('{"values": {"array.levels": 1e300}}', "array.levels = 1e+300: expected a whole number or null"),
        ('{"values": {"array.wires.word": -1}}', "array.wires.word = -1: expected a number from 0"),
        ('{"values": 7}', "values = 7: expected"),
        ("[]", "holds no names and values"),
        ("{", "cannot be read as JSON"),
        ("\xff", "cannot be read as JSON"),
        ("[" * 5000, "nested deeper"),
    ],
)
def test_a_number_that_is_not_one(served: Server, text: str, message: str) -> None:
    reply = request(served, "api/waveform", raw=text.encode("latin-1"))
    assert reply.status == 422
    assert message in reply.error
    assert len(reply.error) < 2500


def test_a_yield_run_of_no_number(served: Server) -> None:
    for run, message in (
        ({"chips": 1e9}, "a whole number"),
        ({"chips": 10**9}, "2 to 500"),
        (7, ""),
        ({"seed": 1}, ""),
    ):
        reply = request(served, "api/yield", {"run": run})
        assert reply.status == 422
        assert message in reply.error


def test_a_body_that_is_too_large(served: Server) -> None:
    assert request(served, "api/setup", raw=b"{" + b" " * LARGEST_BODY + b"}").status == 413

    def chunks() -> Any:  # of which no length is told
        for _ in range(40):
            yield b" " * 4096

    place = urlsplit(served.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=20)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", f"{place.path}api/setup", chunks(), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_that_does_not_come(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.bench.server._BODY_SECONDS", 0.2)
    place = urlsplit(served.address)
    head = f"POST {place.path}api/setup HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert b"408" in connection.recv(4096)


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the server writes to the terminal."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio", "analog_fhn.bench.server")]
    for logger in loggers:
        logger.addHandler(handler)
    yield said
    for logger in loggers:
        logger.removeHandler(handler)


def test_what_is_left_or_no_request_at_all_is_not_complained_of(served: Server, complaints: list[str]) -> None:
    place = urlsplit(served.address)
    head = f"POST {place.path}api/setup HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    for sent in (
        f"{head}Content-Length: 100\r\n\r\n{{",
        f"{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{",
        "nothing\r\n\r\n",
    ):
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(sent.encode())
            time.sleep(0.05)
    assert request(served, "api/setup", {}).status == 200
    gc.collect()
    assert complaints == []


def test_a_connection_without_a_request_is_closed(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_fhn.bench.server._HEAD_SECONDS", 0.1)
    place = urlsplit(served.address)
    whole = f"GET /x HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n"
    for sent in ("", "GET /", whole, f"{whole}GET /"):
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(sent.encode())
            received = b""
            while part := connection.recv(4096):
                received += part
            assert received.startswith(b"HTTP/1.1 403") == sent.startswith(whole)


def test_no_more_connections_than_files(served: Server) -> None:
    place = urlsplit(served.address)
    with contextlib.ExitStack() as stack:
        open_ = [stack.enter_context(socket.create_connection((place.hostname, place.port), 20)) for _ in range(200)]
        with contextlib.suppress(ConnectionResetError):
            assert open_[-1].recv(1) == b""
    wait(lambda: request(served, "style.css").status == 200)


def test_an_answer_that_is_no_number_is_said(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "array", lambda *_: {"mean": float("nan")})
    assert "ValueError: this should not happen" in json.loads(request(served, "api/array", {}).body)["error"]


def test_what_a_form_of_another_page_could_send(served: Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert request(served, "api/setup", {}, Content_Type=kind).status == 415
    assert request(served, "api/setup").status == 405
    assert request(served, "api/nothing", {}).status == 404


# --- users at once, and runs that are left -----------------------------------------------------------------------


def test_two_users_at_once_do_not_mix(served: Server, bench: Bench) -> None:
    states = [{"chip": 1 + k, "gamma": -0.7 - 0.1 * k, "images": 100} for k in range(4)]
    expected = [list(accuracy(bench, bench.state(dict(state)), Watch()))[-1]["confusion"] for state in states]
    assert len({json.dumps(one) for one in expected}) > 1
    replies: dict[int, list[Any]] = {k: [] for k in range(4)}

    def user(k: int) -> None:
        for _ in range(3):
            replies[k].append(request(served, "api/accuracy", states[k]).answers[-1]["confusion"])

    users = [threading.Thread(target=user, args=(k,)) for k in range(4)]
    for one in users:
        one.start()
    for one in users:
        one.join()
    assert replies == {k: [expected[k]] * 3 for k in range(4)}


def wait(until: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_run_that_is_left_stops(served: Server) -> None:
    wait(lambda: served.desk.at_work == 0)
    place = urlsplit(served.address)
    body = json.dumps({"images": 500, "run": {"chips": 500}}).encode()
    head = f"POST {place.path}api/yield HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        received = b""
        while received.count(b'"answer"') < 2:
            received += connection.recv(65536)
        assert served.desk.at_work == 1
    wait(lambda: served.desk.at_work == 0)
    assert received.count(b'"answer"') < 400  # it was not at its end
    assert request(served, "api/setup", {}).status == 200


def test_the_server_answers_while_it_computes(served: Server) -> None:
    place = urlsplit(served.address)
    body = json.dumps({"images": 500, "readout": "vote", "chip": 77, "settle": 100.0, "control": 200.0}).encode()
    head = f"POST {place.path}api/accuracy HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait(lambda: served.desk.at_work == 1)
        assert request(served, "style.css").status == 200
        assert served.desk.at_work == 1
    wait(lambda: served.desk.at_work == 0)


# --- the command -----------------------------------------------------------------------------------------------


def test_the_command_serves_until_it_is_interrupted(network_file: Path) -> None:
    command = [sys.executable, "-m", "analog_fhn", "bench", str(network_file), "--dataset", "digits", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", address)
            place = urlsplit(address)
            connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=60)
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"{place.path}api/accuracy", b'{"images": 100}', headers)
            assert json.loads(connection.getresponse().read().splitlines()[-1])["answer"]["images"] == 100
            connection.close()
            # While a run goes on that would take minutes.
            run = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=60)
            run.request("POST", f"{place.path}api/yield", b'{"run": {"chips": 500}}', headers)
            assert json.loads(run.getresponse().readline())
            # And others, whose tables and images take as long.
            state, others = {"readout": "vote", "settle": 2000.0, "control": 2000.0}, []
            for chip in range(7):
                others.append(http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=60))
                others[-1].request("POST", f"{place.path}api/accuracy", json.dumps({**state, "chip": chip}), headers)
            time.sleep(0.5)
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=30)
            for one in (run, *others):
                one.close()
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == ["analog-fhn: interrupted; what was written before is kept"]


def test_simulators_do_not_outlive_the_server(tmp_path: Path) -> None:
    ends: list[Any] = []
    command = ["sh", "-c", "sleep 60 & echo $! > child; wait"]
    thread = threading.Thread(target=lambda: ends.append(batch.program_output(command, tmp_path, 60.0, install="")))
    thread.start()
    wait(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
    batch.stop_all()
    thread.join(20)
    assert ends[0][0] is None
    assert not batch._running


def test_a_port_that_is_taken_is_said(network_file: Path, served: Server) -> None:
    port = urlsplit(served.address).port
    status, out, err = command_line.run("bench", network_file, "--dataset", "digits", "--port", port, "--no-browser")
    assert (status, out) == (2, "")
    assert err.startswith(f"analog-fhn: port {port} of 127.0.0.1: cannot be listened at")
    assert err.count("\n") == 1


def test_files_that_are_wrong_are_said_before_anything_is_served(tmp_path: Path, network_file: Path) -> None:
    for arguments in (
        (tmp_path / "absent.npz", "--dataset", "digits"), (network_file, "--dataset", tmp_path / "absent.npz"),
    ):  # fmt: skip
        status, out, err = command_line.run("bench", *arguments, "--no-browser")
        assert (status, out, err.count("\n")) == (2, "", 1)
