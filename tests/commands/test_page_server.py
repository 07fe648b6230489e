from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time

import pytest

from harness.commands import page_server
from harness.schema import Problem
from tests.made import HANGS


@contextlib.contextmanager
def served(make, version):
    """A server in a thread: its port, and what it said."""
    lines: list[str] = []
    ended = threading.Event()

    def version_or_end():
        if ended.is_set():
            raise KeyboardInterrupt
        return version()

    def serve():
        with contextlib.suppress(KeyboardInterrupt):
            page_server.serve(make, version_or_end, port=0, say=lines.append, seconds=0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while not lines:
            time.sleep(0.01)
            assert thread.is_alive()
        yield int(lines[0].split("/")[2].split(":")[1]), lines
    finally:
        ended.set()
        thread.join()


def answer(port, path="/", method="GET", host=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    response = connection.getresponse()
    return response.status, response.read().decode()


def wait_for(port, path, text):
    deadline = time.monotonic() + HANGS
    while answer(port, path)[1] != text:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_page_is_made_again_when_its_version_changes_and_only_then():
    made, versions = [], ["a"]

    def make():
        made.append(versions[-1])
        return f"page {versions[-1]}"

    with served(make, lambda: versions[-1]) as (port, lines):
        assert answer(port) == (200, "page a")
        assert answer(port, "/version") == (200, "a")
        time.sleep(0.1)
        assert made == ["a"]
        versions.append("b")
        wait_for(port, "/version", "b")
        assert answer(port) == (200, "page b")
        assert made == ["a", "b"]
    assert lines == [f"http://127.0.0.1:{port}/ (Ctrl-C ends it)"]


def test_the_last_page_stays_when_a_new_one_cannot_be_made():
    versions = ["a"]

    def make():
        if versions[-1] == "b":
            raise Problem("a record is torn")
        return "page"

    with served(make, lambda: versions[-1]) as (port, lines):
        versions.append("b")
        wait_for(port, "/version", "b")
        assert answer(port) == (200, "page")
        assert lines[1:] == ["the page stays as it is: a record is torn"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"path": "/../../etc/passwd"}, 404),
        ({"path": "/report.html"}, 404),
        ({"method": "POST"}, 501),
        ({"method": "DELETE"}, 501),
        ({"host": "evil.example:80"}, 403),
    ],
)
def test_nothing_but_the_page_is_served_and_to_no_other_name(words, status):
    with served(lambda: "page", lambda: "a") as (port, _):
        assert answer(port, **words)[0] == status


def test_a_port_that_is_taken_is_said_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match=f"--port {port} cannot be served on .*; give another"):
            page_server.serve(lambda: "page", lambda: "a", port=port, say=print)


def test_a_version_changes_with_every_record(tmp_path):
    (tmp_path / "warped.jsonl").write_text("1\n")
    before = page_server.version_of([tmp_path])
    assert page_server.version_of([tmp_path]) == before
    with (tmp_path / "warped.jsonl").open("a") as file:
        file.write("2\n")
    after = page_server.version_of([tmp_path])
    assert after != before
    (tmp_path / "contrastive.jsonl").write_text("")
    assert page_server.version_of([tmp_path]) not in (before, after)
