from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from harness.measure.projection import principal_plane


def test_it_is_the_first_two_principal_components_of_scikit_learn():
    points = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7.0)
    plane = principal_plane(points)
    reference = PCA(2, svd_solver="full").fit(points.double().numpy())
    expected = reference.transform(points.double().numpy())
    signs = np.sign((expected * plane.coordinates.numpy()).sum(0))
    np.testing.assert_allclose(plane.coordinates.numpy() * signs, expected, atol=1e-9)
    assert plane.share == pytest.approx(reference.explained_variance_ratio_.sum())


def test_the_sign_does_not_depend_on_the_order_of_the_points():
    points = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    turned = principal_plane(points[order]).coordinates
    torch.testing.assert_close(turned, principal_plane(points).coordinates[order])


def test_equal_embeddings_lie_at_one_point():
    plane = principal_plane(torch.ones(4, 3))
    assert plane.share == 0
    assert not plane.coordinates.any()
