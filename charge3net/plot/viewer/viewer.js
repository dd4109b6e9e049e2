// Draws the scene of the page with WebGL 2: atoms, bonds, the cell, isosurfaces. Parallel projection, no other file.
"use strict";
(async () => {
const scene = JSON.parse(document.getElementById("scene").textContent);
const canvas = document.querySelector("canvas"), label = document.getElementById("label");
const problem = (text) => { const p = document.getElementById("problem"); p.textContent = text; p.hidden = false; };
const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, preserveDrawingBuffer: true });
if (!gl) {
  document.getElementById("buttons").hidden = true;
  problem("This browser cannot draw in three dimensions (WebGL 2). Switch on its hardware acceleration, or take another one.");
  return;
}

// --- shaders: one for everything; light from the viewer's upper left, fading with depth
const program = gl.createProgram();
const compile = (kind, text) => {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, text); gl.compileShader(shader); gl.attachShader(program, shader);
};
compile(gl.VERTEX_SHADER, `#version 300 es
layout(location = 0) in vec3 place; layout(location = 1) in vec3 normal; layout(location = 2) in vec3 tint;
uniform mat3 turn; uniform vec3 middle, scale; uniform vec2 shift;
out vec3 n, c; out float depth;
void main() {
  vec3 p = turn * (place - middle) * scale;
  n = turn * normal; c = tint; depth = -p.z;
  gl_Position = vec4(p.xy + shift, -p.z, 1.0);
}`);
compile(gl.FRAGMENT_SHADER, `#version 300 es
precision highp float;
in vec3 n, c; in float depth; uniform float alpha; uniform vec3 paper; out vec4 pixel;
void main() {
  vec3 m = normalize(n); if (m.z < 0.0) m = -m;
  vec3 light = normalize(vec3(-0.35, 0.5, 0.8));
  float diffuse = max(dot(m, light), 0.0);
  float gloss = pow(max(dot(m, normalize(light + vec3(0.0, 0.0, 1.0))), 0.0), 40.0);
  vec3 lit = c * (0.42 + 0.62 * diffuse) + 0.25 * gloss;
  lit = mix(lit, paper, 0.28 * clamp(depth + 0.3, 0.0, 1.0));
  float rim = alpha < 1.0 ? mix(1.0, 1.7, pow(1.0 - m.z, 2.0)) : 1.0;
  float a = min(alpha * rim, 1.0);
  pixel = vec4(lit * a, a);
}`);
gl.linkProgram(program);
if (!gl.getProgramParameter(program, gl.LINK_STATUS)) { problem(gl.getProgramInfoLog(program)); return; }
gl.useProgram(program);
const at = (name) => gl.getUniformLocation(program, name);
const U = { turn: at("turn"), middle: at("middle"), scale: at("scale"), shift: at("shift"), alpha: at("alpha"),
  paper: at("paper") };

