# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Things that are said in two places are said alike."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import tomllib

import avatar_ros

ROOT = Path(__file__).resolve().parents[1]


def test_version_is_the_same_everywhere():
    package_xml = ET.parse(ROOT / 'package.xml').getroot().findtext('version')
    changelog = re.search(r'^(\d+\.\d+\.\d+) \(', (ROOT / 'CHANGELOG.rst').read_text(), re.M)
    assert package_xml == avatar_ros.__version__ == changelog[1]


def test_constraints_agree_with_the_pins_of_pyproject():
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    wanted = [*project['dependencies'], *project['optional-dependencies']['test']]
    pinned = dict(
        line.split('==')
        for line in (ROOT / 'constraints.txt').read_text().splitlines()
        if '==' in line and not line.startswith('#')
    )
    for requirement in wanted:
        name, _, version = requirement.partition('==')
        if version:
            assert pinned[name] == version


def test_every_executable_has_a_main():
    import importlib

    for line in (ROOT / 'nodes.txt').read_text().splitlines():
        if not line.startswith('#'):
            name, module = line.split()
            if 'nodes' in module:
                continue  # needs rclpy; test/nodes starts them
            assert callable(importlib.import_module(module).main), name


def test_table_of_benchmarks_is_that_of_the_results():
    from benchmarks import table

    assert table.TARGET.read_text() == table.text(), 'run `make docs`'
    assert table.summary() in table.README.read_text(), 'run `make docs`'
