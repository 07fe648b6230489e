from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from harness.schema import Problem
from harness.training import trunks, weights

CONTENT = bytes(range(256)) * 9000  # more than one chunk


@dataclass
class Server:
    url: str
    cut_short: bool = False
    requests: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine that gives CONTENT at /net-1234.pth, whole or cut short."""
    state = Server("")

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            if self.path != "/net-1234.pth":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000] if state.cut_short else CONTENT)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}/net-1234.pth"
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder of checkpoints, moved to an empty place; proxies out of the way."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "hub" / "checkpoints"


def published(url: str) -> weights.Checkpoint:
    return weights.Checkpoint(url, hashlib.sha256(CONTENT).hexdigest())


def test_a_file_is_fetched_once_and_lies_whole_in_the_torch_cache(
    server: Server, cache: Path
) -> None:
    first = weights.fetch(published(server.url))
    second = weights.fetch(published(server.url))
    assert first == second == cache / "net-1234.pth"
    assert first.read_bytes() == CONTENT
    assert server.requests == 1
    assert [item.name for item in cache.iterdir()] == ["net-1234.pth"]


def test_a_file_address_is_fetched_too(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "net-1234.pth"
    source.write_bytes(CONTENT)
    assert weights.fetch(published(source.as_uri())).read_bytes() == CONTENT


REASONS = {
    "wrong content": "gave another file",
    "cut short": f"the connection ended after 1000 of {len(CONTENT)} bytes",
    "not found": "Not Found",
    "no server": "refused",
}


@pytest.mark.parametrize("fault", REASONS)
def test_a_failed_fetch_leaves_nothing_and_says_what_to_put_where(
    fault: str, server: Server, cache: Path
) -> None:
    checkpoint = published(server.url)
    if fault == "wrong content":
        checkpoint = replace(checkpoint, sha256="0" * 64)
    elif fault == "cut short":
        server.cut_short = True
    elif fault == "not found":
        checkpoint = replace(checkpoint, url=server.url.replace("net-", "absent-"))
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        checkpoint = replace(checkpoint, url=f"http://127.0.0.1:{port}/net-1234.pth")
    with pytest.raises(Problem) as raised:
        weights.fetch(checkpoint)
    message = str(raised.value)
    assert "\n" not in message
    assert REASONS[fault] in message
    assert checkpoint.url in message
    wanted = f"put {checkpoint.name} (SHA-256 {checkpoint.sha256}) at {cache / checkpoint.name}"
    assert message.endswith(wanted)
    assert list(cache.iterdir()) == []


def test_an_interrupted_fetch_leaves_nothing(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_descriptor: int) -> None:
        assert len(list(cache.iterdir())) == 1  # the partial file
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        weights.fetch(published(server.url))
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_reported(server: Server, cache: Path) -> None:
    cache.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(Problem, match=r"cannot fetch .* put net-1234\.pth"):
        weights.fetch(published(server.url))
    assert server.requests == 0


def test_a_wrong_file_in_the_cache_is_reported_and_not_loaded(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net-1234.pth").write_bytes(CONTENT[:500])
    with pytest.raises(Problem, match=r"a wrong file; remove it and put net-1234\.pth"):
        weights.fetch(published(server.url))
    assert server.requests == 0


def test_the_published_names_carry_the_start_of_their_checksums() -> None:
    for name in ("resnet18", "resnet50", "bn_inception"):
        checkpoint = trunks.load(name).checkpoint
        assert checkpoint is not None
        start = checkpoint.name.removesuffix(".pth").rsplit("-", 1)[1]
        assert len(checkpoint.sha256) == 64
        assert checkpoint.sha256.startswith(start)
