# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Heads by the command line, from nothing to a contact sheet; and photographs that cannot do."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar_ros.assets import MissingAssetError, asset_path
from avatar_ros.avatars import HeadAvatar, load_avatar
from avatar_ros.body.flame import free_head
from avatar_ros.cli.main import main
from avatar_ros.training.head.prior_file import load_prior, shipped_prior


def test_from_made_people_to_a_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads, prior, out = tmp_path / 'heads', tmp_path / 'prior.zip', tmp_path / 'me.zip'
    few = ['--count', '2', '--size', '48', '--faces', '1']
    assert main(['capture', 'heads', '--out', str(heads), *few]) == 0
    learn = ['train', 'head-prior', '--data', str(heads), '--out', str(prior), '--threads', '1']
    assert main([*learn, '--preset', 'preview', '--iterations', '2', '--size', '48']) == 0
    made = ['--capture', str(heads / 'painted_001'), '--prior', str(prior), '--threads', '1']
    assert main(['personalize', 'head', *made, '--out', str(out)]) == 0
    assert isinstance(load_avatar(out), HeadAvatar)
    assert (tmp_path / 'me.training' / 'photographs_and_head.png').exists()
    assert main(['inspect', str(out), '--out', str(tmp_path / 'sheet.png'), '--size', '32']) == 0
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape == (96, 160, 3)
    assert '52 directions of arkit52' in capsys.readouterr().out
    assert main(['personalize', 'head', *made, '--out', str(out)]) == 1
    assert 'holds a run already' in capsys.readouterr().err


def test_the_shipped_prior_and_head_fit_this_version() -> None:
    prior = load_prior(shipped_prior(), free_head())
    assert len(prior.identities) >= 20
    avatar = load_avatar('head')
    assert isinstance(avatar, HeadAvatar)
    assert avatar.bundle.licence == 'CC0-1.0'


def picture(folder: Path, name: str, image: np.ndarray) -> str:
    path = folder / name
    cv2.imwrite(str(path), image)
    return str(path)


def personalize(tmp_path: Path, *images: str) -> int:
    return main(['personalize', 'head', '--images', *images, '--out', str(tmp_path / 'me.zip')])


@pytest.fixture
def face() -> np.ndarray:
    """A frame of the fetched face video, BGR."""
    try:
        asset_path('face_landmarker.task')
        video = cv2.VideoCapture(str(asset_path('face.mp4')))
    except MissingAssetError as error:
        pytest.skip(f'needs the fetched face model and video: {error}')
    return np.asarray(video.read()[1])


def test_photographs_without_one_usable_face_are_refused(
    tmp_path: Path, face: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    height, width = face.shape[:2]
    tiny = cv2.resize(face, (20, 20))
    crowd = np.hstack([face, face])
    blank = np.full((200, 200, 3), 90, np.uint8)
    small = np.full((700, 1200, 3), 90, np.uint8)
    scaled = cv2.resize(face, (64, 64 * height // width))
    small[300 : 300 + len(scaled), 500:564] = scaled
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'\xff\xd8 no picture')
    for name, image, said in (
        ('tiny.png', tiny, 'has 20x20 pixels'),
        ('crowd.png', crowd, 'shows 2 faces'),
        ('blank.png', blank, 'shows no face'),
    ):
        assert personalize(tmp_path, picture(tmp_path, name, image)) == 1
        error = capsys.readouterr().err
        assert name in error
        assert said in error
    assert personalize(tmp_path, picture(tmp_path, 'small.png', small)) == 1
    assert any(s in capsys.readouterr().err for s in ('shows no face', 'pixels high'))
    assert personalize(tmp_path, str(broken)) == 1
    assert 'cannot be read as a picture' in capsys.readouterr().err
    assert personalize(tmp_path, *[str(broken)] * 17) == 1
    assert 'at most 16' in capsys.readouterr().err


def test_a_photograph_is_tracked_where_the_face_is(tmp_path: Path, face: np.ndarray) -> None:
    from avatar_ros.training.head.capture import load_head_capture
    from avatar_ros.training.head.photographs import landmark_map, photographs_as_capture

    path = Path(picture(tmp_path, 'me.png', face))
    tracked = photographs_as_capture([path], tmp_path / 'out', free_head(), landmark_map())
    assert tracked.error_px[0] < 0.02 * face.shape[0]
    assert (tracked.instants[0].expression >= 0).all()
    assert 0.2 < tracked.instants[0].translation[2] < 3.0, 'metres before the camera'
    (shot,) = load_head_capture(tmp_path / 'out').shots['train']
    mask = cv2.imread(str(shot.mask), cv2.IMREAD_GRAYSCALE)
    assert 0.15 < (mask > 127).mean() < 0.9
    assert mask[-1].mean() < 40, 'shoulders are cut off'


def test_arguments_that_contradict_each_other_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / 'p.zip')
    assert main(['train', 'head-prior', '--data', str(tmp_path), '--out', out]) == 1
    assert 'holds no capture of a head' in capsys.readouterr().err
    flame = ['--flame', 'flame.pkl']
    assert main(['train', 'head-prior', '--data', str(tmp_path), '--out', out, *flame]) == 1
    assert '--flame needs --flame-uv and --flame-masks' in capsys.readouterr().err
    assert main(['capture', 'heads', '--out', out, '--faces', '99']) == 1
    assert '--faces 99; expected 1..11' in capsys.readouterr().err
    assert main(['convert', 'lam', str(tmp_path), '--out', out]) == 1
    assert 'avatar.json' in capsys.readouterr().err