// --- meshes
const upload = (places, normals, colours, faces) => {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  const buffer = (data, where, type, normalised) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(where); gl.vertexAttribPointer(where, 3, type, normalised, 0, 0);
  };
  buffer(places, 0, gl.FLOAT, false); buffer(normals, 1, gl.FLOAT, false);
  if (colours.length === 3) { gl.disableVertexAttribArray(2); } else { buffer(colours, 2, gl.UNSIGNED_BYTE, true); }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
  gl.bindVertexArray(null);
  return { array, count: faces.length, colour: colours.length === 3 ? colours : null };
};
const solid = { places: [], normals: [], colours: [], faces: [] };
const add = (shape, place, colour) => {
  const first = solid.places.length / 3;
  for (let i = 0; i < shape.normals.length; i += 3) {
    solid.places.push(...place(shape.places[i], shape.places[i + 1], shape.places[i + 2]));
    solid.colours.push(...colour);
  }
  for (const f of shape.faces) solid.faces.push(first + f);
};
const ball = (rings, sides) => {
  const normals = [], faces = [];
  for (let i = 0; i <= rings; i++) for (let j = 0; j <= sides; j++) {
    const t = Math.PI * i / rings, f = 2 * Math.PI * j / sides;
    normals.push(Math.sin(t) * Math.cos(f), Math.sin(t) * Math.sin(f), Math.cos(t));
    const k = i * (sides + 1) + j;
    if (i < rings && j < sides) faces.push(k, k + sides + 1, k + 1, k + 1, k + sides + 1, k + sides + 2);
  }
  return { places: normals, normals, faces };
};
const atoms = scene.atoms, sphere = atoms.places.length < 150 ? ball(18, 28) : ball(9, 14);
atoms.places.forEach((p, i) => {
  const r = atoms.radii[i], c = atoms.colours[i];
  add(sphere, (x, y, z) => [p[0] + r * x, p[1] + r * y, p[2] + r * z], c);
  for (const v of sphere.normals) solid.normals.push(v);
});
const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => { const l = Math.hypot(...a) || 1; return a.map((x) => x / l); };
const rod = (a, b, r, colour, sides) => {
  const axis = unit(sub(b, a)), u = unit(cross(axis, Math.abs(axis[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0]));
  const v = cross(axis, u), shape = { places: [], normals: [], faces: [] };
  for (let j = 0; j <= sides; j++) {
    const f = 2 * Math.PI * j / sides, n = [0, 1, 2].map((k) => Math.cos(f) * u[k] + Math.sin(f) * v[k]);
    for (const end of [a, b]) { shape.places.push(...end.map((x, k) => x + r * n[k])); shape.normals.push(...n); }
    if (j < sides) shape.faces.push(2 * j, 2 * j + 2, 2 * j + 1, 2 * j + 1, 2 * j + 2, 2 * j + 3);
  }
  add(shape, (x, y, z) => [x, y, z], colour);
  for (const n of shape.normals) solid.normals.push(n);
};
for (const [i, j] of scene.bonds) {
  const a = atoms.places[i], b = atoms.places[j], m = a.map((x, k) => (x + b[k]) / 2);
  rod(a, m, 0.09, atoms.colours[i], 10); rod(m, b, 0.09, atoms.colours[j], 10);
}
for (const [a, b, colour] of scene.edges) rod(a, b, scene.size / 500, colour, 6);
const opaque = upload(new Float32Array(solid.places), new Float32Array(solid.normals), new Uint8Array(solid.colours),
  new Uint32Array(solid.faces));

// --- surfaces: deflated base64 of 16-bit places, 8-bit normals, differences of indices
const bytes = async (text) => {
  const stream = new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]).stream();
  return new Response(stream.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
};
const layers = [];
for (const layer of scene.layers) {
  const data = await bytes(layer.data), v = layer.vertices, f = 3 * layer.faces;
  const q = new Uint16Array(data, 0, 3 * v), step = new Int32Array(data.slice(6 * v, 6 * v + 4 * f));
  const n = new Int8Array(data, 6 * v + 4 * f, 3 * v), places = new Float32Array(3 * v), faces = new Uint32Array(f);
  for (let k = 0; k < 3; k++) for (let i = 0; i < v; i++)
    places[3 * i + k] = layer.low[k] + (layer.high[k] - layer.low[k]) * q[k * v + i] / 65535;
  for (let i = 0, sum = 0; i < f; i++) faces[i] = (sum += step[i]);
  const normals = new Float32Array(3 * v);
  for (let k = 0; k < 3; k++) for (let i = 0; i < v; i++) normals[3 * i + k] = n[k * v + i] / 127;
  layers.push({ ...upload(places, normals, layer.colour, faces), alpha: layer.alpha, visible: layer.visible });
}

