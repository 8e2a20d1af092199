# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar_ros.gaussians import Gaussians, read_ply, write_ply

N = 7


def some_gaussians(degree: int | None) -> Gaussians:
    torch.manual_seed(0)
    terms = () if degree is None else ((degree + 1) ** 2,)
    return Gaussians(
        torch.randn(N, 3),
        torch.randn(N, 4),
        torch.rand(N, 3) * 0.1 + 1e-3,
        torch.rand(N) * 0.98 + 0.01,
        torch.rand(N, *terms, 3),
        degree,
    )


def columns(degree: int = 1) -> dict[str, np.ndarray]:
    """What a file of `some_gaussians(degree)` holds, by property name."""
    g = some_gaussians(degree)
    logit = torch.logit(g.opacities)
    named = {name: g.means[:, k] for k, name in enumerate('xyz')}
    named |= {f'f_dc_{k}': g.colors[:, 0, k] for k in range(3)}
    rest = g.colors[:, 1:].transpose(1, 2).reshape(N, -1)
    named |= {f'f_rest_{k}': rest[:, k] for k in range(rest.shape[1])}
    named |= {'opacity': logit}
    named |= {f'scale_{k}': g.scales[:, k].log() for k in range(3)}
    named |= {f'rot_{k}': g.quats[:, k] for k in range(4)}
    return {name: value.numpy() for name, value in named.items()}


def write_raw(
    path: Path,
    table: Mapping[str, np.ndarray],
    format_: str = 'binary_little_endian',
    type_: str = 'float',
    tail: str = '',
    count: int | str = N,
) -> Path:
    header = f'ply\nformat {format_} 1.0\ncomment hello\nelement vertex {count}\n'
    header += ''.join(f'property {type_} {name}\n' for name in table) + tail + 'end_header\n'
    values = np.stack(list(table.values()), axis=1)
    code = {'float': 'f4', 'double': 'f8', 'float32': 'f4'}[type_]
    if format_ == 'ascii':
        body = '\n'.join(' '.join(map(repr, row)) for row in values.tolist()).encode()
    else:
        body = values.astype(('>' if 'big' in format_ else '<') + code).tobytes()
    path.write_bytes(header.encode() + body + (b'\x00' * 10 if tail else b''))
    return path


def assert_same(a: Gaussians, b: Gaussians) -> None:
    assert a.sh_degree == b.sh_degree
    for name in ('means', 'quats', 'scales', 'opacities', 'colors'):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('degree', [0, 1, 2, 3])
def test_round_trip_keeps_everything(tmp_path: Path, degree: int) -> None:
    g = some_gaussians(degree)
    write_ply(tmp_path / 'a.ply', g)
    assert_same(read_ply(tmp_path / 'a.ply'), g)


def test_rgb_becomes_degree_zero_of_the_same_color(tmp_path: Path) -> None:
    g = some_gaussians(None)
    write_ply(tmp_path / 'a.ply', g)
    found = read_ply(tmp_path / 'a.ply')
    assert found.sh_degree == 0
    torch.testing.assert_close(found.colors[:, 0] * 0.28209479 + 0.5, g.colors)


def test_no_gaussians_round_trip(tmp_path: Path) -> None:
    g = some_gaussians(3)
    empty = Gaussians(g.means[:0], g.quats[:0], g.scales[:0], g.opacities[:0], g.colors[:0], 3)
    write_ply(tmp_path / 'a.ply', empty)
    assert len(read_ply(tmp_path / 'a.ply')) == 0


def test_written_file_is_inrias(tmp_path: Path) -> None:
    write_ply(tmp_path / 'a.ply', some_gaussians(3))
    raw = (tmp_path / 'a.ply').read_bytes()
    header, _, body = raw.partition(b'end_header\n')
    names = [line.split()[-1].decode() for line in header.splitlines() if b'property' in line]
    assert len(body) == N * 62 * 4
    assert names[:9] == ['x', 'y', 'z', 'nx', 'ny', 'nz', 'f_dc_0', 'f_dc_1', 'f_dc_2']
    assert names[9:54] == [f'f_rest_{k}' for k in range(45)]
    assert names[54:] == [
        'opacity', 'scale_0', 'scale_1', 'scale_2', 'rot_0', 'rot_1', 'rot_2', 'rot_3'
    ]  # fmt: skip


def test_higher_coefficients_are_stored_channel_by_channel(tmp_path: Path) -> None:
    g = some_gaussians(3)
    write_ply(tmp_path / 'a.ply', g)
    body = (tmp_path / 'a.ply').read_bytes().partition(b'end_header\n')[2]
    rest = np.frombuffer(body, '<f4').reshape(N, 62)[:, 9:54]
    np.testing.assert_array_equal(rest[:, :15], g.colors[:, 1:, 0])
    np.testing.assert_array_equal(rest[:, 15:30], g.colors[:, 1:, 1])


