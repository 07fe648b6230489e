"""Download one file: report progress, resume where it broke off, compare the checksum."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness.data import Say, clients
from harness.data.listing import File
from harness.files import checksum
from harness.schema import Problem

BLOCK = 1 << 20
ATTEMPTS = 5  # at one file in a row, each carrying on where the last one broke off
PROGRESS_SECONDS = 5.0  # between two lines of progress
TIMEOUT = 60.0  # seconds without a byte
BROKEN = (OSError, http.client.HTTPException)  # URLError and timeouts are OSErrors


def download(file: File, folder: Path, say: Say) -> Path:
    """The file in `folder`, whole and with the right checksum; resumes a broken-off download.

    Problem where the server cannot be reached or sends a web page, or the checksum differs.
    """
    path = folder / file.name
    if not path.exists():
        if file.url is not None and clients.has_client(file.url):
            clients.bring(file.url, path, say)
        else:
            _receive_whole(file, path, say)
    try:
        return check_sum(path, file, say)
    except Problem:
        path.unlink()
        raise


def _receive_whole(file: File, path: Path, say: Say) -> None:
    """Receive `file` at `path`, in several attempts if need be; a Problem says why that fails."""
    part = path.with_name(f"{path.name}.part")
    for attempt in range(ATTEMPTS):
        before = _size(part)
        try:
            _receive(file, part, say)
            break
        except urllib.error.HTTPError as error:
            raise Problem(f"{file.url} answers {error.code} {error.reason}") from None
        except BROKEN as error:
            received = _size(part)
            if attempt == ATTEMPTS - 1 or received <= before:
                raise Problem(
                    f"{file.url} broke off after {received:,} bytes ({error}); run this again, "
                    "it carries on"
                ) from None
    os.replace(part, path)
    _note(part).unlink(missing_ok=True)


def check_sum(path: Path, file: File, say: Say) -> Path:
    """`path` itself if its size and checksum are those of `file`, or not known; else a Problem."""
    if file.size is not None and path.stat().st_size != file.size:
        raise Problem(
            f"{path} has {path.stat().st_size:,} bytes instead of {file.size:,}; get it again"
        )
    if file.checksum is None:
        say(f"{file.name}: no published checksum; its counts are checked instead")
        return path
    kind, expected = file.checksum.split(":")
    actual = checksum(path, kind)
    if actual != expected:
        raise Problem(f"{path} has the {kind} {actual} instead of {expected}; get it again")
    return path


def _size(path: Path) -> int:
    """The file's bytes; 0 where there is no such file."""
    return path.stat().st_size if path.exists() else 0


def _note(part: Path) -> Path:
    """The file beside `part` that holds the version and the length of what is being received."""
    return part.with_name(part.name + ".json")


def _resumable(part: Path) -> tuple[int, str, int]:
    """(bytes received, version, length of the file) of a broken-off download, or (0, "", 0)."""
    try:
        note = json.loads(_note(part).read_text())
        received, version, length = part.stat().st_size, str(note["version"]), int(note["length"])
    except (OSError, ValueError, KeyError):
        return 0, "", 0
    return (received, version, length) if received <= length else (0, "", 0)


def _receive(file: File, part: Path, say: Say) -> None:
    """Receive what is missing of `file` into `part`; an OSError where the server breaks off.

    The note beside `part` names the version, so that two versions are never joined.
    """
    if file.url is None:
        raise Problem(f"{file.name} has no address; place it by hand")
    request = urllib.request.Request(file.url, headers={"User-Agent": "python-urllib"})
    received, version, length = _resumable(part)
    if received and received == length:
        return
    if received:
        request.add_header("Range", f"bytes={received}-")
        request.add_header("If-Range", version)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise Problem(f"{file.url} sends a web page in place of the file")
        length = int(answer.headers.get("Content-Length", -1))
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(
            f"bytes {received}-"
        )
        received = received if resumed else 0
        total = received + length if length >= 0 else None
        strong = answer.headers.get("ETag", "W/")
        version = answer.headers.get("Last-Modified") if strong.startswith("W/") else strong
        with part.open("ab" if resumed else "wb") as out:
            if version and total:
                _note(part).write_text(json.dumps({"version": version, "length": total}))
            else:
                _note(part).unlink(missing_ok=True)
            reported = time.monotonic()
            while block := answer.read(BLOCK):
                received += out.write(block)
                if time.monotonic() - reported > PROGRESS_SECONDS:
                    reported = time.monotonic()
                    say(_progress(file.name, received, total))
    if total is not None and received < total:
        raise ConnectionError(f"{received:,} of {total:,} bytes")
    say(_progress(file.name, received, total))


def _progress(name: str, received: int, total: int | None) -> str:
    """A line of progress; `total` is None where the server does not say the length."""
    if total is None:
        return f"{name}: {received / 1e6:,.0f} MB"
    return f"{name}: {received / 1e6:,.0f} of {total / 1e6:,.0f} MB ({100 * received // total} %)"