// --- camera: a rotation matrix (rows are right, up, towards the viewer), zoom, shift
let turn, zoom = 1, shift = [0, 0], spinning = scene.turns && !matchMedia("(prefers-reduced-motion: reduce)").matches;
let asked = false;
const look = (forward, up) => {
  const z = unit(forward), x = unit(cross(up, z));
  turn = [x, cross(z, x), z];
};
const start = () => { look(scene.eye, [0, 0, 1]); zoom = 1; shift = [0, 0]; };
const rotate = (dx, dy) => {
  const [x, y, z] = turn, spun = (p, q, t) => [p.map((v, k) => v * Math.cos(t) + q[k] * Math.sin(t)),
    q.map((v, k) => v * Math.cos(t) - p[k] * Math.sin(t))];
  const [x1, z1] = spun(x, z, -dx), [y1, z2] = spun(y, z1, -dy);
  turn = [x1, y1, z2].map(unit);
};
start();

const paper = () => getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255);
const pixels = () => {
  const w = canvas.clientWidth, h = canvas.clientHeight, s = zoom * 0.86 * Math.min(w, h * 0.9) / scene.size;
  return { w, h, s };  // s: pixels per Å
};
const draw = () => {
  asked = false;
  const ratio = Math.min(devicePixelRatio || 1, 2), { w, h, s } = pixels();
  if (!w || !h) return;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
  }
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.enable(gl.DEPTH_TEST);
  gl.uniformMatrix3fv(U.turn, true, turn.flat());
  gl.uniform3fv(U.middle, scene.middle); gl.uniform3f(U.scale, 2 * s / w, 2 * s / h, 1.2 / scene.size);
  gl.uniform2f(U.shift, 2 * shift[0] / w, -2 * shift[1] / h); gl.uniform3fv(U.paper, paper());
  const show = (mesh, alpha) => {
    gl.uniform1f(U.alpha, alpha); gl.bindVertexArray(mesh.array);
    if (mesh.colour) gl.vertexAttrib3f(2, ...mesh.colour.map((v) => v / 255));
    gl.drawElements(gl.TRIANGLES, mesh.count, gl.UNSIGNED_INT, 0);
  };
  gl.disable(gl.BLEND); gl.depthMask(true); gl.disable(gl.CULL_FACE);
  if (opaque.count) show(opaque, 1);
  for (const layer of layers) if (layer.visible && layer.alpha >= 1) show(layer, 1);
  gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA); gl.depthMask(false); gl.enable(gl.CULL_FACE);
  for (const layer of layers) if (layer.visible && layer.alpha < 1)
    for (const side of [gl.FRONT, gl.BACK]) { gl.cullFace(side); show(layer, layer.alpha); }
  gl.depthMask(true);
};
const redraw = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };
let seen = true, last = 0;
const frame = (now) => {
  if (!spinning || !seen) return;
  const step = last ? Math.min(now - last, 60) : 16;
  last = now; rotateAbout(step * 0.00035); draw(); requestAnimationFrame(frame);
};
const rotateAbout = (t) => {  // about the vertical axis of space, or of the screen when looking down on it
  const c = Math.cos(t), s = Math.sin(t);
  turn = turn.map(([x, y, z]) => [c * x - s * y, s * x + c * y, z]);
};
const button = document.getElementById("turn");
const spin = (on) => {
  spinning = on; button.setAttribute("aria-pressed", on); last = 0; label.hidden = true;
  if (on) requestAnimationFrame(frame);
};
new IntersectionObserver((entries) => {
  const before = seen;
  seen = entries[0].isIntersecting;
  if (seen && !before && spinning) { last = 0; requestAnimationFrame(frame); }
}).observe(canvas);

