"""The caption's lines on what was checked of the records, and which of them were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.protocol import likeness
from harness.schema import Record

CHECK = "`python -m harness check`"


def notes(
    records: Mapping[str, Sequence[Record]], left_out: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """What was checked; `left_out` is loss -> key -> why the record is in no number."""
    n_records = sum(map(len, records.values()))
    undigested = sum(record.digest is None for of_loss in records.values() for record in of_loss)
    older = f" ({undigested} older records have none)" if undigested else ""
    lines = [
        f"Checked of {n_records} records: address, study, dataset, seeds, the winner's params, the "
        f"epochs of Complete, sums by class, ranges, digests of content{older}. Not checked here: "
        f"the proposals, which {CHECK} makes again, and the scores, which `verify` trains again."
    ]
    for loss, reasons in left_out.items():
        key, reason = next(iter(reasons.items()))
        lines.append(
            f"LEFT OUT of {loss}: {len(reasons)} records that are not what the study gives; the "
            f"first is {key}: {reason}. {CHECK} lists them, and what to do."
        )
    for loss, of_loss in records.items():
        mixed = likeness.mixed(of_loss)
        if mixed:
            values = "; ".join(
                f"{name} {' and '.join(f'{value} ({n})' for value, n in counts.items())}"
                for name, counts in mixed.items()
            )
            lines.append(f"MIXED: the row {loss} averages records of unlike making: {values}.")
    return lines
