from __future__ import annotations

import hashlib
import http.server
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

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


def a_trunk() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_early_torch_versions_load(zipped: bool, tmp_path: Path) -> None:
    """Vectors with a leading axis of 1, no counters of batches, a classifier, the old format."""
    source, target = a_trunk(), a_trunk()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    state = {
        key: value[None] if value.ndim == 1 else value
        for key, value in source.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    state["fc.weight"] = torch.ones(7, 4)
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=zipped)
    weights.load(target, tmp_path / "old.pth", unused=("fc.",))
    for key, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[key]), key


def test_a_state_that_does_not_fit_is_reported_with_its_first_difference(tmp_path: Path) -> None:
    state = a_trunk().state_dict()
    path = tmp_path / "other.pth"
    faults = {
        r"0\.weight is missing \(1 difference": {k: v for k, v in state.items() if k != "0.weight"},
        r"fc\.weight is not expected": {**state, "fc.weight": torch.ones(2, 2)},
        r"1\.bias is \[5\], expected \[4\]": {**state, "1.bias": torch.ones(5)},
    }
    for message, wrong in faults.items():
        torch.save(wrong, path)
        with pytest.raises(Problem, match=message):
            weights.load(a_trunk(), path)


def test_what_is_no_state_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with pytest.raises(Problem, match=re.escape(f'weights = "{path}": no such file; give')):
        weights.read(path)
    for content in (b"", b"<html>not here</html>", CONTENT):
        path.write_bytes(content)
        with pytest.raises(Problem, match=r"a\.pth holds no state_dict of tensors"):
            weights.read(path)
    torch.save([1, 2], path)
    with pytest.raises(Problem, match="holds no state_dict of tensors"):
        weights.read(path)


def test_a_file_of_weights_is_told_of_by_path_and_checksum(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert weights.identity(str(path)) == f"{path} (sha256 {digest})"
    assert weights.identity("none") == "none"
