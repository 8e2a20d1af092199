# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The commands `avatar_ros inspect` and `avatar_ros render`."""

import argparse

import av
import cv2
import numpy as np
import pytest
from made_bundles import random_bundle

from avatar_ros.avatars import save_bundle
from avatar_ros.avatars.showcase import SHEET, contact_sheet
from avatar_ros.cli import inspect, render
from avatar_ros.render import select_engine


def call(command, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args([command.__name__.rsplit('.', 1)[1], *map(str, arguments)])
    return args.run(args)


@pytest.mark.parametrize('command', [inspect, render])
def test_help_teaches_with_examples(command, capsys):
    with pytest.raises(SystemExit) as end:
        call(command, '--help')
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert 'examples:' in out
    assert 'avatar_ros' in out


def test_inspect_says_what_is_in_the_bundle(tmp_path, capsys):
    save_bundle(tmp_path / 'me.zip', random_bundle())
    assert call(inspect, tmp_path / 'me.zip') == 0
    out = capsys.readouterr().out
    for expected in (
        'random',
        'CC0-1.0',
        '60, spherical',
        'smplx',
        '3 actions of arkit52',
        '6 points',
    ):
        assert expected in out


def test_inspect_draws_a_contact_sheet(tmp_path):
    assert call(inspect, 'demo', '--out', tmp_path / 'sheet.png', '--size', '48') == 0
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))
    assert sheet.shape == (48 * -(-len(SHEET) // 4), 48 * 4, 3)


def test_every_picture_of_the_sheet_shows_the_person(dressed):
    sheet = contact_sheet(dressed, select_engine('numba'), size=64, columns=1)
    for i in range(len(SHEET)):
        picture = sheet[64 * i : 64 * (i + 1)].astype(float)
        person = np.abs(picture - picture[0, 0]).max(2) > 30
        assert 0.03 < person.mean() < 0.9, i
        assert not person[:2].any() or SHEET[i].joint, i  # no head is cut off


def test_render_writes_a_video_of_the_built_in_clip(tmp_path):
    out = tmp_path / 'sub' / 'demo.mp4'
    arguments = ('--size', '96x64', '--fps', '5', '--orbit', '90')
    assert call(render, 'demo', '--out', out, *arguments) == 0
    with av.open(str(out)) as video:
        images = [frame.to_ndarray(format='rgb24') for frame in video.decode(video=0)]
        assert video.streams.video[0].codec_context.name in ('h264', 'libx264')
    assert len(images) == 25
    assert images[0].shape == (64, 96, 3)
    assert np.abs(images[0].astype(int) - images[12]).max() > 40


def test_walk_stays_in_the_picture_and_on_the_floor(tmp_path, dressed):
    """A motion file that starts far away and high up."""
    poses = np.zeros((12, 165))
    trans = np.stack([np.linspace(0, 0.5, 12) + 40, np.full(12, 7.0), np.zeros(12)], 1)
    np.savez(tmp_path / 'walk.npz', poses=poses, trans=trans, mocap_framerate=12.0)
    motion = render.load_motion(tmp_path / 'walk.npz')
    view = render.View(64, 64, 0.0, 0.0, 0.0, 0.0, '')
    images = list(render.frames(dressed, select_engine('numba'), motion, view, 12.0, 12))
    for image in images:
        person = np.abs(image.astype(int) - image[0, 0]).max(2) > 40
        rows = np.flatnonzero(person.any(1))
        assert 0 < rows.min() < 12
        assert 50 < rows.max() < 64
        assert abs(np.flatnonzero(person.any(0)).mean() - 32) < 12


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (('--size', 'big'), '1280x720'),
        (('--size', '99x99'), 'even'),
        (('--fps', '0.2'), '--fps'),
        (('--across', '-1'), '--across'),
        (('--look', 'tail'), 'head'),
        (('--motion', 'dance'), 'demo'),
        (('--engine', 'magic'), 'numba'),
    ],
)
def test_wrong_argument_of_render_is_explained(tmp_path, arguments, expected):
    with pytest.raises(ValueError, match=expected):
        call(render, 'demo', '--out', tmp_path / 'x.mp4', *arguments)
    assert not (tmp_path / 'x.mp4').exists()


def test_wrong_output_is_explained_before_anything_is_rendered(tmp_path):
    with pytest.raises(ValueError, match=r'\.mp4'):
        call(render, 'demo', '--out', tmp_path / 'x.gif', '--size', '64x64')
    with pytest.raises(ValueError, match='demo'):
        call(inspect, 'nobody')
    with pytest.raises(ValueError, match=r'\.webp'):
        call(inspect, 'demo', '--out', tmp_path / 'a.gif', '--size', '16')
    with pytest.raises(ValueError, match='--size'):
        call(inspect, 'demo', '--out', tmp_path / 'a.png', '--size', '5')


def test_interrupted_render_leaves_a_video_that_plays(tmp_path, monkeypatch):
    original = render.frames

    def interrupted(*arguments):
        for i, image in enumerate(original(*arguments)):
            if i == 4:
                raise KeyboardInterrupt
            yield image

    monkeypatch.setattr(render, 'frames', interrupted)
    out = tmp_path / 'x.mp4'
    assert call(render, 'demo', '--out', out, '--size', '64x64') == 130
    with av.open(str(out)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 4
