# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_bundles import random_bundle
from safetensors.numpy import load_file, save_file

from avatar_ros.avatars import (
    Bundle,
    BundleError,
    bundle_reader,
    load_avatar,
    load_bundle,
    save_bundle,
)


def assert_same(a: Bundle, b: Bundle) -> None:
    for name in ('means', 'scales', 'opacities', 'colors'):
        torch.testing.assert_close(
            getattr(a.gaussians, name), getattr(b.gaussians, name), rtol=2e-5, atol=1e-6
        )
    torch.testing.assert_close(a.gaussians.quats, b.gaussians.quats, rtol=0, atol=1e-6)
    for name in ('rest_joints', 'skin_joints', 'skin_weights', 'sole_points', 'sole_joints'):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-6)
    for name in ('index', 'values', 'scale'):
        np.testing.assert_array_equal(getattr(a.expression, name), getattr(b.expression, name))
    for name in ('basis', 'names', 'drives_jaw'):
        assert getattr(a.expression, name) == getattr(b.expression, name)
    assert (a.name, a.licence, a.skeleton, a.provenance) == (
        b.name,
        b.licence,
        b.skeleton,
        b.provenance,
    )


@pytest.mark.parametrize('name', ['folder', 'avatar.zip'])
@pytest.mark.parametrize('sh_degree', [0, 2])
def test_round_trip_keeps_everything(tmp_path, name, sh_degree):
    bundle = random_bundle(sh_degree=sh_degree)
    save_bundle(tmp_path / name, bundle)
    assert_same(load_bundle(tmp_path / name), bundle)


def test_same_bundle_gives_the_same_bytes(tmp_path, bundle):
    save_bundle(tmp_path / 'a.zip', bundle)
    save_bundle(tmp_path / 'b.zip', bundle)
    assert (tmp_path / 'a.zip').read_bytes() == (tmp_path / 'b.zip').read_bytes()


def test_bundle_without_face_or_soles_loads(tmp_path, bundle):
    bare = replace(
        bundle,
        expression=None,
        sole_points=np.zeros((0, 3), np.float32),
        sole_joints=np.zeros(0, np.uint8),
    )
    save_bundle(tmp_path / 'a', bare)
    loaded = load_bundle(tmp_path / 'a')
    assert loaded.expression is None
    assert len(loaded.sole_points) == 0


def test_plain_rgb_is_not_saved_as_harmonics(tmp_path, bundle):
    rgb = replace(bundle.gaussians, colors=torch.rand(len(bundle), 3), sh_degree=None)
    with pytest.raises(ValueError, match='sh_degree = 0'):
        save_bundle(tmp_path / 'a', replace(bundle, gaussians=rgb))


@pytest.mark.parametrize(
    ('field', 'value', 'expected'),
    [
        ('format', 'something else', 'avatar_ros.bundle'),
        ('version', 3, 'version'),
        ('version', True, 'version'),
        ('kind', 'neural', 'skinned_gaussians'),
        ('skeleton', 'octopus', 'smplx'),
        ('axes', 'z up', 'x left'),
        ('units', 'inch', 'metre'),
        ('name', 3, 'a string'),
        ('licence', None, 'a string'),
        ('gaussians', {'file': '../a.ply', 'count': 60, 'sh_degree': 0}, 'malicious'),
        ('gaussians', {'file': '/etc/passwd', 'count': 60, 'sh_degree': 0}, 'malicious'),
        ('gaussians', {'file': 'gaussians.ply', 'count': 61, 'sh_degree': 0}, 'promises 61'),
        ('gaussians', {'file': 'gaussians.ply', 'count': 10**12, 'sh_degree': 0}, 'integer'),
        ('gaussians', {'file': 'gaussians.ply', 'count': 60, 'sh_degree': 1}, 'degree'),
        ('tensors', {'file': 'missing.safetensors'}, 'has no missing'),
        ('tensors', [], 'an object'),
        ('expression', {'basis': 'x', 'names': ['a'], 'drives_jaw': True}, 'arkit52'),
        ('expression', {'basis': 'arkit52', 'names': ['a', 'a', 'b'], 'drives_jaw': True}, 'names'),
        ('provenance', 'nobody', 'an object'),
    ],
)
def test_wrong_field_is_named(tmp_path, bundle, field, value, expected):
    save_bundle(tmp_path, bundle)
    manifest = json.loads((tmp_path / 'avatar.json').read_text())
    manifest[field] = value
    (tmp_path / 'avatar.json').write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=expected):
        load_bundle(tmp_path)


def _tensor(name, change):
    def apply(path):
        tensors = dict(load_file(path))
        tensors[name] = change(tensors[name])
        save_file(tensors, path)

    return apply


def _set(row, value):
    def change(array):
        array = array.copy()
        array[row] = value
        return array

    return change


