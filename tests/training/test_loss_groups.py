"""The loss's own parameters in the optimiser: all, once, or the run says which are not."""

from __future__ import annotations

import pytest

from losses import contrastive, euclidean_softmax
from tests.made import fit
from tests.training.patterned import images, run


def grouped(monkeypatch, groups):
    monkeypatch.setattr(euclidean_softmax.Loss, "groups", groups, raising=False)


def test_a_run_whose_loss_leaves_a_parameter_out_of_its_groups_fails_and_names_it(monkeypatch):
    grouped(monkeypatch, lambda loss: [])
    with pytest.raises(ValueError, match=r"groups\(\) leaves out proxies, which would never be"):
        fit(run(), images())


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf"), "1", True])
def test_a_rate_that_no_parameter_can_be_trained_with_is_named(monkeypatch, factor):
    grouped(monkeypatch, lambda loss: [{"params": [loss.proxies], "lr_factor": factor}])
    with pytest.raises(ValueError, match=f"lr_factor = {factor!r}; a number from 0 up is needed"):
        fit(run(), images())


def test_a_misspelt_key_of_a_group_is_an_error_and_no_default(monkeypatch):
    grouped(monkeypatch, lambda loss: [{"params": [loss.proxies], "lr_facter": 0.0}])
    with pytest.raises(ValueError, match="lr_facter, which is none of params, lr_factor"):
        fit(run(), images())


def test_parameters_of_a_loss_that_says_it_has_none_are_named(monkeypatch):
    monkeypatch.setattr(euclidean_softmax, "OWN_PARAMETERS", False)
    with pytest.raises(ValueError, match="Loss has parameters, proxies, which OWN_PARAMETERS"):
        fit(run(), images())
    assert fit(run(loss="contrastive", params=CONTRASTIVE), images()).models is not None
    assert not list(contrastive.Loss(n_classes=2, dim=2).parameters())


CONTRASTIVE = {"lr": 1e-3, "pos_margin": 0.0, "neg_margin": 1.0, "followup_lr_ratio": 0.1}
