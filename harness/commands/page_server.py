"""A page on 127.0.0.1 that is made again when records have changed; read-only."""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.schema import Problem

HOST = "127.0.0.1"
SECONDS = 5.0  # between two looks at the records, at the least
REST = 5  # times as long as a page took, so that the study keeps the processors


def version_of(folders: Iterable[Path]) -> str:
    """A text that changes when a file of these folders does, or when one comes or goes."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.glob("*.json*")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


@dataclass
class Shown:
    """The page as it is served, the records' version that it shows, the seconds that it took."""

    text: str = ""
    version: str = ""
    seconds: float = 0.0


def serve(
    make: Callable[[], str],
    version: Callable[[], str],
    *,
    port: int,
    say: Callable[[str], None],
    seconds: float = SECONDS,
) -> None:
    """Serve the page until Ctrl-C; Problem if the port is taken or there is no page to begin with.

    `make` gives the page, `version` what it is made from: it is made again when that changes. A
    later Problem is printed, and the last page stays.
    """
    shown = Shown(version=version())
    try:
        server = http.server.ThreadingHTTPServer((HOST, port), handler_of(shown))
    except OSError as error:
        raise Problem(
            f"--port {port} cannot be served on ({error.strerror}); give another one, or 0 for any "
            "that is free"
        ) from None
    with server:
        shown.text = make()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say(f"http://{HOST}:{server.server_address[1]}/ (Ctrl-C ends it)")
        try:
            while True:
                time.sleep(max(seconds, REST * shown.seconds))
                _make_again(shown, make, version, say)
        finally:
            server.shutdown()


def _make_again(
    shown: Shown, make: Callable[[], str], version: Callable[[], str], say: Callable[[str], None]
) -> None:
    now = version()
    if now == shown.version:
        return
    started = time.monotonic()
    try:
        shown.text = make()
    except Problem as problem:
        say(f"the page stays as it is: {problem}")
    shown.version, shown.seconds = now, time.monotonic() - started


def handler_of(shown: Shown) -> type[http.server.BaseHTTPRequestHandler]:
    """What answers requests: the page at /, its version at /version, nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0]
            if host not in (HOST, "localhost"):  # another site's name that points here
                self.send_error(403)
            elif self.path == "/":
                self._answer(shown.text, "text/html; charset=utf-8")
            elif self.path == "/version":
                self._answer(shown.version, "text/plain; charset=utf-8")
            else:
                self.send_error(404)

        def _answer(self, text: str, kind: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of requests."""

    return Handler
