# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Videos and calibrations are read, and what is wrong with them is named."""

import argparse
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from helpers import asset_or_skip

from avatar_ros.cli import capture_from_video as command
from avatar_ros.geometry import Camera, look_at
from avatar_ros.training.capture import CaptureError
from avatar_ros.training.datasets import check_shots, load_capture
from avatar_ros.training.datasets.directory import read_cameras, write_cameras
from avatar_ros.training.from_video.make import VideoOptions, _calibrated, capture_from_video
from avatar_ros.training.from_video.multiview import VIDEOS, load_cameras, triangulate
from avatar_ros.training.from_video.watch import clean_mask, video_fps, video_size


def arguments(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def video(tmp_path):
    """An empty room, four pictures of 96x128."""
    path = tmp_path / 'room.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25.0, (96, 128))
    for k in range(4):
        writer.write(np.full((128, 96, 3), 40 + k, np.uint8))
    writer.release()
    return path


def test_of_several_pieces_the_one_with_the_landmarks_is_the_person():
    share = np.zeros((60, 80))
    share[5:55, 50:78] = 1.0  # a bystander, larger
    share[10:50, 10:25] = 0.9
    share[30, 15] = 0.0  # a pinhole
    share[40:45, 25:30] = 0.4  # not sure
    landmarks = np.array([[15.0, 20.0], [20.0, 40.0], [-5.0, 500.0]])
    mask = clean_mask(share, landmarks)
    expected = np.zeros((60, 80), np.uint8)
    expected[10:50, 10:25] = 255
    assert np.array_equal(mask, expected)
    assert clean_mask(share)[20, 60] == 255
    assert not clean_mask(np.zeros((60, 80)), landmarks).any()


def test_a_view_that_disagrees_loses_its_weight():
    cameras = [
        Camera.from_fov(640, 480, 50.0, T_camera_world=look_at([4 * np.sin(a), 1, 4 * np.cos(a)],
                                                               [0, 0, 0]))
        for a in (0.0, 1.3, 2.5, 4.0)
    ]  # fmt: skip
    points = np.random.default_rng(0).normal(scale=0.4, size=(33, 3))
    pixels = np.array([camera.project(points) for camera in cameras])
    assert np.abs(triangulate(cameras, pixels, np.ones((4, 33))) - points).max() < 1e-6
    pixels[2] += 60.0
    assert np.abs(triangulate(cameras, pixels, np.ones((4, 33))) - points).max() < 0.03


QCA = """<?xml version="1.0"?><calibration><cameras>
<camera serial="left"><fov_video left="8" top="0" right="1087" bottom="1919"/>
<transform x="1000" y="-2000" z="3000" r11="1" r12="0" r13="0" r21="0" r22="1" r23="0"
 r31="0" r32="0" r33="1"/>
<intrinsic focalLengthU="64000" focalLengthV="65280" centerPointU="35200" centerPointV="61440"
 radialDistortion1="-0.64" radialDistortion2="0.128" tangentalDistortion1="0"
 tangentalDistortion2="0"/></camera></cameras></calibration>"""


def test_qualisys_calibrations(tmp_path, video):
    path = tmp_path / 'calib.qca.txt'
    path.write_text(QCA)
    camera = load_cameras(path)['left']
    assert np.allclose(camera.K, [[1000, 0, 542], [0, 1020, 960], [0, 0, 1]])
    assert np.allclose(camera.position, [1.0, -2.0, 3.0])
    assert np.allclose(camera.distortion, [-0.01, 0.002, 0, 0])
    with pytest.raises(CaptureError, match=r"no camera 'right'; it has left.*NAME=FILE"):
        _calibrated({'right': video}, path, VideoOptions())


def test_calibrations_follow_the_size_that_is_kept(tmp_path, video):
    write_cameras(tmp_path / 'cameras.json', {'a': Camera.from_fov(192, 256, 50.0)})
    camera = _calibrated({'a': video}, tmp_path / 'cameras.json', VideoOptions(size=64))['a']
    assert (camera.width, camera.height) == (48, 64)
    assert np.allclose(camera.K, Camera.from_fov(48, 64, 50.0).K)


def test_one_camera_may_have_a_ros_calibration(tmp_path, video):
    def matrix(*data):
        return {'data': list(data)}

    content = {
        'image_width': 96,
        'image_height': 128,
        'camera_matrix': matrix(100.0, 0, 47.5, 0, 100.0, 63.5, 0, 0, 1),
        'distortion_model': 'plumb_bob',
        'distortion_coefficients': matrix(0.1, 0, 0, 0, 0),
    }
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump(content))
    camera = _calibrated({'a': video}, path, VideoOptions(size=64))['a']
    assert np.allclose(camera.K[:2, 2], (24, 32))
    assert camera.distortion[0] == 0.1
    with pytest.raises(CaptureError, match='of one camera'):
        _calibrated({'a': video, 'b': video}, path, VideoOptions())
    path.write_text('nothing')
    with pytest.raises(CaptureError, match=r'camera\.yaml'):
        _calibrated({'a': video}, path, VideoOptions())


