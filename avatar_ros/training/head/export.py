# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""From a personalised head to a bundle that plays without FLAME."""

from dataclasses import replace
from typing import Any

import numpy as np

from avatar_ros.avatars.head.bundle import HeadBundle, regressor_of
from avatar_ros.training.head.personal import Personalisation
from avatar_ros.types import Array


def head_bundle(
    made: Personalisation,
    name: str,
    licence: str,
    arkit_to_expression: Array | None = None,
    **provenance: Any,
) -> HeadBundle:
    """The bundle of a personalised head.

    :param arkit_to_expression: see `HeadBundle`; needed where FLAME's coefficients have no names.
    """
    model = made.head.model
    person = made.person
    template = model.rest_vertices(person.shape.double().cpu().numpy())
    joints = model.rest_joints(person.shape.double().cpu().numpy())
    if person.offset is not None:
        template = template + person.offset.double().cpu().numpy()
    # One person is left: no betas, and joints where this person has them.
    regressor = regressor_of(template, joints)
    names = model.expression_names or tuple(
        f'expr_{k}' for k in range(model.expression_dirs.shape[2])
    )
    own = replace(
        model,
        template=template,
        shape_dirs=np.zeros((len(template), 3, 0)),
        joint_regressor=regressor,
        expression_names=names,
    )
    tensors = {
        'point': made.point.detach().cpu().numpy(),
        'code': (made.mixed() if made.stage == 'inversion' else made.code).detach().cpu().numpy(),
    }
    tensors |= {f'net.{k}': v.cpu().numpy() for k, v in made.net.state_dict().items()}
    return HeadBundle(
        name,
        licence,
        own,
        'arkit52' if model.expression_names else 'flame',
        made.binding,
        made.prior.config.network,
        tensors,
        arkit_to_expression,
        provenance,
    )
