"""Download one file: progress, resume from where it broke off, checksum."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness.data.listing import File
from harness.schema import Problem

BLOCK = 1 << 20
ATTEMPTS = 5  # downloads of one file in a row, each carrying on where the last one broke off
TELL_EVERY = 5.0  # seconds
TIMEOUT = 60.0  # seconds without a byte
BROKEN = (OSError, http.client.HTTPException)  # URLError and timeouts are OSErrors
Say = Callable[[str], None]


def download(file: File, folder: Path, say: Say) -> Path:
    """The file in `folder`, whole and with the right checksum; carries on a broken-off download.

    Problem where the server cannot be reached, sends a web page, or the checksum is another.
    """
    path, part = folder / file.name, folder / f"{file.name}.part"
    if not path.exists():
        for attempt in range(ATTEMPTS):
            had = part.stat().st_size if part.exists() else 0
            try:
                _receive(file, part, say)
                break
            except urllib.error.HTTPError as error:
                raise Problem(f"{file.url} answers {error.code} {error.reason}") from None
            except BROKEN as error:
                have = part.stat().st_size if part.exists() else 0
                if attempt == ATTEMPTS - 1 or have <= had:
                    raise Problem(
                        f"{file.url} broke off after {have:,} bytes ({error}); run this again, it "
                        "carries on"
                    ) from None
        os.replace(part, path)
        _note(part).unlink(missing_ok=True)
    try:
        return check_sum(path, file, say)
    except Problem:
        path.unlink()
        raise


def check_sum(path: Path, file: File, say: Say) -> Path:
    """`path` itself, where its checksum is that of `file`, if one is known; else a Problem."""
    if file.checksum is None:
        say(f"{file.name}: no published checksum; its counts are checked instead")
        return path
    kind, wanted = file.checksum.split(":")
    with path.open("rb") as content:
        given = hashlib.file_digest(content, kind).hexdigest()
    if given != wanted:
        raise Problem(f"{path} has the {kind} {given} instead of {wanted}; get it again")
    return path


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _left_off(part: Path) -> tuple[int, str, int]:
    """(bytes received, version, length of the whole) of a broken-off download, or (0, "", 0)."""
    try:
        told = json.loads(_note(part).read_text())
        have, version, length = part.stat().st_size, str(told["version"]), int(told["length"])
    except (OSError, ValueError, KeyError):
        return 0, "", 0
    return (have, version, length) if have <= length else (0, "", 0)


def _receive(file: File, part: Path, say: Say) -> None:
    """Receive the rest of `file` into `part`; raises an OSError where the server breaks off.

    The note beside `part` holds the version and length of what is being received: a rest of
    another version is not appended.
    """
    if file.url is None:
        raise Problem(f"{file.name} has no address; place it by hand")
    request = urllib.request.Request(file.url, headers={"User-Agent": "python-urllib"})
    have, version, length = _left_off(part)
    if have and have == length:
        return
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise Problem(f"{file.url} sends a web page in place of the file")
        length = int(answer.headers.get("Content-Length", -1))
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(
            f"bytes {have}-"
        )
        have = have if resumed else 0
        total = have + length if length >= 0 else None
        strong = answer.headers.get("ETag", "W/")
        version = answer.headers.get("Last-Modified") if strong.startswith("W/") else strong
        with part.open("ab" if resumed else "wb") as out:
            if version and total:
                _note(part).write_text(json.dumps({"version": version, "length": total}))
            else:
                _note(part).unlink(missing_ok=True)
            told = time.monotonic()
            while block := answer.read(BLOCK):
                have += out.write(block)
                if time.monotonic() - told > TELL_EVERY:
                    told = time.monotonic()
                    say(_progress(file.name, have, total))
    if total is not None and have < total:
        raise ConnectionError(f"{have:,} of {total:,} bytes")
    say(_progress(file.name, have, total))


def _progress(name: str, have: int, total: int | None) -> str:
    if total is None:
        return f"{name}: {have / 1e6:,.0f} MB"
    return f"{name}: {have / 1e6:,.0f} of {total / 1e6:,.0f} MB ({100 * have // total} %)"
