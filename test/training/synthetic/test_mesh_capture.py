# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Captures of a mesh person hold the truth: poses, silhouettes, parts, wrinkles."""

import argparse
import hashlib

import cv2
import numpy as np
import pytest

from avatar_ros.body.skeletons import SMPLX
from avatar_ros.cli import capture_synthetic
from avatar_ros.training.capture import PARTS, CaptureError
from avatar_ros.training.datasets.directory import load_directory
from avatar_ros.training.synthetic.clothes_motion import MAX_SWAY_M, MAX_WRINKLE_M
from avatar_ros.training.synthetic.mesh_generate import MeshCaptureOptions, generate_mesh_capture
from avatar_ros.training.synthetic.mesh_person import pose_vertices, read_person
from avatar_ros.training.synthetic.mesh_raster import Mesh, TextureSet, draw
from avatar_ros.training.synthetic.painted import painted_person

OPTIONS = MeshCaptureOptions(frames=6, cameras=3, size=96, expressions=True)


@pytest.fixture(scope='module')
def person():
    return painted_person(256)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('made') / 'capture'
    generate_mesh_capture(path, OPTIONS)
    return path


def picture(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def bent(scale=1.0, seed=3):
    return np.random.default_rng(seed).normal(scale=0.4, size=(55, 3)) * scale


def test_cloth_rests_in_the_t_pose_and_skin_always(person):
    assert not person.clothes.displacement(np.zeros((55, 3))).any()
    moved = person.clothes.displacement(bent())
    assert not moved[person.cloth == 0].any()
    assert np.abs(moved[person.cloth > 0.9]).max() > 0.003
    assert np.linalg.norm(moved, axis=1).max() <= MAX_WRINKLE_M + MAX_SWAY_M


def test_cloth_follows_the_joints_alone_and_smoothly(person):
    pose = bent()
    turned = pose.copy()
    turned[0] = (0.3, 2.0, 0.1)
    here = person.clothes.displacement(pose)
    assert np.array_equal(here, person.clothes.displacement(turned))
    for size in (1e-2, 1e-4):
        step = bent(size, seed=4)
        change = np.linalg.norm(person.clothes.displacement(pose + step) - here, axis=1).max()
        assert change <= 0.15 * np.linalg.norm(step)


def test_pictures_show_the_pose_in_the_file(folder):
    capture = load_directory(folder)
    s = capture.subject
    white = TextureSet.build([np.full((1, 1, 4), 255, np.uint8)], [False])
    zeros = np.zeros(len(s.faces))
    mesh = Mesh(
        s.faces.astype(np.int32),
        np.zeros((len(s.vertices), 2), np.float32),
        zeros.astype(np.int32),
        zeros.astype(np.uint8),
        white,
    )
    for shot in capture.shots[::4]:
        pose = capture.poses.rotvecs[shot.row], capture.poses.translations[shot.row]
        body = pose_vertices(s.vertices, s.weights, s.rest_joints, *pose)
        ours = draw(mesh, body, np.ones_like(body), shot.camera).coverage > 0.5
        truth = picture(shot.mask) > 127
        assert (ours & truth).sum() / (ours | truth).sum() > 0.93
        assert not picture(shot.image)[picture(shot.mask) == 0].any()
        assert np.array_equal(picture(shot.parts) > 0, picture(shot.mask) >= 128)


def test_parts_lie_at_their_joints(folder):
    capture = load_directory(folder)
    s, hits = capture.subject, []
    wanted = {'head': 'head', 'left_ankle': 'leg', 'right_knee': 'leg', 'spine3': 'torso'}
    for shot in capture.shots:
        pose = capture.poses.rotvecs[shot.row], capture.poses.translations[shot.row]
        for joint, part in wanted.items():
            row = SMPLX.index[joint]
            at = pose_vertices(s.rest_joints[[row]], np.eye(55)[[row]], s.rest_joints, *pose)
            x, y = shot.camera.project(at)[0].astype(int)
            hits.append(picture(shot.parts)[y, x] == PARTS.index(part) + 1)
    # An arm may pass in front.
    assert np.mean(hits) > 0.75


def test_the_splits_share_no_camera_and_no_instant(folder):
    capture = load_directory(folder)
    train, view, pose = (capture.split(n) for n in ('train', 'novel_view', 'novel_pose'))
    assert train
    assert view
    assert pose
    assert not {s.camera_name for s in train} & {s.camera_name for s in view}
    assert not {s.row for s in train} & {s.row for s in pose}
    assert capture.poses.expression is not None
    assert capture.poses.expression.any()


def test_one_seed_gives_one_set_of_pictures(folder, tmp_path):
    generate_mesh_capture(tmp_path / 'again', OPTIONS)

    def digest(root):
        files = sorted(p for p in root.rglob('*') if p.suffix in ('.png', '.json'))
        return [(p.relative_to(root), hashlib.sha256(p.read_bytes()).digest()) for p in files]

    assert digest(folder) == digest(tmp_path / 'again')
    with np.load(folder / 'poses.npz') as a, np.load(tmp_path / 'again' / 'poses.npz') as b:
        assert all(np.array_equal(a[name], b[name]) for name in a.files)


def test_nothing_is_overwritten_by_mistake(folder, tmp_path):
    with pytest.raises(CaptureError, match='--overwrite'):
        generate_mesh_capture(folder, OPTIONS)
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(CaptureError, match='is no capture'):
        generate_mesh_capture(tmp_path, OPTIONS, overwrite=True)
    assert (tmp_path / 'thesis.txt').exists()


def test_a_person_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / 'person.npz'
    np.savez(path, joints=np.zeros((55, 3)))
    with pytest.raises(CaptureError, match='body_vertices has shape None'):
        read_person(path)
    path.write_bytes(b'no zip')
    with pytest.raises(CaptureError, match='cannot be read'):
        read_person(path)


def test_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('avatar_ros.training.synthetic.mesh_generate._write', stop)
    parser = argparse.ArgumentParser(prog='avatar_ros capture synthetic')
    capture_synthetic.add_arguments(parser)
    args = parser.parse_args(['--out', str(tmp_path / 'c'), '--frames', '5', '--size', '32'])
    assert capture_synthetic.run(args) == 130
    assert list(tmp_path.iterdir()) == []
    assert 'examples' in parser.format_help()