@pytest.mark.parametrize('format_', ['binary_little_endian', 'binary_big_endian', 'ascii'])
@pytest.mark.parametrize('type_', ['float', 'float32', 'double'])
def test_every_format_and_type_reads_the_same(tmp_path: Path, format_: str, type_: str) -> None:
    path = write_raw(tmp_path / 'a.ply', columns(), format_, type_)
    assert_same(read_ply(path), some_gaussians(1))


@pytest.mark.parametrize('format_', ['binary_little_endian', 'ascii'])
def test_order_extra_properties_and_later_elements_do_not_matter(
    tmp_path: Path, format_: str
) -> None:
    table = {'binding_0': np.zeros(N), **columns(), 'nx': np.ones(N)}
    shuffled = dict(sorted(table.items(), key=lambda item: hash(item[0][::-1]) % 97))
    tail = 'element face 0\nproperty list uchar int vertex_indices\n'
    tail = tail if format_ != 'ascii' else ''
    path = write_raw(tmp_path / 'a.ply', shuffled, format_, tail=tail)
    assert_same(read_ply(path), some_gaussians(1))


def test_coefficient_order_reads_lhm_files(tmp_path: Path) -> None:
    table, g = columns(2), some_gaussians(2)
    rest = g.colors[:, 1:].reshape(N, -1).numpy()
    table |= {f'f_rest_{k}': rest[:, k] for k in range(24)}
    path = write_raw(tmp_path / 'a.ply', table)
    assert_same(read_ply(path, rest_order='coefficient'), g)


def test_opacity_one_and_scale_zero_stay_finite(tmp_path: Path) -> None:
    g = replace(some_gaussians(0), opacities=torch.ones(N), scales=torch.zeros(N, 3))
    write_ply(tmp_path / 'a.ply', g)
    found = read_ply(tmp_path / 'a.ply')
    assert found.opacities.min() > 0.99999
    assert found.scales.max() < 1e-11


def test_color_sets_of_cameras_are_refused(tmp_path: Path) -> None:
    g = some_gaussians(None)
    with pytest.raises(ValueError, match='2 colour sets'):
        write_ply(tmp_path / 'a.ply', replace(g, colors=torch.zeros(2, N, 3)))


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_ply(path)
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_error_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / 'a.ply'
    path.write_bytes(b'version https://git-lfs.github.com/spec/v1\n')
    refused(path, "b'version", 'Git LFS')
    path.write_bytes(b'')
    refused(path, "b'ply'")


def test_error_for_a_header_without_end(tmp_path: Path) -> None:
    path = tmp_path / 'a.ply'
    path.write_bytes(b'ply\nformat ascii 1.0\n')
    refused(path, 'end_header')


def test_error_for_a_truncated_body_names_both_sizes(tmp_path: Path) -> None:
    path = write_raw(tmp_path / 'a.ply', columns())
    raw = path.read_bytes()
    path.write_bytes(raw[:-5])
    size = N * len(columns()) * 4
    refused(path, f'{size - 5} bytes', str(size), 'again')
    path = write_raw(tmp_path / 'b.ply', columns(), 'ascii', count=N + 1)
    refused(path, f'{N + 1} vertices')


def test_error_for_missing_properties_names_them(tmp_path: Path) -> None:
    table = columns()
    del table['scale_1'], table['opacity']
    refused(write_raw(tmp_path / 'a.ply', table), 'opacity, scale_1', 'f_dc_0')


def test_error_for_a_property_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / 'a.ply'
    path.write_bytes(
        b'ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\nend_header\n'
    )
    refused(path, "'x'", 'twice')


def test_error_for_a_bad_number_of_rest_coefficients(tmp_path: Path) -> None:
    table = columns()
    del table['f_rest_8']
    refused(write_raw(tmp_path / 'a.ply', table), '8 f_rest', '0, 9, 24 or 45')


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_error_for_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    table = columns()
    table['scale_2'] = table['scale_2'].copy()
    table['scale_2'][3] = value
    refused(write_raw(tmp_path / 'a.ply', table), 'scales of vertex 3', str(value))


@pytest.mark.parametrize('count', ['99999999999999', '-1', 'many'])
def test_error_for_an_absurd_vertex_count(tmp_path: Path, count: str) -> None:
    refused(write_raw(tmp_path / 'a.ply', columns(), count=count), count, 'damaged')


def test_large_count_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    refused(write_raw(tmp_path / 'a.ply', columns(), count=2_000_000_000), 'bytes', 'cut off')


def test_error_for_an_unknown_format(tmp_path: Path) -> None:
    refused(write_raw(tmp_path / 'a.ply', columns(), 'binary_middle_endian'), 'middle')


def test_error_for_unreadable_numbers(tmp_path: Path) -> None:
    path = write_raw(tmp_path / 'a.ply', columns(), 'ascii')
    path.write_bytes(path.read_bytes().replace(b'0.', b'o.', 1))
    refused(path, 'expected numbers')


def test_unknown_rest_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'channel' or 'coefficient'"):
        read_ply(tmp_path / 'a.ply', rest_order='rgb')  # type: ignore[arg-type]
