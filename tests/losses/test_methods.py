"""Losses that have a memory or a network: against scikit-learn, torch and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import nn
from torch.nn.functional import normalize

from losses import hierarchical_proxy, intra_batch, magnet
from losses._kmeans import farthest_first, kmeans
from tests.losses.examples import DIM, LABELS, N_CLASSES, assert_close, ten_images
from tests.twins import methods as twins

# K-means


def test_kmeans_is_scikit_learns_from_the_same_start() -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(3, 40, 5, generator=generator, dtype=torch.float64)
    valid = torch.rand(3, 40, generator=generator) < 0.8
    start = farthest_first(points, valid, 4)
    cluster, centres = kmeans(points, valid, 4, iterations=100)
    for g in range(3):
        members = points[g][valid[g]].numpy()
        fitted = KMeans(4, init=start[g].numpy(), n_init=1, tol=0.0, max_iter=100).fit(members)
        np.testing.assert_array_equal(cluster[g][valid[g]].numpy(), fitted.labels_)
        np.testing.assert_allclose(centres[g].numpy(), fitted.cluster_centers_, atol=1e-12)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_start_of_kmeans_does_not_depend_on_the_points_order(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(1, 12, 3, generator=generator, dtype=torch.float64)
    order = torch.randperm(12, generator=generator)
    valid = torch.ones(1, 12, dtype=torch.bool)
    torch.testing.assert_close(
        farthest_first(points, valid, 4), farthest_first(points[:, order], valid, 4)
    )


def test_kmeans_of_an_empty_set_and_of_fewer_points_than_clusters_stays_finite() -> None:
    points = torch.ones(2, 3, 2)
    valid = torch.tensor([[False, False, False], [True, True, False]])
    cluster, centres = kmeans(points, valid, 3)
    assert (cluster == 0).all()
    assert (centres[0] == 0).all()
    assert (centres[1] == 1).all()


# hierarchical proxies


def hierarchy(**params: float) -> hierarchical_proxy.Loss:
    torch.manual_seed(4)
    return hierarchical_proxy.Loss(n_classes=N_CLASSES, dim=DIM, **params).double()  # type: ignore[arg-type]


def test_hierarchical_proxy_sums_both_levels_as_plain_loops_do() -> None:
    loss, x = hierarchy(omega=0.7, coarse_exponent=0.6), normalize(ten_images())
    groups = loss.get_buffer("groups_of_classes").tolist()
    twin = twins.hierarchical_proxy(
        x, LABELS, loss.proxies, groups=groups, alpha=32, margin=0.1, omega=0.7
    )
    assert len(set(groups)) == 3
    assert_close(loss(x, LABELS), twin)


def test_groups_are_scikit_learns_clusters_of_unit_proxies() -> None:
    loss = hierarchy(coarse_exponent=0.6)
    points = normalize(loss.proxies.detach())
    start = farthest_first(points[None], torch.ones(1, N_CLASSES, dtype=torch.bool), 3)[0]
    fitted = KMeans(3, init=start.numpy(), n_init=1, tol=0.0).fit(points.numpy())
    np.testing.assert_array_equal(loss.clustered().numpy(), fitted.labels_)


def test_groups_are_clustered_again_on_schedule_and_in_training_only() -> None:
    loss, x = hierarchy(recluster_every=2), normalize(ten_images())
    wrong = torch.tensor([0, 1, 0, 1, 0, 1])
    loss.get_buffer("groups_of_classes").copy_(wrong)
    loss.eval()
    for _ in range(4):
        loss(x, LABELS)
    assert int(loss.get_buffer("batches")) == 0
    loss.train()
    loss(x, LABELS)
    assert torch.equal(loss.get_buffer("groups_of_classes"), wrong)
    loss(x, LABELS)
    assert torch.equal(loss.get_buffer("groups_of_classes"), loss.clustered())
    assert not torch.equal(loss.get_buffer("groups_of_classes"), wrong)


# magnet


@pytest.mark.parametrize("clusters", [1, 2])
def test_magnet_is_the_papers_batch_objective_in_plain_loops(clusters: int) -> None:
    loss = magnet.Loss(
        n_classes=N_CLASSES, dim=DIM, alpha=1.5, clusters_per_class=clusters
    ).double()
    x = ten_images()
    if clusters == 2:
        loss.get_buffer("centres").copy_(torch.randn(N_CLASSES, 2, DIM, dtype=torch.float64))
    centres = loss.get_buffer("centres")
    assigned = [
        int((centres[label] - image).norm(dim=1).argmin())
        for image, label in zip(x, LABELS, strict=True)
    ]
    assert len(set(assigned)) == clusters
    assert_close(loss(x, LABELS), twins.magnet(x, LABELS, assigned, alpha=1.5))


@given(scale=st.floats(0.01, 100.0), shift=st.floats(-5.0, 5.0))
@settings(max_examples=20, deadline=None)
def test_magnet_does_not_change_with_scale_or_translation(scale: float, shift: float) -> None:
    loss = magnet.Loss(n_classes=N_CLASSES, dim=DIM, clusters_per_class=1).double()
    assert_close(loss(scale * ten_images() + shift, LABELS), float(loss(ten_images(), LABELS)))


def test_magnet_remembers_each_classs_latest_embeddings() -> None:
    loss = magnet.Loss(n_classes=3, dim=1, memory_per_class=3, recluster_every=1000)
    labels = torch.tensor([0, 1, 0, 1, 0, 0, 0])
    for first in (10.0, 20.0):
        loss(torch.arange(first, first + 7)[:, None], labels)
    memory = loss.get_buffer("memory")[:, :, 0]
    assert sorted(memory[0].tolist()) == [24.0, 25.0, 26.0]
    assert sorted(memory[1].tolist()) == [13.0, 21.0, 23.0]
    assert memory[2].tolist() == [0.0, 0.0, 0.0]
    assert loss.get_buffer("remembered").tolist() == [10, 4, 0]
    loss.eval()
    loss(torch.zeros(7, 1), labels)
    assert loss.get_buffer("remembered").tolist() == [10, 4, 0]


def test_magnet_finds_a_classs_two_modes_when_it_is_time() -> None:
    loss = magnet.Loss(n_classes=2, dim=2, clusters_per_class=2, recluster_every=3)
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    corners = [[-9.0, 0.0], [-9.0, 1.0], [9.0, 0.0], [9.0, 1.0], [0.0, 5.0], [0.0, 6.0]]
    x = torch.tensor(corners)
    one_cluster = float(loss(x, labels))
    assert (loss.get_buffer("centres") == 0).all()
    for _ in range(2):
        loss(x, labels)
    centres = loss.get_buffer("centres")[0].tolist()
    assert sorted(centres) == [[-9.0, 0.5], [9.0, 0.5]]
    assert float(loss(x, labels)) < one_cluster


# intra-batch connections


def test_attention_over_the_batch_is_plain_loops() -> None:
    torch.manual_seed(5)
    block = intra_batch.Block(8, heads=2, dropout=0.1).double().eval()
    nodes = ten_images(dim=8)
    assert_close(block.attend(nodes), twins.attention(nodes, block, heads=2))


def test_a_block_is_torchs_transformer_layer() -> None:
    torch.manual_seed(5)
    block = intra_batch.Block(8, heads=4, dropout=0.1).double().eval()
    layer = nn.TransformerEncoderLayer(8, 4, dim_feedforward=32, dropout=0.1).double().eval()
    projections = (block.query, block.key, block.value)
    layer.self_attn.in_proj_weight.data = torch.cat([linear.weight.data for linear in projections])
    layer.self_attn.in_proj_bias.data = torch.cat([linear.bias.data for linear in projections])
    layer.self_attn.out_proj.load_state_dict(block.out.state_dict())
    layer.linear1.load_state_dict(block.inner.state_dict())
    layer.linear2.load_state_dict(block.outer.state_dict())
    nodes = ten_images(dim=8)
    assert_close(block(nodes), layer(nodes[:, None])[:, 0])


def test_intra_batch_adds_the_smoothed_entropies_of_both_classifiers() -> None:
    torch.manual_seed(6)
    loss = intra_batch.Loss(n_classes=N_CLASSES, dim=8, temperature=0.3, dropout=0.0).double()
    x = 5.0 * ten_images(dim=8)
    loss.graph_classifier.weight.data *= 1000.0  # so that the second term is not log C
    nodes = loss.graph(normalize(x))
    variance = nodes.var(0, unbiased=False)
    nodes = (nodes - nodes.mean(0)) / (variance + 1e-5).sqrt() * loss.neck.weight
    alone = x @ loss.classifier.weight.T + loss.classifier.bias
    connected = nodes @ loss.graph_classifier.weight.T
    twin = sum(
        twins.smoothed_cross_entropy(logits / 0.3, LABELS, 0.1) for logits in (alone, connected)
    )
    assert_close(loss(x, LABELS), twin)
    assert not loss.neck.bias.requires_grad


def test_heads_must_divide_the_dimension() -> None:
    with pytest.raises(ValueError, match=r"heads = 3 .* divisor of dim = 8"):
        intra_batch.Loss(n_classes=N_CLASSES, dim=8, heads=3)
