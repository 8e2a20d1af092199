# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The page's own modules, tested by node's test runner."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / 'avatar_ros' / 'streaming' / 'page' / 'xr'


def _node() -> str:
    node = shutil.which('node')
    if node is None:
        pytest.skip('node is not installed; the tests of the page need node 20 or newer')
    version = subprocess.run([node, '--version'], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip('v').split('.')[0]) < 20:
        pytest.skip(f'node is {version.strip()}; the tests of the page need node 20 or newer')
    return node


@pytest.mark.parametrize('test', sorted((HERE / 'page').glob('*.test.mjs')), ids=lambda p: p.name)
def test_module(test: Path) -> None:
    done = subprocess.run(
        [_node(), '--test', str(test)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_page_loads_nothing_from_elsewhere_and_holds_no_inline_code() -> None:
    """What the content security policy of the server would stop."""
    html = (PAGE / 'index.html').read_text()
    assert not re.search(r'<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)', html)
    elsewhere = re.compile(r'(https?:)?//[\w.-]+\.\w+/|@import|url\(')
    assert not [path.name for path in PAGE.iterdir() if elsewhere.search(path.read_text())]


def test_page_and_its_modules_name_the_files_that_exist() -> None:
    named = set(re.findall(r'/xr/static/([\w.]+)', (PAGE / 'index.html').read_text()))
    reference = re.compile(r"(?:from |import |URL\()'(?:\./)?([\w.]+\.js)'")
    for module in PAGE.glob('*.js'):
        named |= set(reference.findall(module.read_text()))
    assert named == {path.name for path in PAGE.iterdir()} - {'index.html'}
