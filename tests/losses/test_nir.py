"""Non-isotropy regularisation: against automatic differentiation, FrEIA's graph, PML and loops."""

from __future__ import annotations

import FrEIA.framework as graph
import FrEIA.modules as invertible
import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import SoftTripleLoss
from pytorch_metric_learning.regularizers import SparseCentersRegularizer
from torch import Tensor, nn
from torch.nn.functional import normalize

from losses import nir_proxy_anchor, nir_proxy_nca, nir_soft_triple
from losses._nir import Flow, negative_log_likelihood, subnetwork
from tests.losses.examples import DIM, LABELS, N_CLASSES, assert_close, ten_images
from tests.twins import methods as twins


def flow_of(dim: int = DIM) -> Flow:
    torch.manual_seed(3)
    return Flow(dim).double()


def test_likelihood_is_that_of_the_jacobian_by_automatic_differentiation() -> None:
    flow, x, proxies = flow_of(), normalize(ten_images()), normalize(ten_images(1))
    nll = negative_log_likelihood(flow, x, proxies)
    for i in range(len(x)):

        def mapped(image: Tensor, i: int = i) -> Tensor:
            residual: Tensor = flow(image[None], proxies[i : i + 1])[0][0]
            return residual

        jacobian = torch.autograd.functional.jacobian(mapped, x[i])  # type: ignore[no-untyped-call]
        assert_close(nll[i], 0.5 * mapped(x[i]).square().sum() - torch.slogdet(jacobian)[1])


def test_flow_is_the_graph_that_the_authors_build_with_freia() -> None:
    flow, x, proxies = flow_of(7), normalize(ten_images(dim=7)), normalize(ten_images(1, dim=7))
    numpy_state = np.random.get_state()  # noqa: NPY002
    nodes = [graph.InputNode(7)]
    conditions = [graph.ConditionNode(7) for _ in range(5)]
    for seed, condition in enumerate(conditions):
        nodes.append(graph.Node(nodes[-1], invertible.PermuteRandom, {"seed": seed}))
        coupling = {"clamp": 2.0, "subnet_constructor": subnetwork}
        nodes.append(
            graph.Node(nodes[-1], invertible.GLOWCouplingBlock, coupling, conditions=condition)
        )
    network = graph.GraphINN([*nodes, graph.OutputNode(nodes[-1]), *conditions]).double()
    np.random.set_state(numpy_state)  # noqa: NPY002
    theirs = [module for module in network.module_list if hasattr(module, "subnet1")]
    for ours, block in zip(flow.blocks, theirs, strict=True):
        block.load_state_dict(ours.state_dict())
    expected_residuals, expected_log_determinant = network(x, c=[proxies] * 5)
    residuals, log_determinant = flow(x, proxies)
    assert_close(residuals, expected_residuals)
    assert_close(log_determinant, expected_log_determinant)


def test_flow_follows_torchs_seed_and_leaves_numpys_state_alone() -> None:
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    first, second = flow_of().state_dict(), flow_of().state_dict()
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert before["state"]["pos"] == after["state"]["pos"]
    np.testing.assert_array_equal(before["state"]["key"], after["state"]["key"])
    for key, value in first.items():
        assert torch.equal(value, second[key])
    assert {parameter.dtype for parameter in flow_of().parameters()} == {torch.float64}


def exponential_of(loss: nn.Module, x: Tensor, proxies: Tensor) -> Tensor:
    flow = loss.get_submodule("flow")
    return negative_log_likelihood(flow, x, normalize(proxies)).exp().mean()


def test_nir_proxy_anchor_is_the_released_codes_sum() -> None:
    torch.manual_seed(0)
    loss = nir_proxy_anchor.Loss(n_classes=N_CLASSES, dim=DIM, w_align=0.3).double()
    x = normalize(ten_images())
    twin = twins.nir_proxy_anchor(x, LABELS, normalize(loss.proxies), alpha=32.0, margin=0.1)
    assert_close(loss(x, LABELS), exponential_of(loss, x, loss.proxies[LABELS]) + 0.3 * twin)


def test_nir_proxy_nca_leaves_the_classs_proxy_out_of_the_denominator() -> None:
    torch.manual_seed(0)
    loss = nir_proxy_nca.Loss(n_classes=N_CLASSES, dim=DIM, w_align=0.3).double()
    x = normalize(ten_images())
    twin = twins.proxy_nca(x, LABELS, normalize(loss.proxies), scale=3.0)
    assert_close(loss(x, LABELS), exponential_of(loss, x, loss.proxies[LABELS]) + 0.3 * twin)


@pytest.mark.parametrize("centres", [1, 3])
def test_nir_soft_triple_adds_pmls_soft_triple(centres: int) -> None:
    torch.manual_seed(0)
    loss = nir_soft_triple.Loss(
        n_classes=N_CLASSES, dim=DIM, w_align=0.3, gamma=0.2, margin=0.05, centers_per_class=centres
    ).double()
    x = normalize(ten_images()).requires_grad_()
    regulariser = SparseCentersRegularizer(N_CLASSES, centres) if centres > 1 else None
    theirs = SoftTripleLoss(
        N_CLASSES,
        DIM,
        centers_per_class=centres,
        la=20,
        gamma=0.2,
        margin=0.05,
        weight_regularizer=regulariser,
        weight_reg_weight=0.2,
    ).double()
    theirs.fc.data = loss.proxies.detach().reshape(N_CLASSES * centres, DIM).T.clone()
    unit = normalize(loss.proxies, dim=2)
    condition = []
    for image, label in zip(x, LABELS, strict=True):
        cosine = unit[label] @ normalize(image, dim=0)
        condition.append(((cosine / 0.2).softmax(0)[:, None] * unit[label]).sum(0))
    expected = exponential_of(loss, x, torch.stack(condition)) + 0.3 * theirs(x, LABELS)
    # the library's regulariser lacks the authors' 1e-5 under the root
    torch.testing.assert_close(loss(x, LABELS), expected, rtol=1e-4, atol=1e-4)
    # the loss normalises x, as the library does, so gradients agree too, also through the condition
    (gradient,) = torch.autograd.grad(loss(x, LABELS), x)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, x)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("module", [nir_proxy_anchor, nir_proxy_nca, nir_soft_triple])
def test_nir_trains_proxies_through_the_flow_and_groups_have_both_rates(module: object) -> None:
    loss: nn.Module = module.Loss(n_classes=N_CLASSES, dim=DIM, w_align=0.0, flow_lr_factor=0.5)  # type: ignore[attr-defined]
    loss(normalize(ten_images().float()), LABELS).backward()
    assert loss.get_parameter("proxies").grad[LABELS].abs().sum() > 0  # type: ignore[index]
    proxies, flow = loss.groups()  # type: ignore[operator]
    assert (proxies["lr_factor"], flow["lr_factor"]) == (1.0, 0.5)
    assert len(flow["params"]) == 5 * 2 * 8 * 2  # blocks, subnetworks, layers, weight and bias
