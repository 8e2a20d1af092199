# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import gzip
from dataclasses import replace

import pytest
import torch
from gaussians.test_ply import some_gaussians

from avatar_ros.gaussians.spherical_harmonics import sh_basis
from avatar_ros.gaussians.spz import _FLIP, _FLIP_SH, read_spz, write_spz


def same_rotation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = torch.nn.functional.normalize(a), torch.nn.functional.normalize(b)
    return (a * b).sum(1).abs()


@pytest.mark.parametrize('degree', [0, 1, 2, 3])
def test_round_trip_is_within_the_quantisation(tmp_path, degree):
    g = some_gaussians(degree)
    write_spz(tmp_path / 'a.spz', g)
    found = read_spz(tmp_path / 'a.spz')
    assert found.sh_degree == degree
    torch.testing.assert_close(found.means, g.means, rtol=0, atol=0.5 / 4096 + 1e-6)
    torch.testing.assert_close(found.opacities, g.opacities, rtol=0, atol=0.5 / 255 + 1e-6)
    torch.testing.assert_close(found.scales.log(), g.scales.log(), rtol=0, atol=0.5 / 16 + 1e-5)
    assert same_rotation(found.quats, g.quats).min() > 1 - 1e-5
    dc, rest = found.colors[:, :1], found.colors[:, 1:]
    torch.testing.assert_close(dc, g.colors[:, :1], rtol=0, atol=0.5 / (0.15 * 255) + 1e-6)
    torch.testing.assert_close(rest, g.colors[:, 1:], rtol=0, atol=1 / 128 + 1e-6)


def test_colours_stay_with_their_directions_when_axes_turn():
    directions = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    turned = directions * torch.from_numpy(_FLIP)
    signs = torch.tensor([1.0, *_FLIP_SH], dtype=torch.float64)
    torch.testing.assert_close(sh_basis(turned, 3), sh_basis(directions, 3) * signs)


def test_it_is_the_format_of_the_specification(tmp_path):
    g = some_gaussians(0)
    write_spz(tmp_path / 'a.spz', replace(g, means=torch.tensor([[1.0, -2.0, 0.5]] * len(g))))
    raw = gzip.decompress((tmp_path / 'a.spz').read_bytes())
    assert raw[:4] == b'NGSP'
    assert list(raw[4:16]) == [3, 0, 0, 0, len(g), 0, 0, 0, 0, 12, 0, 0]
    assert len(raw) == 16 + len(g) * (9 + 1 + 3 + 3 + 4)
    found = [int.from_bytes(raw[16 + k : 19 + k], 'little', signed=True) for k in (0, 3, 6)]
    assert found == [4096, 8192, -2048]


@pytest.mark.parametrize('spoil', [b'', b'ply\n', gzip.compress(b'NGSP')])
def test_what_is_no_spz_is_refused_by_name(tmp_path, spoil):
    path = tmp_path / 'a.spz'
    path.write_bytes(spoil)
    with pytest.raises(ValueError, match=r'a\.spz'):
        read_spz(path)


def test_a_file_that_is_cut_off_names_both_sizes(tmp_path):
    path = tmp_path / 'a.spz'
    write_spz(path, some_gaussians(1))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-5]))
    with pytest.raises(ValueError, match='cut off'):
        read_spz(path)


def test_what_it_cannot_hold_is_refused(tmp_path):
    g = some_gaussians(None)
    with pytest.raises(ValueError, match='one RGB set'):
        write_spz(tmp_path / 'a.spz', replace(g, colors=torch.zeros(2, len(g), 3)))
    with pytest.raises(ValueError, match='2048 m'):
        write_spz(tmp_path / 'a.spz', replace(g, means=torch.full((len(g), 3), 3e3)))


def test_the_command_turns_one_into_the_other(tmp_path):
    from avatar_ros.cli.main import main
    from avatar_ros.gaussians import read_ply, write_ply

    write_ply(tmp_path / 'a.ply', some_gaussians(1))
    for source, out in (('a.ply', 'a.spz'), ('a.spz', 'b.ply')):
        assert (
            main(['convert', 'splats', str(tmp_path / source), '--out', str(tmp_path / out)]) == 0
        )
    torch.testing.assert_close(
        read_ply(tmp_path / 'b.ply').means, some_gaussians(1).means, rtol=0, atol=2e-4
    )
    assert main(['convert', 'splats', str(tmp_path / 'a.ply'), '--out', 'a.splat']) == 1