@pytest.mark.parametrize(
    ('name', 'change', 'expected'),
    [
        ('rest_joints', lambda a: a[:-1], r'\(55, 3\)'),
        ('rest_joints', _set(0, np.nan), 'finite'),
        ('rest_joints', lambda a: a * 1e4, 'at most'),
        ('rest_joints', lambda a: a.astype(np.float64), 'F32'),
        ('skin_joints', _set(0, 55), '0..54'),
        ('skin_weights', _set(0, -0.5), 'sum to one'),
        ('skin_weights', lambda a: a * 2, 'sum to one'),
        ('expression_index', _set(-1, 60), '0..59'),
        ('expression_index', lambda a: a[::-1].copy(), 'ascending'),
        ('expression_values', lambda a: a[:2], r'\(3, 20, 3\)'),
        ('expression_scale', _set(0, np.inf), 'finite'),
        ('sole_joints', _set(0, 200), '0..54'),
    ],
)
def test_wrong_tensor_is_named(tmp_path, bundle, name, change, expected):
    save_bundle(tmp_path, bundle)
    _tensor(name, change)(tmp_path / 'avatar.safetensors')
    with pytest.raises(BundleError, match=f'{name}.*{expected}'):
        load_bundle(tmp_path)


def test_file_larger_than_allowed_is_refused_before_it_is_read(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(bundle_reader, 'MAX_FILE_BYTES', 1000)
    for path in (tmp_path / 'a', tmp_path / 'a.zip'):
        save_bundle(path, bundle)
        with pytest.raises(BundleError, match='at most 1000'):
            load_bundle(path)


def test_zip_bomb_is_refused(tmp_path, bundle):
    save_bundle(tmp_path / 'a', bundle)
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('avatar.json', b' ' * (50 << 20))
    assert (tmp_path / 'a.zip').stat().st_size < 100_000
    with pytest.raises(BundleError, match='at most'):
        load_bundle(tmp_path / 'a.zip')


def test_names_outside_the_zip_do_nothing(tmp_path, bundle):
    save_bundle(tmp_path / 'a.zip', bundle)
    with zipfile.ZipFile(tmp_path / 'a.zip', 'a') as archive:
        archive.writestr('../escaped.txt', b'gotcha')
        archive.writestr('/escaped.txt', b'gotcha')
    load_bundle(tmp_path / 'a.zip')
    assert [path.name for path in tmp_path.iterdir()] == ['a.zip']


def test_entry_given_twice_is_refused(tmp_path, bundle):
    save_bundle(tmp_path / 'a.zip', bundle)
    with (
        zipfile.ZipFile(tmp_path / 'a.zip', 'a') as archive,
        pytest.warns(UserWarning, match='Duplicate'),
    ):
        archive.writestr('avatar.json', b'{}')
    with pytest.raises(BundleError, match='2 times'):
        load_bundle(tmp_path / 'a.zip')


def test_link_out_of_the_directory_is_not_followed(tmp_path, bundle):
    save_bundle(tmp_path / 'a', bundle)
    secret = tmp_path / 'secret.json'
    (tmp_path / 'a' / 'avatar.json').rename(secret)
    (tmp_path / 'a' / 'avatar.json').symlink_to(secret)
    with pytest.raises(BundleError, match=r'has no avatar\.json'):
        load_bundle(tmp_path / 'a')


def test_missing_bundle_says_what_to_give(tmp_path):
    with pytest.raises(BundleError, match=r'directory or a \.zip'):
        load_bundle(tmp_path / 'nothing.zip')
    with pytest.raises(ValueError, match='demo'):
        load_avatar('nobody')


@pytest.mark.parametrize('manifest', [b'', b'[]', b'\xff\xfe', b'[' * 100_000, b'{"format": NaN}'])
def test_manifest_that_is_not_an_object_is_refused(tmp_path, bundle, manifest):
    save_bundle(tmp_path, bundle)
    (tmp_path / 'avatar.json').write_bytes(manifest)
    with pytest.raises(BundleError):
        load_bundle(tmp_path)


@pytest.mark.parametrize('name', ['avatar.json', 'gaussians.ply', 'avatar.safetensors', 'zip'])
def test_damaged_bytes_give_a_bundle_error_or_a_valid_bundle(tmp_path, name):
    """Flips, cuts and insertions anywhere; no other exception may come out."""
    folder, archive = tmp_path / 'a', tmp_path / 'a.zip'
    bundle = random_bundle(count=24)
    save_bundle(folder, bundle)
    save_bundle(archive, bundle)
    target = archive if name == 'zip' else folder / name
    good = target.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        match rng.integers(3):
            case 0:
                for _ in range(rng.integers(1, 4)):
                    at = int(rng.integers(min(len(data), int(rng.choice([300, len(data)])))))
                    data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[int(rng.integers(len(data))) :]
            case 2:
                at = int(rng.integers(len(data)))
                data[at:at] = rng.bytes(int(rng.integers(1, 40)))
        target.write_bytes(bytes(data))
        try:
            loaded = load_bundle(archive if name == 'zip' else folder)
        except BundleError:
            refused += 1
            continue
        assert len(loaded) == 24
        assert torch.isfinite(loaded.gaussians.means).all()
        assert loaded.skin_joints.max() < 55
    assert refused > 50
