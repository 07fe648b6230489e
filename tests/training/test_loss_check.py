"""Faults that `losses check` must not pass: state that is lost, parameters that never learn ..."""

from __future__ import annotations

import types

import pytest

from harness.commands.own_losses import text_of
from harness.training.loss_check import shortfalls

PAIR, PROXY = (text_of("mine", kind) for kind in ("pair", "proxy"))
INIT = "        self.margin = margin\n"
SIMILARITY = "        similarity = embeddings @ embeddings.T\n"
COSINES = "        similarity = embeddings @ F.normalize(self.proxies).T\n"
PROXIES = "        self.proxies = nn.Parameter(torch.randn(n_classes, dim))\n"
RETURN = "        return F.cross_entropy(self.scale * similarity, labels)\n"


def changed(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def said_of(text: str) -> list[str]:
    module = types.ModuleType("mine")
    exec(compile(text, "mine.py", "exec"), vars(module))
    return shortfalls(module)


def with_groups(groups: str, *changes: tuple[str, str]) -> str:
    method = f"    def groups(self):\n        return {groups}\n\n    def forward"
    return changed(PROXY, ("    def forward", method), *changes)


LOST = {
    "a mean that the first batch begins": changed(
        PAIR,
        (INIT, f"{INIT}        self.mean = None\n"),
        (
            SIMILARITY,
            f"{SIMILARITY}        now = similarity.detach().mean()\n"
            "        self.mean = now if self.mean is None else 0.9 * self.mean + 0.1 * now\n",
        ),
        ("+ self.margin)", "+ self.margin + 0.5 * self.mean)"),
    ),
    "proxies that are drawn and no buffer": changed(
        PROXY,
        (PROXIES, "        self.proxies = torch.randn(n_classes, dim)\n"),
        ("OWN_PARAMETERS = True", "OWN_PARAMETERS = False"),
    ),
    "a counter that acts after 50 batches": changed(
        PAIR,
        (INIT, f"{INIT}        self.batches = 0\n"),
        (
            SIMILARITY,
            "        self.batches += 1\n"
            "        if self.batches > 50:\n            self.margin = 0.9\n" + SIMILARITY,
        ),
    ),
}


@pytest.mark.parametrize("text", LOST.values(), ids=LOST)
def test_state_that_another_process_would_not_have_is_named(text):
    [line] = said_of(text)
    assert "a new loss that is given the state_dict has other values" in line


def test_the_same_state_in_buffers_is_accepted():
    text = LOST["proxies that are drawn and no buffer"]
    drawn = "self.proxies = torch.randn(n_classes, dim)"
    kept = 'self.register_buffer("proxies", torch.randn(n_classes, dim))'
    assert said_of(changed(text, (drawn, kept))) == []


BIAS = (PROXIES, f"{PROXIES}        self.bias = nn.Parameter(torch.zeros(n_classes))\n")
USED = ("self.scale * similarity,", "self.scale * similarity + self.bias,")
REPLACED = "        self.proxies = nn.Parameter(F.normalize(self.proxies.detach()))\n"
NEVER_TRAINED = [
    (
        changed(PROXY, ("F.normalize(self.proxies)", "F.normalize(self.proxies.detach())")),
        "no batch gives a gradient to proxies",
    ),
    (changed(PROXY, BIAS), "no batch gives a gradient to bias"),
    (changed(PROXY, (COSINES, REPLACED + COSINES)), "forward makes proxies another nn.Parameter"),
    (
        with_groups("[{'params': [self.proxies], 'lr_factor': 1.0}]", BIAS, USED),
        "groups() leaves out bias",
    ),
    (with_groups("[{'params': [self.proxies]}] * 2"), "groups() names proxies more than once"),
    (
        with_groups("[{'params': [self.proxies], 'lr_factor': -1.0}]"),
        "groups() gives lr_factor = -1.0",
    ),
    (
        with_groups("[{'params': [self.proxies], 'lr_facter': 2.0}]"),
        "groups() gives lr_facter, which is none of params, lr_factor, weight_decay",
    ),
    (
        with_groups("[{'params': [self.proxies.clone()]}, {'params': [self.proxies]}]"),
        "groups() names a tensor that is no parameter of Loss",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), NEVER_TRAINED, ids=[s for _, s in NEVER_TRAINED])
def test_parameters_that_would_never_be_trained_are_named(text, sentence):
    [line] = said_of(text)
    assert sentence in line


def test_groups_that_name_every_parameter_once_are_accepted():
    groups = "[{'params': [self.proxies], 'lr_factor': 0.5}, {'params': iter([self.bias])}]"
    assert said_of(with_groups(groups, BIAS, USED)) == []


ANEW = "        labels = torch.unique(labels, return_inverse=True)[1]\n"
NAN = "        if len(labels) > 20:\n            return similarity.sum() * torch.nan\n"
UNLIKE_BATCHES = [
    (changed(PROXY, (COSINES, ANEW + COSINES)), "labels that are numbered anew from 0"),
    (changed(PROXY, ("randn(n_classes, dim)", "randn(12, dim)")), "of 40 classes in all"),
    (changed(PROXY, ("randn(n_classes, dim)", "randn(n_classes, 16)")), "images of 24 numbers"),
    (changed(PAIR, (SIMILARITY, SIMILARITY + NAN)), "the loss is nan on 8 classes x 4 images"),
    (
        changed(PAIR, (SIMILARITY, "        labels %= 8\n" + SIMILARITY)),
        "forward changes its labels in place",
    ),
    (
        changed(PAIR, (SIMILARITY, "        embeddings.data.mul_(0.5)\n" + SIMILARITY)),
        "forward changes its embeddings in place",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), UNLIKE_BATCHES, ids=[s for _, s in UNLIKE_BATCHES])
def test_what_holds_for_one_form_of_batch_alone_is_named(text, sentence):
    [line] = said_of(text)
    assert sentence in line


def test_a_loss_that_compares_with_the_ten_nearest_other_proxies_is_accepted():
    nearest = (
        "        own = similarity.gather(1, labels[:, None])\n"
        "        others = similarity.scatter(1, labels[:, None], -torch.inf).topk(10).values\n"
        "        logits = self.scale * torch.cat([own, others], 1)\n"
        "        return F.cross_entropy(logits, torch.zeros_like(labels))\n"
    )
    assert said_of(changed(PROXY, (RETURN, nearest))) == []


@pytest.mark.parametrize("bound", ["inf", "nan"])
def test_a_range_that_does_not_end_is_named_as_such(bound):
    text = changed(
        PAIR, ("FloatDistribution(0.0, 1.0)", f'FloatDistribution(0.0, float("{bound}"))')
    )
    [line] = said_of(text)
    assert f"the range of margin goes from 0 to {bound}" in line


@pytest.mark.parametrize("place", [INIT, SIMILARITY])
def test_a_loss_that_ends_the_program_is_named_and_does_not_end_the_check(place):
    lines = said_of(changed(PAIR, (place, f"        raise SystemExit(0)\n{place}")))
    assert lines
    assert all("SystemExit: 0" in line for line in lines)
