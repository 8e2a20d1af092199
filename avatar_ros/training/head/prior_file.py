# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A learned prior as a file: ``prior.json`` and ``prior.safetensors`` in a zip or a folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save as save_tensors

from avatar_ros.avatars.bundle_files import (
    BundleError,
    BundleFiles,
    Tensors,
    read_manifest,
    write_files,
)
from avatar_ros.body.flame import HeadModel
from avatar_ros.training.head.config import HeadTrainConfig
from avatar_ros.types import Array

FORMAT, VERSION = 'avatar_ros.head_prior', 1
_MANIFEST, _TENSORS = 'prior.json', 'prior.safetensors'


def shipped_prior() -> Path:
    """The prior of made people (CC0) that comes with the package."""
    return Path(str(files('avatar_ros'))) / 'data' / 'heads' / 'prior.zip'


def fingerprint(head: HeadModel) -> str:
    """Which FLAME it is: a hash of its template and triangles."""
    digest = hashlib.sha256()
    digest.update(np.asarray(head.model.template, np.float32).round(5).tobytes())
    digest.update(np.asarray(head.model.faces, np.int32).tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Prior:
    """What personalisation needs of it."""

    config: HeadTrainConfig
    head: str
    """Fingerprint of the FLAME model that it was learned with."""
    identities: tuple[str, ...]
    tensors: Mapping[str, Array]
    """``point`` (N, F), ``code`` (K, parts, C) and ``net.*``, float32."""
    about: Mapping[str, Any] = field(default_factory=dict)

    def net_state(self) -> dict[str, torch.Tensor]:
        """The state of a `GapNet`."""
        return {
            name.removeprefix('net.'): torch.from_numpy(np.array(values))
            for name, values in self.tensors.items()
            if name.startswith('net.')
        }


def save_prior(path: Path, prior: Prior) -> None:
    """Write it; a zip if the path ends so."""
    manifest = {
        'format': FORMAT,
        'version': VERSION,
        'head': prior.head,
        'identities': list(prior.identities),
        'config': prior.config.to_json(),
        'about': dict(prior.about),
    }
    # Half precision halves the file and costs less than a grey level.
    tensors = {k: np.ascontiguousarray(v, np.float16) for k, v in prior.tensors.items()}
    contents = {
        _MANIFEST: json.dumps(manifest, indent=1).encode(),
        _TENSORS: save_tensors(tensors),
    }
    write_files(path, contents)


def load_prior(path: str | Path, head: HeadModel) -> Prior:
    """Read it, for this FLAME model.

    :raises BundleError: if it is damaged, of another version, or of another FLAME.
    """
    archive = BundleFiles(Path(path))
    name = archive.name(_MANIFEST)
    fields = read_manifest(archive, _MANIFEST, 'prior')
    fields.one_of('format', [FORMAT], 'This is not a prior of heads.')
    fields.version((VERSION,), 'Update avatar_ros, or train the prior again.')
    mine = fingerprint(head)
    if fields.text('head') != mine:
        raise BundleError(
            f'{name}: was learned with the FLAME model {fields.text("head")}; this one is {mine}. '
            'Give the same --flame file as for the prior.'
        )
    try:
        config = HeadTrainConfig.from_json(fields.mapping('config'))
    except (TypeError, ValueError) as error:
        raise BundleError(f'{name}: config: {error} Update avatar_ros.') from error
    identities = fields.names('identities', 100_000)
    stored = Tensors(archive, _TENSORS)
    tensors = {
        name: stored.take(name, size, 'F16', 'F32', limit=1e4)
        for name, size in stored.shapes().items()
    }
    for key, ndim in (('point', 2), ('code', 3)):
        if key not in tensors or tensors[key].ndim != ndim:
            raise BundleError(f'{archive.name(_TENSORS)}: has no tensor {key!r}; train again.')
    if len(tensors['code']) != len(identities):
        raise BundleError(
            f'{archive.name(_TENSORS)}: {len(tensors["code"])} codes for {len(identities)} '
            'identities. Copy the prior again.'
        )
    about = fields.mapping('about') if fields.has('about') else {}
    return Prior(config, mine, identities, tensors, about)
