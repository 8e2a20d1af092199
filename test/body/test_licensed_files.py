# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Files as the licensors hand them out, made here in the same formats, and malicious ones."""

import os
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
from scipy.sparse import csc_matrix, csr_matrix

from avatar_ros.body import FLAME, SMPL, SMPLX
from avatar_ros.body.licensed import BodyModelError, read_model_file
from avatar_ros.body.model import load_body_model

VERTICES = 9


def arrays(skeleton=SMPL, columns: int = 10) -> dict[str, object]:
    """A tiny body in the licensed layout: nine vertices."""
    rng = np.random.default_rng(0)
    joints = len(skeleton)
    weights = rng.random((VERTICES, joints))
    regressor = rng.random((joints, VERTICES))
    parents = [2**32 - 1 if p < 0 else p for p in skeleton.parents]
    return {
        'v_template': rng.normal(size=(VERTICES, 3)),
        'f': rng.integers(0, VERTICES, (7, 3)).astype(np.uint32),
        'shapedirs': rng.normal(size=(VERTICES, 3, columns)),
        'posedirs': rng.normal(size=(VERTICES, 3, 9 * (joints - 1))) * 0.01,
        'J_regressor': regressor / regressor.sum(1, keepdims=True),
        'weights': weights / weights.sum(1, keepdims=True),
        'kintree_table': np.array([parents, range(joints)], dtype=np.int64),
    }


def chumpy_modules() -> dict[str, types.ModuleType]:
    """Stand-ins with chumpy's names: what they pickle looks like what chumpy pickles."""
    ch, reordering = types.ModuleType('chumpy.ch'), types.ModuleType('chumpy.reordering')

    class Ch:
        def __init__(self, x):
            self.x = x

        def __getstate__(self):
            return {'x': self.x, '_dirty_vars': set(), '_itr': None}

    class Select:
        def __init__(self, a, idxs, shape):
            self.a, self.idxs, self.preferred_shape = a, idxs, shape

    Ch.__module__, Ch.__qualname__ = 'chumpy.ch', 'Ch'
    Select.__module__, Select.__qualname__ = 'chumpy.reordering', 'Select'
    ch.Ch, reordering.Select = Ch, Select
    return {'chumpy': types.ModuleType('chumpy'), 'chumpy.ch': ch, 'chumpy.reordering': reordering}


def licensed_pickle(path, skeleton=SMPL, protocol: int = 2, change=None) -> dict[str, object]:
    """Write the kind of pickle that SMPL and FLAME come in; returns the plain arrays."""
    plain = arrays(skeleton)
    data: dict[str, object] = dict(plain)
    modules = chumpy_modules()
    Ch, Select = modules['chumpy.ch'].Ch, modules['chumpy.reordering'].Select
    wide = np.concatenate([plain['shapedirs'], np.zeros((VERTICES, 3, 5))], axis=2)
    chosen = np.arange(wide.size).reshape(wide.shape)[:, :, :10].ravel()
    data['shapedirs'] = Select(Ch(wide), chosen, (VERTICES, 3, 10))
    data['posedirs'] = Ch(plain['posedirs'])
    data['weights'] = Ch(Ch(plain['weights']))
    data['J_regressor'] = csc_matrix(plain['J_regressor'])
    data['J_regressor_prior'] = csr_matrix(plain['J_regressor'])
    data['bs_type'], data['bs_style'] = 'lrotmin', 'lbs'
    data['joint2num'] = OrderedDict(pelvis=0)
    data['f_scalar'] = np.float64(3.5)
    if change:
        change(data)
    sys.modules.update(modules)
    try:
        path.write_bytes(pickle.dumps(data, protocol=protocol))
    finally:
        for name in modules:
            del sys.modules[name]
    return plain