def test_what_cannot_be_used_is_named(tmp_path, video):
    with pytest.raises(CaptureError, match='no calibration'):
        _calibrated({'a': video, 'b': video}, None, VideoOptions())
    with pytest.raises(CaptureError, match=r'absent\.mp4: is missing'):
        _calibrated({'a': tmp_path / 'absent.mp4'}, None, VideoOptions())
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(CaptureError, match='no video'):
        video_size(tmp_path / 'text.mp4')
    (tmp_path / 'calib.txt').write_text('<calibration')
    with pytest.raises(CaptureError, match='neither'):
        _calibrated({'a': video}, tmp_path / 'calib.txt', VideoOptions())
    assert video_size(video) == (96, 128)
    assert video_fps(video) == 25.0
    for words in (
        ['--every', 0, '--video', video],
        ['--size', 8, '--video', video],
        [],
        ['--video', f'a={video}', '--video', f'a={video}'],
        ['--video', f'a/b={video}'],
    ):
        with pytest.raises(ValueError, match=r'video|expected'):
            command.run(arguments('--out', tmp_path / 'out', *words))


def test_an_empty_room_is_no_capture(tmp_path, video):
    pytest.importorskip('mediapipe')
    with pytest.raises(CaptureError, match='in 0 of 4 frames'):
        capture_from_video(tmp_path / 'out', {'a': video}, None, VideoOptions(), progress=False)


def test_pictures_of_others_are_not_overwritten(tmp_path, video):
    picture = tmp_path / 'mine' / 'images' / 'a' / '000000.jpg'
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b'precious')
    with pytest.raises(CaptureError, match='not made here'):
        capture_from_video(tmp_path / 'mine', {'a': video}, None, VideoOptions(), progress=False)
    assert picture.read_bytes() == b'precious'


@pytest.mark.parametrize('count', [1, 4])
def test_the_demo_videos_give_a_capture(tmp_path, count):
    """End to end on a few real pictures; a second run takes what the first has kept."""
    pytest.importorskip('mediapipe')
    calibration = asset_or_skip('body_calibration.qca.txt') if count > 1 else None
    videos = {n: asset_or_skip(VIDEOS[n]) for n in ('cam02', 'cam01', 'cam03', 'cam04')[:count]}
    options = VideoOptions(3, 5, 480, 59.7, 'BSD-3-Clause', iterations=150)
    out = tmp_path / 'real'
    _, rows = capture_from_video(out, videos, calibration, options, progress=False)
    assert [row.name for row in rows] == list(videos)
    for row in rows:
        assert row.mask_iou > (0.75 if count > 1 else 0.6), row
        assert row.error_px < 8, row
    capture = check_shots(load_capture(out))
    assert len(capture.shots) == 5 * count
    assert not capture.skipped
    assert (capture.fps, capture.licence) == (20.0, 'BSD-3-Clause')
    assert all(c.height == 480 for c in read_cameras(out / 'cameras.json').values())
    if count == 1:
        picture = out / 'images' / 'cam02' / '000000.jpg'
        written = picture.stat().st_mtime_ns
        capture_from_video(out, videos, calibration, options, progress=False)
        assert picture.stat().st_mtime_ns == written
        options = replace(options, max_frames=3, size=240, iterations=20)
        capture_from_video(out, videos, calibration, options, progress=False)
        assert len(list(picture.parent.glob('*'))) == 3
        assert len(check_shots(load_capture(out)).shots) == 3
