"""Settings behind a number: which are known, and how many points each is known to be worth."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

from harness.audit.claims import Claim
from harness.schema import Problem, Study

SETTINGS = (
    "trunk",
    "dim",
    "crop",
    "pretrained",
    "tuned_on",
    "test_epoch",
    "bn_frozen",
    "pooling",
    "extra_components",
    "n_runs",
)
UNKNOWN = {"", "None", "unknown", "unspecified"}
AS_GROUPED = "(as grouped)"  # marks a trunk that only the quoting table names
CROP_GROUPS = {
    "224": "224 or 227",
    "227": "224 or 227",
    "small_unspecified": "224 or 227",
    "256": "256",
    "large_unspecified": "256",
}
UNFAIR = {
    "better_architecture_undisclosed",
    "higher_dimension_undisclosed",
    "omitted_detail",
    "larger_crop_than_competitors",
    "code_uses_random_resized_crop",
}
UnequalSettings = dict[str, tuple[str, str]]  # setting -> (value of the one, value of the other)
EffectKey = tuple[str, str, str, str, str]  # setting, low, high, dataset, metric


@dataclass(frozen=True)
class MethodFact:
    """What is known of how a method's numbers came about, such as what its released code does.

    It holds of the numbers `reported_by` its authors. The fact "best_test_epoch_kept" means that
    the epoch was picked on the test classes.
    """

    method: str
    reported_by: str
    fact: str
    detail: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Points that a metric gains when one setting goes from `low` to `high`, all else equal.

    It is the median over `n` pairs of printed numbers, or one value from the `source`.
    """

    setting: str
    low: str
    high: str
    dataset: str
    metric: str
    points: float
    n: int
    source: str

    @property
    def key(self) -> EffectKey:
        """What the effect is of; `low` and `high` in the order of `_ordered`."""
        return self.setting, *_ordered(self.low, self.high), self.dataset, self.metric


