"""Images or a table that were moved go on with the records that were made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.data import moved, named_options
from harness.records import folder


def name_in_records(
    name: str,
    fingerprint: str,
    study: str,
    *,
    results: Path,
    data_root: Path,
    notify: Callable[..., None],
) -> str:
    """The name under which records of these images already lie, else `name` itself.

    They are the same images if the fingerprint is the same and the earlier place is empty; seeds
    come from the name, so it stays. Images that are still at an earlier place are another dataset,
    a copy: only a line says so.
    """
    reading = named_options.read(name)
    place = reading.place
    if place is None or (folder.folder_of(results, study, name) / "study.json").exists():
        return name
    for path in sorted((results / study).glob(f"{reading.kind}-*/study.json")):
        description = folder.read_description(path.parent) or {}
        earlier = named_options.read(str(description.get("dataset", "")))
        if description.get("fingerprint") != fingerprint or earlier.place is None:
            continue
        if (earlier.options, earlier.skip_bad) != (reading.options, reading.skip_bad):
            continue
        if earlier.place.exists():
            notify(
                "line",
                f"{name} holds the same images as {earlier}, of which {path.parent} has "
                "records; both are there, so this one gets records of its own",
            )
            continue
        moved.remember(earlier.place.resolve(), place.resolve(), data_root)
        notify(
            "line",
            f"{name} has the fingerprint {fingerprint} of {earlier}, which is no longer "
            f"there: it was moved, and its records in {path.parent} go on under their name",
        )
        return str(earlier)
    return name
