# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.table``: docs/benchmarks.md from the results."""

import json
from pathlib import Path

from benchmarks.metrics import RESULTS

TARGET = Path(__file__).resolve().parents[1] / 'docs' / 'benchmarks.md'
README = TARGET.parents[1] / 'README.md'
BEGIN, END = '<!-- measured: make docs -->', '<!-- end -->'
README_ROWS = (
    ('telepresence.body.fps', 'whole graph, body video: frames out (input at 60 Hz)'),
    ('telepresence.body.pose_age_p95_ms', 'image taken to avatar frame published, 95 % (30 Hz)'),
    ('telepresence.face.fps', 'whole graph, face video with expressions: frames out'),
    ('telepresence.body.speedup', 'against the same stages one after another in one thread'),
    ('telepresence.body.start_s', 'process start to first frame, warm caches'),
    ('render.forward.50k_512.cpu_ms', 'rendering 50,000 Gaussians at 512x512, CPU time'),
    ('body.synthetic.100.base.novel_view.psnr', 'trained avatar, base, cameras held out'),
    ('body.synthetic.100.chase.novel_view.gain_db', 'CHASE over the base, all instants'),
    ('body.synthetic.5.chase.novel_view.gain_db', 'CHASE over the base, 5 % of the instants'),
    (
        'body.monocular.5.chase.novel_view.gain_db',
        'CHASE over the base, one camera, 5 % of the instants',
    ),
    ('body.synthetic.100.sg_gs.novel_view.gain_db', 'SG-GS over the base, all instants'),
    ('body.bundle.50k_sh1.cpu_ms', 'a baked frame of 50,000 Gaussians before rendering, CPU time'),
    ('tracking.clips.mean_joint_mm', 'inverse kinematics on exact landmarks, mean joint error'),
    ('xr.glass.p50_ms', 'picture there to drawn on a desktop page (software GL)'),
    ('xr.glass.of_mjpeg', 'of what MJPEG takes'),
    ('xr.glass.of_aiortc', 'of what aiortc takes as it comes'),
    ('xr.clients_4.cpu_of_one', 'server with four viewers of one view, CPU time of that with one'),
    ('head.cpu.full.all.psnr', 'head from 3 photographs: faces and views that none of them shows'),
    ('head.cpu.no_prior.all.psnr', 'the same networks without the prior'),
    ('head.live.fps', 'whole graph, a head driven by a face video, 256x256: frames out'),
    ('gpu.head.paper_512.with_cnn.fps', 'head of HeadGAP sizes at 512x512 on one NVIDIA H200'),
    ('gpu.forward.200k_stereo.ms', '200,000 Gaussians for both eyes of a headset on the same GPU'),
    (
        'xr.pose_lane.demo.psnr_db',
        'avatar drawn in the browser against the renderer, worst view',
    ),
    ('transport.720p_30hz.profile.age_p50_ms', 'raw 720p image from process to process, median'),
    ('transport.720p_30hz.profile.lost_percent', 'of them lost, with our profile'),
    ('transport.720p_30hz.default.lost_percent', 'of them lost, with the middleware defaults'),
)
HEAD = """\
# Measured

Made by `python -m benchmarks.table` from `benchmarks/results/*.json`; measure again with
`make bench`, or a part with `make bench ONLY=render`. Conditions, and how busy the machine was,
stand beside each number.
"""


def text() -> str:
    """The page."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob('*.json')):
        metrics = json.loads(path.read_text())
        parts.append(f'## {path.stem}\n')
        devices = sorted({m['device'] for m in metrics})
        commands = sorted({m['command'] for m in metrics})
        parts.append(f'{"; ".join(devices)}. `{"`, `".join(commands)}`\n')
        parts.append('| key | value | unit | better | conditions |\n|---|---:|---|---|---|')
        for m in metrics:
            on = f'; {m["device"]}' if len(devices) > 1 else ''
            parts.append(
                f'| `{m["key"]}` | {m["value"]:g} | {m["unit"]} | {m["better"]} '
                f'| {m["conditions"]}{on} |'
            )
        parts.append('')
    return '\n'.join(parts)


def summary() -> str:
    """The few rows that the README shows."""
    rows = ['| | measured |', '|---|---:|']
    values = {m['key']: m for path in RESULTS.glob('*.json') for m in json.loads(path.read_text())}
    for key, what in README_ROWS:
        if key in values:
            rows.append(f'| {what} | {values[key]["value"]:g} {values[key]["unit"]} |')
    return '\n'.join(rows)


def main() -> None:
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text())
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f'{before}{BEGIN}\n{summary()}\n{END}{after}')
    print(f'wrote {TARGET.relative_to(TARGET.parents[1])} and the table of {README.name}')


if __name__ == '__main__':
    main()
