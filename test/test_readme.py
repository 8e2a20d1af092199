# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What the README shows works."""

import re

import numpy as np
from helpers import REPOSITORY

README = (REPOSITORY / 'README.md').read_text()


def test_python_example_gives_an_upright_person_in_the_middle_of_the_picture():
    (code,) = re.findall(r'```python\n(.*?)```', README, re.S)
    result: dict = {}
    exec(code, result)
    rows, columns = np.nonzero(result['picture'].sum(axis=2) > 30)
    assert rows.min() < 130  # the head
    assert rows.max() > 380  # the feet
    assert abs(np.median(columns) - 256) < 20
    widths = [len(set(columns[rows == row])) for row in range(rows.min(), rows.max())]
    assert np.argmax(widths) < len(widths) / 2  # stretched arms, above the middle


def test_every_file_that_the_readme_names_is_there():
    for name in re.findall(r'`((?:docs|msg|config|launch|avatar_ros|benchmarks)/[\w./]*)`', README):
        assert (REPOSITORY / name).exists(), name
    for name in re.findall(r'!\[[^]]*\]\(([^)]+)\)', README):
        assert (REPOSITORY / name).exists(), name
