"""The caption of a table: what its numbers are, of how many, marked how, and what is amiss."""

from __future__ import annotations

from harness.measure.multiple_comparisons import ALPHA
from harness.protocol import plan
from harness.schema import BASELINES, LDA, WHITENING, Study
from harness.tables import below_untrained, capped, mean_text, origins
from harness.tables.metrics import IN_PERCENT
from harness.tables.repeats import CATEGORIES
from harness.tables.table import MOST_LETTERS, Table


def precision_of(study: Study) -> str:
    """The trunk's precision, and whether it was compiled for training, folded for evaluation."""
    text: str = study.precision
    if study.compile:
        text += ", trunk compiled by torch.compile"
    if study.fold_batch_norm:
        text += ", BatchNorm folded in evaluation"
    return text


def network_of(study: Study) -> str:
    """What embeds the images: the trunk and its weights, or whose features a head is trained on."""
    head = "a linear head"
    if study.head == "mlp":
        head = f"a head with one hidden layer of {study.head_width}"
    alone = f"only {head} is trained"
    if study.on_features:
        return f"frozen features of {study.weights}; {alone}"
    pretrained = " (NOT pretrained)" if study.weights == "none" else ""
    pooled = ", pooled by the trunk itself" if study.pooling == "trunk" else ""
    text = f"{study.trunk}, weights: {study.weights}{pretrained}{pooled}"
    text += f", precision {precision_of(study)}"
    if study.trunk_lr_ratio != 1:
        text += f", the trunk's learning rate {study.trunk_lr_ratio:g} times the head's"
    if study.trains_head_alone:
        return f"frozen features of {text}; {alone}"
    if study.freeze_trunk:
        return f"{text}, frozen; {alone}"
    return text if study.head == "linear" else f"{text}; {head}"


def _chosen(study: Study) -> str:
    """What chose the configurations."""
    if not study.searches:
        return (
            "Nothing was searched: every configuration is fixed in the study's file. The test "
            "classes chose nothing."
        )
    trials = f"{study.trials} trial{'s' * (study.trials > 1)} a loss"
    return (
        "Configuration and epochs were chosen on held-out classes of the trainval half alone: "
        f"{trials}, {study.folds} class-disjoint folds, mean held-out MAP@R; "
        "the search's winning run is none of the repeats. The test classes chose nothing."
    )


def caption(table: Table, unit: str = IN_PERCENT) -> str:
    """What the numbers, in `unit`, are: of how many, chosen on what, marked how, made by what."""
    study = table.study
    cells = [cell for row in table.rows for cell in row.cells.values()]
    counts = {len(cell.scores) for cell in cells if len(cell.scores) > 1}
    n = " or ".join(map(str, sorted(counts))) or "0"
    unit_length = ", each at unit length," if study.normalise_ensemble else ""
    of_category = {
        "aggregate": f"Aggregate: mean of the {study.folds} fold models, each {study.dim}-d.",
        "ensemble": f"Ensemble: their embeddings{unit_length} joined "
        f"({study.folds * study.dim}-d).",
        "complete": f"Complete: one {study.complete_dim}-d model trained on the whole trainval "
        f"half{_rates_of_complete(study)}.",
    }
    lines = [
        f"{table.dataset}, study {study.name}: test scores {unit}{_raw(table)}, mean ± half-width "
        f"of the 95 % t interval over n = {n} repeats (ddof 1). The repeats retrain one "
        "configuration with other seeds: the interval is training noise given that "
        "configuration and this test set, not the noise of the search.",
        *_needed(table),
        *_diagnostics(table),
        _chosen(study),
        " ".join(of_category[category] for category in reversed(table.categories)),
        *_searched(table),
        *_marks(table),
        f"Network: {network_of(study)}.",
    ]
    if study.race:
        lines.append(_race(table))
    lines += capped.line(table.capped)
    lines += below_untrained.line(table)
    lines += origins.lines(row.origins for row in table.rows)
    lines += table.notes
    lines += _survivors(table)
    for row in table.rows:
        lines += warnings(row.loss, row.progress)
    return "\n".join(lines)


def _rates_of_complete(study: Study) -> str:
    """Whose learning rates Complete has, where its head is of another dimension than the folds'."""
    searched = isinstance(study.lr, tuple) or isinstance(study.loss_lr, tuple)
    if not searched or study.complete_dim == study.dim:
        return ""
    scaled = " times sqrt({0} / {1})" if study.complete_lr_scale == "sqrt_dim" else ""
    text = f", with the learning rates that were searched at {{0}}-d{scaled}"
    return text.format(study.dim, study.complete_dim)


def _raw(table: Table) -> str:
    """Which metrics are printed as they are, in words."""
    titles = [metric.title for metric in table.metrics if not metric.share]
    return f" ({', '.join(titles)} as they are)" if titles else ""


