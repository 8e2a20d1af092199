# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `pose_fusion`: BodyPose and FaceExpression of several trackers -> those of one person.

Listens to `<source>/body_pose` and `<source>/face_expression` of each source. Each joint comes from
the source that knows it best, and changes hands without a pop; the offsets of the sources' clocks
are in `/diagnostics`.
"""

import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rclpy.node import Node

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.tracking.fusion import PARTS, Fusion, FusionConfig

_QUIET_S = 2.0
_MAX_SOURCES = 16


@dataclass(frozen=True)
class FusionParameters:
    """Parameters of the node."""

    sources: list[str] = parameter(
        ['body', 'hands', 'face'], 'names in front of the topics, the most trusted first'
    )
    body: list[str] = parameter([''], 'sources to prefer for the body; empty = as in sources')
    hands: list[str] = parameter([''], 'sources to prefer for the fingers')
    face: list[str] = parameter([''], 'sources to prefer for the expression, jaw and eyes')
    person_id: str = parameter(
        '', 'whom to take of a source; empty = whoever was first, until they are gone'
    )
    output_id: str = parameter('fused', 'person_id of what is published')
    timeout_s: float = parameter(0.5, 'older samples do not count', low=0.05, high=10.0)
    hold_s: float = parameter(
        0.5, 'how long a joint that no source knows is held', low=0.0, high=60.0
    )


class PoseFusionNode(Node):
    """Subscribes topics of each source; publishes body_pose, face_expression."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__('pose_fusion', **kwargs)
        p = self.parameters = declare(self, FusionParameters)
        self.statistics = Statistics()
        sources = [name for name in p.sources if name]
        if len(sources) > _MAX_SOURCES:
            raise ValueError(f'{len(sources)} sources; expected at most {_MAX_SOURCES}.')
        preferred = {part: [name for name in getattr(p, part) if name] for part in PARTS}
        self.fusion = Fusion(sources, preferred, FusionConfig(p.timeout_s, p.hold_s))
        self._person: dict[str, tuple[str, float]] = {}
        self._pose = qos.create(self.create_publisher, BodyPoseMsg, 'body_pose', profile=qos.POSE)
        self._face = qos.create(
            self.create_publisher, FaceExpressionMsg, 'face_expression', profile=qos.POSE
        )
        self._received_s = time.monotonic()
        self.statistics.info['sources'] = ', '.join(sources)
        self.diagnostics = DiagnosticsPublisher(self, self.statistics, 'fusion')
        if subscribe:
            for name in sources:
                self._subscribe(name)
        self.create_timer(1.0, self._watch)

    def _subscribe(self, source: str) -> None:
        def pose(message: BodyPoseMsg) -> None:
            self.take(source, message, messages.parse_body_pose, self.accept_pose)

        def face(message: FaceExpressionMsg) -> None:
            self.take(source, message, messages.parse_face_expression, self.accept_face)

        qos.create(
            self.create_subscription, BodyPoseMsg, f'{source}/body_pose', pose, profile=qos.POSE
        )
        qos.create(
            self.create_subscription,
            FaceExpressionMsg,
            f'{source}/face_expression',
            face,
            profile=qos.POSE,
        )

    # -- input -------------------------------------------------------------------------------

    def take(
        self,
        source: str,
        message: Any,
        parse: Callable[[Any], Any],
        accept: Callable[[str, Any], None],
    ) -> None:
        """Take a message of a source; whatever is wrong with it, the node goes on."""
        self._received_s = time.monotonic()
        self.statistics.count('messages')
        try:
            accept(source, parse(message))
        except Exception as error:
            self.statistics.fail('messages_refused', f'{source}: {error}')
            expected = isinstance(error, ValueError)
            text = str(error) if expected else f'{type(error).__name__}: {error}'
            self.get_logger().error(f'{source} refused: {text}', throttle_duration_sec=5.0)

    def accept_pose(self, source: str, pose: BodyPose) -> None:
        """Take a pose, and publish the person if the pace is this source's."""
        now_s = self._now_s()
        if not self._is_wanted(source, pose.person_id, now_s):
            return
        self.fusion.add_pose(source, pose, now_s)
        if source != self.fusion.lead(now_s):
            return
        start = time.perf_counter()
        result = self.fusion.fuse(now_s)
        if result is None:
            return
        self.statistics.time({'fuse': (time.perf_counter() - start) * 1e3})
        self._publish(*result)

    def accept_face(self, source: str, face: FaceExpression) -> None:
        """Take an expression; it goes out with the next pose."""
        now_s = self._now_s()
        # Trackers of faces alone know no ids of bodies.
        known = self._person.get(source)
        if face.person_id and known is not None and face.person_id != known[0]:
            self.statistics.count('others_passed_over')
            return
        self.fusion.add_face(source, face, now_s)

    def _is_wanted(self, source: str, person_id: str, now_s: float) -> bool:
        """One person a source: the one asked for, or the first until they are gone."""
        current, seen_s = self._person.get(source, (person_id, now_s))
        if self.parameters.person_id:
            current = self.parameters.person_id
        elif not 0.0 <= now_s - seen_s <= 2 * self.parameters.timeout_s:
            current = person_id
        if person_id != current:
            self.statistics.count('others_passed_over')
            return False
        self._person[source] = (current, now_s)
        return True

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    # -- output ------------------------------------------------------------------------------

    def _publish(self, pose: BodyPose, face: FaceExpression | None) -> None:
        who = self.parameters.output_id
        # The expression first: a renderer that has the pose wants to show it at once.
        if face is not None:
            self._face.publish(messages.face_expression_message(replace(face, person_id=who)))
            self.statistics.count('faces')
        self._pose.publish(messages.body_pose_message(replace(pose, person_id=who)))
        self.statistics.count('poses')
        self.statistics.tick()

    def _watch(self) -> None:
        info = self.statistics.info
        now_s = self._now_s()
        for name, offset in self.fusion.estimate_offsets(now_s).items():
            info[f'{name}_stamp_offset_ms'] = f'{1e3 * offset.stamp_s:.1f}'
            info[f'{name}_lag_ms'] = f'{1e3 * offset.lag_s:.1f}'
            info[f'{name}_correlation'] = f'{offset.correlation:.2f}'
            if math.isfinite(offset.drift):
                info[f'{name}_drift_ms_per_min'] = f'{60e3 * offset.drift:.1f}'
        shares = Counter(self.fusion.owners().values())
        info['joints'] = ', '.join(f'{name} {n}' for name, n in sorted(shares.items()))
        quiet = time.monotonic() - self._received_s > _QUIET_S
        self.diagnostics.warning = 'no source sends' if quiet else ''

    def close(self) -> None:
        """Stop."""
        self.diagnostics.close()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `pose_fusion`."""
    return run_node(PoseFusionNode, args)


if __name__ == '__main__':
    sys.exit(main())
