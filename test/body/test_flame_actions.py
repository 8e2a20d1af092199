# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""ARKit's actions on FLAME models whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from avatar_ros.body import ARKIT_52
from avatar_ros.body.flame_actions import actions_of
from avatar_ros.body.model import free_body
from benchmarks.head_actions import nameless


@pytest.mark.parametrize('moved', [False, True])
def test_actions_are_found_again_where_the_basis_has_them(moved: bool) -> None:
    found = actions_of(nameless(52, moved))
    assert found.table.shape == (52, 55)
    moving = found.size_mm > 0.5
    assert moving.sum() > 40
    # The ridge keeps a little of each action back.
    assert (found.error_mm[moving] < 0.06 * found.size_mm[moving] + 0.15).all()


def test_fewer_components_do_less_and_say_so() -> None:
    many, few = (actions_of(nameless(k)).error_mm for k in (40, 8))
    assert np.median(few) > np.median(many)
    assert few[ARKIT_52.index('eyeBlinkLeft')] > 0.3


def test_the_jaw_opens_by_its_joint_where_no_direction_opens_it() -> None:
    free = free_body('flame')
    names = list(free.expression_names)
    dirs = free.expression_dirs.copy()
    dirs[:, :, [names.index(n) for n in names if n.startswith('jaw')]] = 0
    model = replace(free, expression_dirs=dirs, expression_names=())
    found = actions_of(model)
    jaw = found.table[ARKIT_52.index('jawOpen'), -3:]
    assert jaw[0] > 0.1, 'opening turns about x'
    assert np.abs(jaw[1:]).max() < 0.05
    assert np.abs(found.table[ARKIT_52.index('eyeBlinkLeft'), -3:]).max() < 0.02
