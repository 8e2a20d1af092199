# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Raw 720p images between two processes, sensor QoS: ``python -m benchmarks.transport``.

Our middleware profile and the defaults of Fast DDS, in turn in the same run.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np

from benchmarks.metrics import Metric, load, write_results

COMMAND = 'python -m benchmarks.transport'
WIDTH, HEIGHT = 1280, 720
PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_SETTLE_S = 0.5


def spin(node: object) -> None:
    import rclpy

    threading.Thread(target=rclpy.spin, args=(node,), daemon=True).start()


def publish(rate_hz: float, seconds: float) -> None:
    import rclpy
    from sensor_msgs.msg import Image

    from avatar_ros.nodes import images, messages, qos

    rclpy.init()
    node = rclpy.create_node('transport_publisher')
    publisher = node.create_publisher(Image, 'transport', qos.SENSOR)
    spin(node)
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    time.sleep(_SETTLE_S)
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    start = time.monotonic()
    count = int(rate_hz * seconds)
    for k in range(count):
        time.sleep(max(0.0, start + k / rate_hz - time.monotonic()))
        # Monotonic time is the same for all processes of one machine.
        header = messages.header(time.monotonic_ns(), str(k))
        publisher.publish(images.image_message(rgb, header))
    time.sleep(_SETTLE_S)
    print(json.dumps({'sent': count}))
    sys.stdout.flush()
    os._exit(0)


def subscribe(seconds: float) -> None:
    import rclpy
    from sensor_msgs.msg import Image

    from avatar_ros.nodes import messages, qos

    rclpy.init()
    node = rclpy.create_node('transport_subscriber')
    ages: list[float] = []

    def take(message: Image) -> None:
        ages.append((time.monotonic_ns() - messages.ns_from_stamp(message.header.stamp)) * 1e-6)

    node.create_subscription(Image, 'transport', take, qos.SENSOR)
    spin(node)
    end = time.monotonic() + seconds + 8
    before = -1
    while time.monotonic() < end:
        time.sleep(_SETTLE_S + 0.5)
        if ages and len(ages) == before:
            break
        before = len(ages)
    print(json.dumps({'received': len(ages), 'ages': ages}))
    sys.stdout.flush()
    os._exit(0)


def run(rate_hz: float, seconds: float, profile: bool) -> tuple[float, np.ndarray]:
    """Lost share in percent, and ages in ms, of one run in two processes."""
    env = dict(os.environ, ROS_DOMAIN_ID=str(50 + os.getpid() % 50))
    env['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    for name in PROFILES:
        env.pop(name, None)
    base = [sys.executable, '-m', 'benchmarks.transport', '--seconds', str(seconds)]
    if not profile:
        base.append('--defaults')
    listener = subprocess.Popen(
        [*base, '--role', 'subscribe'], env=env, stdout=subprocess.PIPE, text=True
    )
    speaker = subprocess.run(
        [*base, '--role', 'publish', '--rate', str(rate_hz)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    received = json.loads(listener.communicate()[0])
    sent = json.loads(speaker.stdout)['sent']
    return 100 * (1 - received['received'] / sent), np.array(received['ages'])


def measure(seconds: float, rounds: int) -> list[Metric]:
    metrics = []
    for rate in (30.0, 60.0):
        results: dict[str, list[tuple[float, np.ndarray]]] = {'profile': [], 'default': []}
        for _ in range(rounds):
            for name in results:
                results[name].append(run(rate, seconds, name == 'profile'))
        for name, runs in results.items():
            conditions = (
                f'raw {WIDTH}x{HEIGHT} rgb8 at {rate:.0f} Hz, best effort, two processes, '
                f'{"config/fastdds_shm.xml" if name == "profile" else "Fast DDS defaults"}, '
                f'{rounds} runs of {seconds:.0f} s; {load()}'
            )
            key = f'transport.720p_{rate:.0f}hz.{name}'
            lost = float(np.median([lost for lost, _ in runs]))
            metrics.append(Metric(f'{key}.lost_percent', lost, '%', 'lower', conditions, COMMAND))
            ages = np.concatenate([ages for _, ages in runs])
            if len(ages):
                for quantile in (50, 95):
                    metrics.append(
                        Metric(
                            f'{key}.age_p{quantile}_ms',
                            float(np.percentile(ages, quantile)),
                            'ms',
                            'lower',
                            conditions,
                            COMMAND,
                        )
                    )
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--role', choices=['publish', 'subscribe'], help=argparse.SUPPRESS)
    parser.add_argument('--rate', type=float, default=30.0, help=argparse.SUPPRESS)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--defaults', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.defaults:
        import avatar_ros.nodes  # noqa: F401  (sets our profile, which must not be used here)

        for name in PROFILES:
            os.environ.pop(name, None)
    if args.role == 'publish':
        publish(args.rate, args.seconds)
    elif args.role == 'subscribe':
        subscribe(args.seconds)
    else:
        write_results('transport', measure(args.seconds, args.rounds))


if __name__ == '__main__':
    main()