def _diagnostics(table: Table) -> list[str]:
    """Of which metrics lower or neither values are better, and which runs lack some."""
    lines = []
    lower = [metric.title for metric in table.metrics if metric.better == "lower"]
    if lower:
        lines.append(f"Lower is better: {', '.join(lower)}.")
    neither = [metric.title for metric in table.metrics if metric.better == "neither"]
    if neither:
        lines.append(
            f"Neither higher nor lower is better, so no best and no test: {', '.join(neither)}."
        )
    for metric in table.metrics:
        counts = [
            f"{row.loss} {row.without[metric.name][0]} of {row.without[metric.name][1]} runs"
            for row in table.rows
            if metric.name in row.without
        ]
        if counts:
            lines.append(
                f"NO {metric.title} recorded: {', '.join(counts)}. A diagnostic is computed when a "
                "run is made, if the study names it then, and some are not defined for some runs."
            )
    return lines


def _searched(table: Table) -> list[str]:
    """How many values each loss's search had to find, with the same number of trials."""
    counts = [f"{row.loss} {len(row.searched)}" for row in table.rows if row.searched]
    if not counts:
        return []
    return [f"Searched dimensions of each loss, learning rates included: {', '.join(counts)}."]


def _closed_forms(table: Table) -> str:
    """What the rows of heads in closed form are, where there are some."""
    losses = {row.loss for row in table.rows}
    meanings = {
        WHITENING: "the trunk's features whitened",
        LDA: "linear discriminants of the trunk's features",
    }
    return "".join(
        f" {name}: {meaning}, fitted to the training classes in closed form, in no test."
        for name, meaning in meanings.items()
        if name in losses
    )


def _marks(table: Table) -> list[str]:
    """What bold, ≈ and letters or ranks mean, and where there was no test."""
    lines = [
        "Bold: best mean. ≈: not separable from the best. Every pair of losses in a column is "
        "tested (paired t over repeats with equal seeds), Holm-corrected over all pairs of the "
        f"column: the chance that any two equal losses are told apart is at most {100 * ALPHA:g} "
        "%, whichever is the best. untrained: the network before training, in no test."
        f"{_closed_forms(table)}",
    ]
    keys = {key for row in table.rows for key in row.cells}
    ranked = (sum(row.cells[key].ranks is not None for row in table.rows) for key in keys)
    most = max(ranked, default=0)
    if most < 2:
        lines.append("No letters: no column has two losses with repeats.")
    elif table.lettered:
        lines.append(
            "Letters, from the same tests: losses that share one are not separable from each "
            "other; a is the group of the best mean."
        )
    else:
        lines.append(
            "#3-17: the loss is between 3rd and 17th in its column, as far as the same tests can "
            f"tell. (Such ranks stand for letters where a column has more than {MOST_LETTERS} "
            "groups of losses that are not separable from each other.)"
        )
    if table.untested:
        pairs = [f"{a} and {b}" for a, b in table.untested[: mean_text.LISTED]]
        more = len(table.untested) - len(pairs)
        pairs += [f"{more} more pairs"] if more else []
        lines.append(
            f"NO TEST in some column of {', '.join(pairs)}: their differences have no spread, "
            "they share fewer than 2 repeats, or those that they share put them the other way "
            "round. They count as not separable (?: from the best)."
        )
    return lines


def _needed(table: Table) -> list[str]:
    """The line on few repeats, of the first metric that is a share of 1; for others it has none."""
    metric = next((metric for metric in table.metrics if metric.share), None)
    if metric is None:
        return []
    columns = {
        row.loss: [mean_text.in_order(row.cells[c, metric.name].scores) for c in CATEGORIES]
        for row in table.rows
        if row.loss not in BASELINES
    }
    return mean_text.needed_line(columns, f"each {metric.title} column")


def _survivors(table: Table) -> list[str]:
    """A warning that names every mean of survivors."""
    marked = {
        (row.loss, category): mean_text.survivors(len(cell.scores), cell.failed)
        for row in table.rows
        for (category, _), cell in row.cells.items()
        if cell.failed
    }
    return mean_text.survivors_line(marked)


def _race(table: Table) -> str:
    study = table.study
    saved = ", ".join(
        f"{row.loss} {row.progress.folds_saved} of {study.trials * study.folds} "
        f"({row.progress.raced_out} of {study.trials} trials raced out)"
        for row in table.rows
        if row.loss not in BASELINES
    )
    return (
        "RACED: trials behind the best one so far were not trained on their other folds, which "
        f"no published protocol does; search runs saved: {saved or 'none'}."
    )


def warnings(loss: str, progress: plan.Progress) -> list[str]:
    """What of a loss's study is unfinished or failed."""
    lines = []
    unfinished = [
        f"{stage} {progress.done[stage]} of {count}"
        for stage, count in progress.planned.items()
        if progress.done[stage] < count
    ]
    if unfinished:
        lines.append(f"UNFINISHED: {loss} ({', '.join(unfinished)} runs).")
    if progress.failures:
        lines.append(f"FAILED: {loss}, {progress.failures} runs (left out of the means).")
    return lines