// --- hands: one finger turns, two zoom and move; wheel zooms; a tap on an atom names it
const fingers = new Map();
let moved = 0;
canvas.addEventListener("pointerdown", (e) => {
  canvas.setPointerCapture(e.pointerId); fingers.set(e.pointerId, [e.clientX, e.clientY]); moved = 0;
  if (spinning) spin(false);
});
canvas.addEventListener("pointermove", (e) => {
  const old = fingers.get(e.pointerId);
  if (!old) return;
  const dx = e.clientX - old[0], dy = e.clientY - old[1];
  moved += Math.abs(dx) + Math.abs(dy); label.hidden = true;
  if (fingers.size === 1) {
    if (e.shiftKey || e.buttons & 6) { shift = [shift[0] + dx, shift[1] + dy]; } else { rotate(dx / 140, -dy / 140); }
  } else {
    const [other] = [...fingers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
    zoom *= Math.hypot(e.clientX - other[0], e.clientY - other[1]) / (Math.hypot(old[0] - other[0], old[1] - other[1]) || 1);
    shift = [shift[0] + dx / 2, shift[1] + dy / 2];
  }
  fingers.set(e.pointerId, [e.clientX, e.clientY]); redraw();
});
for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (e) => {
  fingers.delete(e.pointerId);
  if (kind === "pointerup" && moved < 6) name(e.clientX, e.clientY);
});
canvas.addEventListener("wheel", (e) => {
  e.preventDefault(); zoom *= Math.exp(-e.deltaY * 0.0012); label.hidden = true; redraw();
}, { passive: false });
canvas.addEventListener("contextmenu", (e) => e.preventDefault());
canvas.addEventListener("dblclick", () => { start(); redraw(); });
const name = (x, y) => {
  const { w, h, s } = pixels();
  let best = null;
  atoms.places.forEach((p, i) => {
    const [px, py, pz] = turn.map((row) => row.reduce((sum, v, k) => sum + v * (p[k] - scene.middle[k]), 0));
    const at = [w / 2 + px * s + shift[0], h / 2 - py * s + shift[1]];
    const near = Math.hypot(at[0] - x, at[1] - y) < Math.max(atoms.radii[i] * s, 9);
    if (near && (!best || pz > best.pz)) best = { i, pz, at };
  });
  label.hidden = !best;
  if (best) {
    label.textContent = atoms.names[best.i];
    label.style.left = `${best.at[0]}px`; label.style.top = `${best.at[1]}px`;
  }
};

// --- buttons and legend
document.querySelectorAll("[data-view]").forEach((b) => {
  if (!scene.vectors) { b.hidden = true; return; }
  b.title = `look along ${b.textContent}`;
  b.addEventListener("click", () => {
    const axis = Number(b.dataset.view);
    spin(false); look(scene.vectors[axis], scene.vectors[(axis + 2) % 3]); shift = [0, 0]; label.hidden = true; redraw();
  });
});
button.addEventListener("click", () => spin(!spinning));
document.getElementById("save").addEventListener("click", () => {
  draw();
  const flat = document.createElement("canvas"), to = flat.getContext("2d");
  flat.width = canvas.width; flat.height = canvas.height;
  to.fillStyle = getComputedStyle(document.body).backgroundColor; to.fillRect(0, 0, flat.width, flat.height);
  to.drawImage(canvas, 0, 0);
  const link = document.createElement("a");
  link.download = `${scene.name}.png`; link.href = flat.toDataURL("image/png"); link.click();
});
const dot = (colour) => {
  const span = document.createElement("span");
  span.className = "dot"; span.style.background = `rgb(${colour})`; return span;
};
scene.layers.forEach((layer, i) => {
  const b = document.createElement("button");
  b.append(dot(layer.colour), layer.name); b.setAttribute("aria-pressed", layer.visible); b.title = "show or hide";
  b.addEventListener("click", () => {
    layers[i].visible = !layers[i].visible; b.setAttribute("aria-pressed", layers[i].visible); redraw();
  });
  document.getElementById("layers").append(b);
});
for (const [symbol, colour] of scene.elements) {
  const span = document.createElement("span");
  span.className = "chip"; span.append(dot(colour), symbol); document.getElementById("elements").append(span);
}
new ResizeObserver(redraw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
spin(spinning); draw();
})();
