// Puts points, thick lines and one picture on a WebGL canvas. Knows nothing of photos or cameras.

const POINTS = [
  `attribute vec3 position; attribute vec3 color; uniform mat4 transform; uniform float size, widest;
   varying vec3 tone; varying float depth;
   void main() {
     gl_Position = transform * vec4(position, 1.0);
     gl_PointSize = clamp(size / gl_Position.w, 1.5, widest);
     tone = color; depth = gl_Position.w;
   }`,
  `precision mediump float; varying vec3 tone; varying float depth; uniform vec3 back; uniform float far;
   void main() {
     vec2 p = gl_PointCoord - 0.5;
     if (dot(p, p) > 0.25) discard;
     gl_FragColor = vec4(mix(tone, back, 0.45 * smoothstep(0.4 * far, 2.2 * far, depth)), 1.0);
   }`,
];

// A line is a quad: each vertex knows both ends (already clipped to what is in front) and its side.
const LINES = [
  `attribute vec3 start, end; attribute vec2 corner; attribute vec4 color; uniform mat4 transform;
   uniform vec2 window; uniform float width; varying vec4 tone;
   void main() {
     vec4 p = transform * vec4(start, 1.0), q = transform * vec4(end, 1.0);
     float near = 0.0005;
     if (p.w < near && q.w > near) p = mix(p, q, (near - p.w) / (q.w - p.w));
     if (q.w < near && p.w > near) q = mix(q, p, (near - q.w) / (p.w - q.w));
     vec2 way = (q.xy / q.w - p.xy / p.w) * window;
     way = length(way) > 0.0001 ? normalize(way) : vec2(1.0, 0.0);
     vec4 at = corner.x < 0.5 ? p : q;
     gl_Position = at + vec4(vec2(-way.y, way.x) * corner.y * width / window * at.w, 0.0, 0.0);
     tone = color;
   }`,
  `precision mediump float; varying vec4 tone; void main() { gl_FragColor = tone; }`,
];

const PICTURE = [
  `attribute vec3 position; attribute vec2 place; uniform mat4 transform; varying vec2 at;
   void main() { gl_Position = transform * vec4(position, 1.0); at = place; }`,
  `precision mediump float; varying vec2 at; uniform sampler2D photo;
   void main() { gl_FragColor = vec4(texture2D(photo, at).rgb, 1.0); }`,
];

const CORNERS = [0, -1, 0, 1, 1, -1, 1, -1, 0, 1, 1, 1];

class Painter {
  // Throws where the browser offers no WebGL.
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl", { antialias: true, alpha: false, powerPreference: "high-performance" });
    if (!this.gl) throw new Error("no WebGL");
    this.prepare();
  }

  prepare() {
    const gl = this.gl;
    this.points = this.program(POINTS);
    this.lines = this.program(LINES);
    this.picture = this.program(PICTURE);
    this.buffers = {};
    this.counts = { points: 0, lines: 0 };
    this.photo = null;
    gl.enable(gl.DEPTH_TEST);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  }

  program([vertex, fragment]) {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getProgramInfoLog(program));
    }
    return program;
  }

  upload(name, content) {
    const gl = this.gl;
    this.buffers[name] = this.buffers[name] || gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, content, gl.STATIC_DRAW);
  }

  setPoints(positions, colors) {
    this.counts.points = positions.length / 3;
    this.upload("positions", positions);
    this.upload("colors", colors);
  }

  // Each segment is [start, end, [r, g, b, a]].
  setLines(segments) {
    const content = new Float32Array(segments.length * 6 * 12);
    let at = 0;
    for (const [start, end, color] of segments) {
      for (let corner = 0; corner < 12; corner += 2) {
        content.set([...start, ...end, CORNERS[corner], CORNERS[corner + 1], ...color], at);
        at += 12;
      }
    }
    this.counts.lines = segments.length * 6;
    this.upload("lines", content);
  }

  // A photo on a quad: top left, top right, bottom right, bottom left; none takes it away.
  setPicture(corners, image) {
    const gl = this.gl;
    if (this.photo) gl.deleteTexture(this.photo);
    this.photo = null;
    if (!corners || !image || !image.naturalWidth) return;
    const places = [[0, 0], [1, 0], [1, 1], [0, 1]];
    this.upload("picture", new Float32Array([0, 1, 2, 0, 2, 3].flatMap((k) => [...corners[k], ...places[k]])));
    this.photo = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.photo);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, image);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  attribute(program, name, buffer, count, { type = this.gl.FLOAT, stride = 0, offset = 0 } = {}) {
    const gl = this.gl;
    const place = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[buffer]);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, count, type, type === gl.UNSIGNED_BYTE, stride, offset);
  }

  begin(program, transform) {
    const gl = this.gl;
    for (let place = 0; place < 8; place++) gl.disableVertexAttribArray(place);
    gl.useProgram(program);
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "transform"), false, transform);
    return (name) => gl.getUniformLocation(program, name);
  }

  draw({ transform, distance, pointSize, lineWidth, background, showLines }) {
    const gl = this.gl;
    const { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.disable(gl.BLEND);
    if (this.counts.points) {
      const uniform = this.begin(this.points, transform);
      gl.uniform1f(uniform("size"), pointSize * height * 0.0062);
      gl.uniform1f(uniform("widest"), height * 0.03);
      gl.uniform1f(uniform("far"), distance);
      gl.uniform3fv(uniform("back"), background);
      this.attribute(this.points, "position", "positions", 3);
      this.attribute(this.points, "color", "colors", 3, { type: gl.UNSIGNED_BYTE });
      gl.drawArrays(gl.POINTS, 0, this.counts.points);
    }
    if (!showLines) return;
    if (this.photo) {
      this.begin(this.picture, transform);
      gl.bindTexture(gl.TEXTURE_2D, this.photo);
      this.attribute(this.picture, "position", "picture", 3, { stride: 20 });
      this.attribute(this.picture, "place", "picture", 2, { stride: 20, offset: 12 });
      gl.drawArrays(gl.TRIANGLES, 0, 6);
    }
    if (this.counts.lines) {
      const uniform = this.begin(this.lines, transform);
      gl.enable(gl.BLEND);
      gl.uniform2f(uniform("window"), width, height);
      gl.uniform1f(uniform("width"), lineWidth);
      this.attribute(this.lines, "start", "lines", 3, { stride: 48 });
      this.attribute(this.lines, "end", "lines", 3, { stride: 48, offset: 12 });
      this.attribute(this.lines, "corner", "lines", 2, { stride: 48, offset: 24 });
      this.attribute(this.lines, "color", "lines", 4, { stride: 48, offset: 32 });
      gl.drawArrays(gl.TRIANGLES, 0, this.counts.lines);
    }
  }
}
