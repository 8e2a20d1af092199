# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""ARKit's actions on a FLAME model: ``python -m benchmarks.head_actions [--flame FILE]``.

How far what the fitted coefficients and jaw do is from each action. Without a licensed FLAME file
the free head stands in, its actions mixed into as many principal components as FLAME is mostly
used with, on a head of another size and place: there the truth is known.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar_ros.body import ARKIT_52
from avatar_ros.body.flame_actions import actions_of
from avatar_ros.body.model import BodyModel, free_body, load_body_model
from benchmarks.metrics import Metric, write_results

COMMAND = 'python -m benchmarks.head_actions'
COMPONENTS = 50


def nameless(components: int, moved: bool = False) -> BodyModel:
    """The free head with its actions mixed into principal components, as FLAME has them."""
    free = free_body('flame')
    dirs = free.expression_dirs.reshape(-1, free.expression_dirs.shape[2])
    U, sizes, _ = np.linalg.svd(dirs, full_matrices=False)
    mixed = (U * sizes)[:, :components].reshape(*free.template.shape, components)
    mixed /= np.sqrt(free.expression_dirs.shape[2])
    model = replace(free, expression_dirs=mixed, expression_names=())
    if not moved:
        return model
    return replace(
        model, template=1.1 * free.template + [0.02, -0.1, 0.03], expression_dirs=1.1 * mixed
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.splitlines()[0])
    parser.add_argument('--flame', type=Path, help='FLAME 2020 or 2023 (.pkl or .npz)')
    path = parser.parse_args().flame
    model = nameless(COMPONENTS, moved=True) if path is None else load_body_model(path)
    what = (
        f'the free head, its actions in {COMPONENTS} components, moved and scaled'
        if path is None
        else path.name
    )
    found = actions_of(model)
    rows = [
        Metric(f'head.actions.{name}.error_mm', float(error), 'mm', 'lower',
               f'root mean square where the action moves, by {size:.2f} mm; {what}', COMMAND)
        for name, error, size in zip(ARKIT_52, found.error_mm, found.size_mm, strict=True)
    ]  # fmt: skip
    moving = found.size_mm > 0
    share = found.error_mm[moving] / found.size_mm[moving]
    rows.append(
        Metric('head.actions.median_share', float(np.median(share)), '1', 'lower',
               f'error over size, median of {moving.sum()} actions; {what}', COMMAND)
    )  # fmt: skip
    write_results('head_actions', rows)


if __name__ == '__main__':
    main()
