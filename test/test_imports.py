# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Who may import whom. See CONTRIBUTING.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'avatar_ros'
MAY_USE = {
    'geometry': set(),
    'body': {'geometry'},
    'gaussians': {'geometry', 'body'},
    'render': {'geometry', 'body', 'gaussians'},
    'avatars': {'geometry', 'body', 'gaussians', 'render'},
    'tracking': {'geometry', 'body'},
    'streaming': {'geometry'},
    'training': {'geometry', 'body', 'gaussians', 'render', 'avatars', 'tracking'},
}
TOP_LEVEL = {'types', 'assets', 'machine', 'cuda_graph'}
ROS = ('rclpy', 'ament_index_python', 'cv_bridge', 'rosidl_runtime_py')


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


@pytest.mark.parametrize('room', sorted(MAY_USE))
def test_room_imports_only_the_rooms_below_it(room):
    allowed = MAY_USE[room] | TOP_LEVEL | {room}
    for path in (PACKAGE / room).rglob('*.py'):
        for name in imports(path):
            parts = name.split('.')
            if parts[0] == 'avatar_ros' and len(parts) > 1 and (PACKAGE / parts[1]).exists():
                assert parts[1] in allowed, f'{path.relative_to(PACKAGE)} imports {name}'


def test_only_nodes_know_ros():
    for path in PACKAGE.rglob('*.py'):
        room = path.relative_to(PACKAGE).parts[0]
        if room in ('nodes', 'msg'):
            continue
        for name in imports(path):
            top = name.split('.')[0]
            ours = name.startswith('avatar_ros.msg')
            is_ros = top in ROS or top.endswith('_msgs') or top == 'builtin_interfaces' or ours
            assert not is_ros, f'{path.relative_to(PACKAGE)} imports {name}'


def test_every_file_names_its_licence():
    root = PACKAGE.parent
    folders = ('avatar_ros', 'benchmarks', 'launch', 'test', 'tools')
    paths = [p for f in folders for p in (root / f).rglob('*.py') if 'msg' not in p.parts]
    for path in [*paths, root / 'setup.py']:
        assert 'SPDX-License-Identifier: Apache-2.0' in path.read_text()[:200], path


def test_trackers_start_without_torch():
    """It takes a second and 200 MB, and a tracker has no use for it."""
    code = 'import sys, avatar_ros.tracking.tracker; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
