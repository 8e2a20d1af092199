// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0

/**
 * A decoded frame as a shader reads it: `greyOf`, `lumaOf` and `colourOf`, at a place in pixels.
 *
 * What a software decoder made lies in memory as planes of luma and chroma, and is uploaded as
 * it is: the browser's own way to RGB costs ten times as much without a graphics processor.
 * Anything else (a hardware decoder's picture, a bitmap) is uploaded by the browser, as RGB.
 */
export const SAMPLING = {
  planes: `
uniform sampler2D luma;
uniform sampler2D chroma;   // Cb above, Cr below
uniform vec2 texel;         // 1 / size of the picture
// BT.709, limited range: docs/xr_protocol.md.
float greyOf(vec2 pixel) {
  return (texture(luma, pixel * texel).r * 255.0 - 16.0) / 219.0;
}
float lumaOf(vec2 pixel) {
  return greyOf(pixel);
}
vec3 colourOf(vec2 pixel) {
  vec2 at = pixel * texel * vec2(1.0, 0.5);
  vec2 tint = vec2(texture(chroma, at).r, texture(chroma, at + vec2(0.0, 0.5)).r) * 255.0 - 128.0;
  vec3 away = vec3(1.5748 * tint.y, -0.187324 * tint.x - 0.468124 * tint.y, 1.8556 * tint.x) / 224.0;
  return clamp(greyOf(pixel) + away, 0.0, 1.0);
}
`,
  rgb: `
uniform sampler2D picture;
uniform vec2 texel;         // 1 / size of the picture
float greyOf(vec2 pixel) {
  return texture(picture, pixel * texel).g;
}
vec3 colourOf(vec2 pixel) {
  return texture(picture, pixel * texel).rgb;
}
float lumaOf(vec2 pixel) {
  return dot(colourOf(pixel), vec3(0.2126, 0.7152, 0.0722));
}
`,
};

/** The textures of one picture; `form` names which of `SAMPLING` reads them. */
export class Picture {
  constructor(gl) {
    this.gl = gl;
    this.form = '';
    this.size = [0, 0];
    this.textures = [0, 1].map(() => {
      const texture = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, texture);
      for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
      return texture;
    });
  }

  /**
   * @param {Planes|VideoFrame|ImageBitmap} source of this size, and free to be closed afterwards
   */
  upload(source, width, height) {
    const { gl } = this;
    const form = source.planes ? 'planes' : 'rgb';
    const same = form === this.form && width === this.size[0] && height === this.size[1];
    this.form = form;
    this.size = [width, height];
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    if (form === 'planes') {
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
      this.uploadPlane(0, source.planes, same, width, height, 0);
      this.uploadPlane(1, source.planes, same, width / 2, height, width * height);
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
      return;
    }
    gl.bindTexture(gl.TEXTURE_2D, this.textures[0]);
    if (same) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, source);
    else gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, source);
  }

  uploadPlane(k, bytes, same, width, height, start) {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.textures[k]);
    if (same) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RED, gl.UNSIGNED_BYTE, bytes, start);
    else gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, width, height, 0, gl.RED, gl.UNSIGNED_BYTE, bytes, start);
  }

  /** For the next draw of a program made with `SAMPLING[form]`. */
  bind(uniforms) {
    const { gl } = this;
    gl.uniform2f(uniforms.texel, 1 / this.size[0], 1 / this.size[1]);
    if (this.form === 'planes') {
      gl.activeTexture(gl.TEXTURE1);
      gl.bindTexture(gl.TEXTURE_2D, this.textures[1]);
      gl.activeTexture(gl.TEXTURE0);
      gl.uniform1i(uniforms.chroma, 1);
    }
    gl.bindTexture(gl.TEXTURE_2D, this.textures[0]);
  }
}

/**
 * Planes of I420 in memory, rows without padding: luma (width x height), then Cb and Cr of half
 * its width and height.
 */
export class Planes {
  constructor({ planes, width, height }) {
    Object.assign(this, { width, height, planes: new Uint8Array(planes) });
  }

  /** As pictures of the browser have it. */
  close() {
    this.planes = null;
  }
}