@pytest.mark.parametrize('protocol', [0, 1, 2, 4])
@pytest.mark.parametrize('skeleton', [SMPL, FLAME], ids=['smpl', 'flame'])
def test_licensed_pickle_gives_its_arrays(tmp_path, skeleton, protocol):
    plain = licensed_pickle(tmp_path / 'm.pkl', skeleton, protocol)
    found = read_model_file(tmp_path / 'm.pkl')
    for name in plain:
        np.testing.assert_allclose(found[name], plain[name], atol=1e-12)
    np.testing.assert_allclose(found['J_regressor_prior'], plain['J_regressor'])
    assert 'joint2num' not in found
    model = load_body_model(tmp_path / 'm.pkl')
    assert model.kind == skeleton.name
    assert model.pose_dirs is not None


def test_reading_needs_neither_chumpy_nor_scipy(tmp_path):
    licensed_pickle(tmp_path / 'm.pkl')
    before = set(sys.modules)
    read_model_file(tmp_path / 'm.pkl')
    assert not {m for m in set(sys.modules) - before if m.startswith(('chumpy', 'scipy'))}


class _Runs:
    """Unpickling this runs a command."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ('function', 'name'),
    [
        (os.system, 'system'),
        (eval, 'eval'),
        (exec, 'exec'),
        (__import__, '__import__'),
        (getattr, 'getattr'),
        (np.load, 'load'),
        (pickle.loads, 'loads'),
    ],
)
def test_malicious_pickle_does_nothing(tmp_path, function, name):
    mark = tmp_path / 'mark'
    argument = f'touch {mark}' if name == 'system' else f'open({str(mark)!r}, "w")'

    def poison(data):
        data['weights'] = _Runs(function, argument)

    licensed_pickle(tmp_path / 'm.pkl', change=poison)
    with pytest.raises(BodyModelError, match=rf'm\.pkl.*{name}.*malicious'):
        read_model_file(tmp_path / 'm.pkl')
    assert not mark.exists()


def test_poison_inside_a_chumpy_array_does_nothing(tmp_path):
    mark = tmp_path / 'mark'

    def poison(data):
        data['posedirs'].x = _Runs(os.system, f'touch {mark}')

    licensed_pickle(tmp_path / 'm.pkl', change=poison)
    with pytest.raises(BodyModelError, match='system'):
        read_model_file(tmp_path / 'm.pkl')
    assert not mark.exists()


def test_damaged_pickle_gives_a_clear_error_and_nothing_else(tmp_path):
    path = tmp_path / 'm.pkl'
    licensed_pickle(path)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(120):
        data = bytearray(good)
        if rng.random() < 0.3:
            del data[int(rng.integers(len(data))) :]
        else:
            for _ in range(3):
                data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        try:
            load_body_model(path)
        except BodyModelError:
            continue


def test_object_arrays_of_npz_files_are_skipped_not_unpickled(tmp_path):
    """As in SMPL-X's file: joint2num is a pickled dictionary."""
    mark = tmp_path / 'mark'
    data = arrays(SMPLX, 20)
    data['joint2num'] = np.array({'pelvis': 0}, dtype=object)
    data['part2num'] = np.array(_Runs(os.system, f'touch {mark}'), dtype=object)
    np.savez(tmp_path / 'SMPLX_NEUTRAL.npz', **data)
    model = load_body_model(tmp_path / 'SMPLX_NEUTRAL.npz')
    assert model.kind == 'smplx'
    assert not mark.exists()
    assert set(read_model_file(tmp_path / 'SMPLX_NEUTRAL.npz')) == set(arrays(SMPLX))


def test_file_that_is_missing_or_of_another_kind_is_refused(tmp_path):
    with pytest.raises(BodyModelError, match='no such body model'):
        read_model_file(tmp_path / 'x.npz')
    for name in ('x.npz', 'x.pkl'):
        (tmp_path / name).write_bytes(b'PK\x03\x04 not really')
        with pytest.raises(BodyModelError, match='not a readable'):
            read_model_file(tmp_path / name)
    (tmp_path / 'x.obj').write_bytes(b'')
    with pytest.raises(BodyModelError, match=r'expected \.npz or \.pkl'):
        read_model_file(tmp_path / 'x.obj')
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(BodyModelError, match='expected a dictionary'):
        read_model_file(tmp_path / 'x.pkl')
