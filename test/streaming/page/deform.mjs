// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/** `node deform.mjs RIG POSE EYE OUT`: what the page makes of a pose, as raw arrays one after the other. */
import { readFileSync, writeFileSync } from 'node:fs';

import { Deformer, FLOATS_PER_GAUSSIAN } from '../../../avatar_ros/streaming/page/xr/deform.js';
import { parseRig, unpackPose } from '../../../avatar_ros/streaming/page/xr/rig.js';

const [rigPath, posePath, eye, out] = process.argv.slice(2);
const rig = parseRig(new Uint8Array(readFileSync(rigPath)).buffer);
const deformer = new Deformer(rig);
const geometry = new Float32Array(FLOATS_PER_GAUSSIAN * rig.count);
deformer.pose(unpackPose(rig, new Uint8Array(readFileSync(posePath))), geometry);
const position = eye.split(',').map(Number);
const order = new Uint32Array(rig.count), colors = new Uint8Array(4 * rig.count);
deformer.see({ position, depthRow: [0, 0, -1, position[2]] }, order, colors);
writeFileSync(out, Buffer.concat([geometry, order, colors].map(a => Buffer.from(a.buffer))));
