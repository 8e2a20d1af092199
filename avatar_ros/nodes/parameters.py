# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A node's parameters as one frozen dataclass: declared, described, bounded and read in one step.

    @dataclass(frozen=True)
    class PageParameters:
        port: int = parameter(8080, 'TCP port of the page; 0 takes a free one', low=0, high=65535)

    parameters = declare(node, PageParameters)

Dots in ROS names are double underscores here: ``render__width`` is ``render.width``.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

P = TypeVar('P')


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    dynamic: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter; `dynamic` ones may change while the node runs."""
    metadata = {
        'description': description,
        'low': low,
        'high': high,
        'choices': tuple(choices),
        'dynamic': dynamic,
    }
    if isinstance(default, (list, tuple)):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def ros_name(field: dataclasses.Field[Any]) -> str:
    """The field's name as a ROS parameter."""
    return field.name.replace('__', '.')


def describe(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """What `ros2 param describe` shows of a field."""
    meta = field.metadata
    text = meta['description']
    if meta['choices']:
        text += f' (one of: {", ".join(meta["choices"])})'
    descriptor = ParameterDescriptor(description=text, read_only=not meta['dynamic'])
    low, high = meta['low'], meta['high']
    if low is not None and high is not None:
        if isinstance(_default(field), int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
    return descriptor


def declare(node: Node, cls: type[P], on_change: Callable[[P], None] | None = None) -> P:
    """Declare every field of `cls` on the node and give the values.

    `on_change` gets a new snapshot after dynamic parameters were set.

    :raises ValueError: naming the parameter whose value is not allowed.
    """
    fields = {ros_name(f): f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        try:
            declared = node.declare_parameter(name, _default(field), describe(field))
        except InvalidParameterValueException as error:
            bounds = f'{field.metadata["low"]}..{field.metadata["high"]}'
            raise ValueError(
                f'parameter {name!r} of {node.get_name()}: {error}. Expected {bounds}.'
            ) from None
        except InvalidParameterTypeException as error:
            default = _default(field)
            quoted = f'; in a shell -p {name}:="\'0\'"' if isinstance(default, str) else ''
            raise ValueError(
                f'parameter {name!r} of {node.get_name()}: {error}. Write it in the form of the '
                f'default, {default!r}{quoted}.'
            ) from None
        values[field.name] = declared.value
        problem = _problem(name, field, declared.value)
        if problem:
            raise ValueError(f'{node.get_name()}: {problem}')
    snapshot = cls(**values)

    def set_parameters(parameters: list[Parameter]) -> SetParametersResult:
        nonlocal snapshot
        ours = {p.name: p.value for p in parameters if p.name in fields}
        for name, value in ours.items():
            problem = _problem(name, fields[name], value)
            if problem:
                return SetParametersResult(successful=False, reason=problem)
        changes = {fields[name].name: value for name, value in ours.items()}
        snapshot = dataclasses.replace(snapshot, **changes)  # type: ignore[type-var]
        if on_change is not None and changes:
            on_change(snapshot)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(set_parameters)
    return snapshot


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    assert field.default_factory is not dataclasses.MISSING
    return field.default_factory()


def _problem(name: str, field: dataclasses.Field[Any], value: Any) -> str:
    choices = field.metadata['choices']
    if choices and value not in choices:
        return f'parameter {name!r} is {value!r}; expected one of {", ".join(choices)}.'
    return ''