def read_facts(path: Path) -> list[MethodFact]:
    """The facts of a CSV file with the columns method, reported_by, fact, detail, source."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = _rows(lines, tuple(MethodFact.__annotations__), path.name)
    return [MethodFact(**row) for row in rows]


def read_effects(path: Path) -> list[Effect]:
    """Known effects from a CSV file: setting, low, high, dataset, metric, points, source."""
    columns = ("setting", "low", "high", "dataset", "metric", "points", "source")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = _rows(lines, columns, path.name)
    return [
        Effect(
            setting=row["setting"],
            low=row["low"],
            high=row["high"],
            dataset=row["dataset"],
            metric=row["metric"],
            points=float(row["points"]),
            n=1,
            source=row["source"],
        )
        for row in rows
    ]


def read_unfair_comparisons(path: Path) -> list[MethodFact]:
    """The unfair comparisons that MLRC's supplement lists of papers, as facts by method.

    Columns: paper, methods (our names, by spaces), venue, year, url, fact, detail, evidence_url.
    """
    columns = ("paper", "methods", "venue", "year", "url", "fact", "detail", "evidence_url")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = _rows(lines, columns, path.name)
    return [
        MethodFact(method, "own", row["fact"], row["detail"], f"MLRC supplement on {row['paper']}")
        for row in rows
        if row["fact"] in UNFAIR
        for method in row["methods"].split()
    ]


def _rows(lines: Iterable[str], columns: tuple[str, ...], name: str) -> list[dict[str, str]]:
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != columns:
        raise Problem(f"{name}, line 1: the columns must be {', '.join(columns)}")
    return list(reader)


def claim_settings(claim: Claim, facts: Sequence[MethodFact] = ()) -> dict[str, str]:
    """The known settings of a claim: setting -> value, crops by their size group."""
    values = {name: str(getattr(claim, name, "")) for name in SETTINGS}
    values["trunk"] = values["trunk"].removesuffix(AS_GROUPED)
    values["crop"] = CROP_GROUPS.get(values["crop"], values["crop"])
    best_kept = any(fact.fact == "best_test_epoch_kept" for fact in facts_of(claim, facts))
    if claim.tuned_on == "test" and best_kept:
        values["test_epoch"] = "best test epoch kept"
    elif claim.tuned_on == "val" or claim.tuned_on.startswith("cv"):
        values["test_epoch"] = "not picked on test"
    return {name: value for name, value in values.items() if value not in UNKNOWN}


def study_settings(study: Study, category: str) -> dict[str, str]:
    """The settings of a study's numbers in the claims' words; `study` as it is for the dataset."""
    extras = ["layer_norm"] * study.layer_norm + ["two_phase_training"] * study.followup
    crop = str(study.crop)
    return {
        "trunk": f"frozen {study.trunk}" if study.freeze_trunk else study.trunk,
        "dim": str(study.dim if category == "aggregate" else study.complete_dim),
        "crop": CROP_GROUPS.get(crop, crop),
        "pretrained": study.weights,
        # the papers' word for a choice on a split of the training classes, which this study is for
        "tuned_on": "val" if study.protocol == "main_tables" else f"cv{study.folds}",
        "bn_frozen": "yes" if study.freeze_batch_norm else "no",
        "pooling": study.pooling,
        "extra_components": ";".join(extras),
    }


def facts_of(claim: Claim, facts: Sequence[MethodFact]) -> list[MethodFact]:
    """The facts that hold of a claim: those of its method, if the number is its authors' own.

    A quoted number is its authors' own too.
    """
    if claim.reported_by not in ("own", "quoted"):
        return []
    return [fact for fact in facts if fact.method == claim.method and fact.reported_by == "own"]


def unequal_settings(a: Mapping[str, str], b: Mapping[str, str]) -> UnequalSettings:
    """The settings known on both sides and different: setting -> (a's, b's)."""
    return {
        name: (a[name], b[name])
        for name in SETTINGS
        if name in a and name in b and a[name] != b[name]
    }


def effects_of_settings(
    claims: Sequence[Claim], known: Sequence[Effect] = ()
) -> dict[EffectKey, Effect]:
    """What single settings are worth, from pairs of claims that differ in nothing else.

    A pair shares the document, table, method, dataset, metric, category and reporter. `known`
    effects from elsewhere are used where the claims give none.
    """
    groups: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        if AS_GROUPED in claim.trunk:
            continue
        key = (claim.paper, claim.table, claim.method, *claim.cell, claim.reported_by)
        groups[key].append(claim)
    gains: dict[EffectKey, list[tuple[float, str]]] = defaultdict(list)
    for group in groups.values():
        for a, b in combinations(group, 2):
            settings = [claim_settings(claim) for claim in (a, b)]
            for known_settings in settings:
                known_settings.pop("test_epoch", None)
            unequal = unequal_settings(*settings)
            if len(unequal) == 1 and set(settings[0]) == set(settings[1]):
                ((name, values),) = unequal.items()
                low, high = _ordered(*values)
                sign = 1 if values[1] == high else -1
                gain = sign * (b.value - a.value)
                gains[(name, low, high, a.dataset, a.metric)].append((gain, a.paper))
    effects = {effect.key: effect for effect in known}
    return effects | {key: _median_effect(key, pairs) for key, pairs in gains.items()}


def _median_effect(key: EffectKey, gains: Sequence[tuple[float, str]]) -> Effect:
    setting, low, high, dataset, metric = key
    return Effect(
        setting=setting,
        low=low,
        high=high,
        dataset=dataset,
        metric=metric,
        points=round(median(gain for gain, _ in gains), 4) + 0.0,  # no -0
        n=len(gains),
        source=", ".join(sorted({paper for _, paper in gains})),
    )


def effect_in_words(
    effects: Mapping[EffectKey, Effect], claim: Claim, setting: str, *, before: str, after: str
) -> str:
    """In words: how many points the step from `before` to `after` is worth for a claim's metric."""
    low, high = _ordered(before, after)
    effect = effects.get((setting, low, high, claim.dataset, claim.metric))
    if effect is None:
        return "effect not known"
    points = (effect.points if after == effect.high else -effect.points) + 0.0  # no -0
    return f"worth {points:+.1f} (median of {effect.n})"


def _ordered(a: str, b: str) -> tuple[str, str]:
    """Numbers by size, words by letter."""
    if a.isdigit() and b.isdigit():
        return (a, b) if int(a) <= int(b) else (b, a)
    return (a, b) if a <= b else (b, a)
