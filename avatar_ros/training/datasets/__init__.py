# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Loaders of captures: our own folder, and ZJU-MoCap and H36M as preprocessed by ARAH."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar_ros.training.capture import Capture, CaptureError
from avatar_ros.training.datasets.arah import is_arah, load_arah
from avatar_ros.training.datasets.directory import load_directory
from avatar_ros.training.datasets.pictures import read_picture

__all__ = ['DATASETS', 'check_shots', 'fraction_of', 'load_capture']

DATASETS = ('auto', 'directory', 'zju_mocap', 'h36m')


def load_capture(
    path: str | Path,
    body_model: str | Path | None = None,
    *,
    dataset: str = 'auto',
    subject: str | None = None,
) -> Capture:
    """The capture in a folder.

    :param body_model: a model file of the user's own, instead of the one that the capture names.
    :param dataset: one of `DATASETS`; ``auto`` takes what lies there.
    :param subject: of ZJU-MoCap or H36M (``377``, ``S9``), where the folder's name does not tell.
    :raises CaptureError: if there is none that we know.
    """
    folder = Path(path).expanduser()
    if dataset not in DATASETS:
        raise CaptureError(f'dataset {dataset!r}; expected {", ".join(DATASETS)}.')
    arah = dataset in ('zju_mocap', 'h36m')
    if dataset == 'directory' or (dataset == 'auto' and (folder / 'poses.npz').exists()):
        return load_directory(folder, body_model)
    if arah or is_arah(folder):
        return load_arah(folder, body_model, subject, dataset if arah else None)
    if is_arah(folder / 'Posing'):
        return load_arah(folder / 'Posing', body_model, subject, None)
    there = sorted(p.name for p in folder.iterdir())[:6] if folder.is_dir() else None
    raise CaptureError(
        f'{folder}: no capture. Looked for poses.npz (a capture folder: with cameras.json, images/ '
        'and masks/, see docs/captures.md) and for cam_params.json with models/ (ZJU-MoCap or '
        'H36M as preprocessed by ARAH); '
        + (
            'there is no such folder.'
            if there is None
            else f'it has {", ".join(there) or "nothing"}.'
        )
    )


def check_shots(capture: Capture) -> Capture:
    """The capture without the pictures that cannot be used; they are listed as skipped.

    :raises CaptureError: if none is left to train on.
    """
    bad: dict[int, str] = {}
    for i, shot in enumerate(capture.shots):
        try:
            read_picture(shot, 64)
        except CaptureError as error:
            bad[i] = str(error)
    splits = {
        name: tuple(row for row in rows if row not in bad) for name, rows in capture.splits.items()
    }
    if not splits.get('train'):
        raise CaptureError(
            f'{capture.name}: none of the {len(capture.splits.get("train", ()))} training '
            f'pictures can be used; the first: {next(iter(bad.values()), "there are none")}'
        )
    return replace(capture, splits=splits, skipped=(*capture.skipped, *bad.values()))


def fraction_of(capture: Capture, fraction: float) -> Capture:
    """The capture with a part of its training instants, spread evenly over the time; at least 2."""
    rows = sorted({capture.shots[i].row for i in capture.splits['train']})
    count = min(len(rows), max(2, round(fraction * len(rows))))
    chosen = {rows[round(k)] for k in np.linspace(0, len(rows) - 1, count)}
    train = tuple(i for i in capture.splits['train'] if capture.shots[i].row in chosen)
    return replace(capture, splits={**capture.splits, 'train': train})
