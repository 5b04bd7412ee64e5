"use strict";

// The pixels are magnitudes as little-endian uint16, ordered frame, y, x, in base64.
function decode(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Uint16Array.from({ length: bytes.length / 2 }, (_, index) => view.getUint16(2 * index, true));
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const viewers = [];

class Viewer {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    Object.assign(this, JSON.parse(this.find(".numbers").textContent));
    this.data = decode(this.find(".pixels").textContent);
    this.frame = 0;
    this.timer = null;
    this.listen();
    this.resetWindow();
  }

  pixel(frame, y, x) { return this.data[(frame * this.height + y) * this.width + x]; }

  grey(value) { return 255 * (value - this.level + this.span / 2) / this.span; }

  paint(selector, width, height, valueAt) {
    const canvas = this.find(selector);
    if (!canvas) return;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const picture = context.createImageData(width, height);
    for (let row = 0, at = 0; row < height; row++) {
      for (let column = 0; column < width; column++, at += 4) {
        picture.data[at] = picture.data[at + 1] = picture.data[at + 2] = this.grey(valueAt(row, column));
        picture.data[at + 3] = 255;
      }
    }
    context.putImageData(picture, 0, 0);
  }

  draw() {
    this.paint(".image canvas", this.width, this.height, (row, column) => this.pixel(this.frame, row, column));
    this.describe();
  }

  // Several pixels a frame, so that the browser's smoothing keeps frames apart.
  drawProfiles() {
    const fold = Math.ceil(400 / this.frames);
    const length = this.frames * fold;
    const frameAt = (position) => Math.floor(position / fold);
    this.paint(".yt canvas", length, this.height, (row, column) => this.pixel(frameAt(column), row, this.x));
    this.paint(".xt canvas", this.width, length, (row, column) => this.pixel(frameAt(row), this.y, column));
    const curve = this.find("polyline");
    if (curve) {
      const values = Array.from({ length: this.frames }, (_, frame) => this.pixel(frame, this.y, this.x));
      // From zero, so that noise on a bright pixel does not look like a signal.
      const top = Math.max(1, this.level + this.span / 2, ...values);
      curve.setAttribute("points", values.map((value, frame) =>
        `${100 * (frame + 0.5) / this.frames},${100 - 100 * value / top}`).join(" "));
    }
  }

  describe() {
    const at = (selector, edge, part) => { const line = this.find(selector); if (line) line.style[edge] = `${100 * part}%`; };
    const time = (this.frame + 0.5) / this.frames;
    at(".image .across", "top", (this.y + 0.5) / this.height);
    at(".image .down", "left", (this.x + 0.5) / this.width);
    at(".yt .down", "left", time);
    at(".xt .across", "top", time);
    at(".course .down", "left", time);
    const units = (value) => (value * this.unit).toPrecision(4);
    const seconds = this.times ? `, ${this.times[this.frame].toFixed(3)} s` : "";
    this.find(".state").textContent =
      `frame ${this.numbers[this.frame]}${seconds} · (x ${this.x}, y ${this.y}) = ${units(this.pixel(this.frame, this.y, this.x))}` +
      ` · level ${units(this.level)}, width ${units(this.span)}`;
    for (const [selector, value] of [[".frame", this.frame], [".level", this.level], [".width", this.span]]) {
      const slider = this.find(selector);
      if (slider) slider.value = value;
    }
  }

  resetWindow() { this.setWindow(this.window.level, this.window.width); }

  setWindow(level, span) {
    this.level = clamp(Math.round(level), 0, 65535);
    this.span = clamp(Math.round(span), 1, 65535);
    this.drawProfiles();
    this.draw();
  }

  // Series of the same matrix and number of frames move together while "linked" is ticked.
  equals() {
    const box = document.getElementById("linked");
    if (!box || !box.checked) return [this];
    return viewers.filter((other) => ["width", "height", "frames"].every((key) => other[key] === this[key]));
  }

  goTo(frame) {
    for (const viewer of this.equals()) {
      viewer.frame = clamp(frame, 0, this.frames - 1);
      viewer.draw();
    }
  }

  pointTo(y, x) {
    for (const viewer of this.equals()) {
      viewer.y = clamp(Math.floor(y * this.height), 0, this.height - 1);
      viewer.x = clamp(Math.floor(x * this.width), 0, this.width - 1);
      viewer.drawProfiles();
      viewer.describe();
    }
  }

  play() {
    const speed = this.find(".speed").value;
    this.goTo((this.frame + 1) % this.frames);
    this.timer = setTimeout(() => this.play(), this.interval_ms / speed);
  }

  toggle() {
    if (this.timer) { clearTimeout(this.timer); this.timer = null; } else { this.play(); }
    this.find(".play").textContent = this.timer ? "Stop" : "Play";
  }

  on(selector, event, action) {
    const element = this.find(selector);
    if (element) element.addEventListener(event, action);
  }

  listen() {
    this.on(".frame", "input", (event) => this.goTo(Number(event.target.value)));
    this.on(".level", "input", (event) => this.setWindow(Number(event.target.value), this.span));
    this.on(".width", "input", (event) => this.setWindow(this.level, Number(event.target.value)));
    this.on(".reset", "click", () => this.resetWindow());
    this.on(".play", "click", () => this.toggle());
    this.on(".image", "contextmenu", (event) => event.preventDefault());
    this.on(".image", "pointerdown", (event) => {
      event.currentTarget.setPointerCapture(event.pointerId);
      this.drag(event);
    });
    this.on(".image", "pointermove", (event) => { if (event.buttons) this.drag(event); });
    this.on(".image", "keydown", (event) => this.step(event));
    this.on(".yt", "click", (event) => this.goTo(this.frameUnder(event, "x")));
    this.on(".course", "click", (event) => this.goTo(this.frameUnder(event, "x")));
    this.on(".xt", "click", (event) => this.goTo(this.frameUnder(event, "y")));
  }

  drag(event) {
    const box = this.find(".image").getBoundingClientRect();
    if (event.shiftKey || event.buttons & 2) {
      const step = this.window.width / box.width;
      this.setWindow(this.level - step * event.movementY, this.span + step * event.movementX);
    } else {
      this.pointTo((event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width);
    }
  }

  step(event) {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] || [0, 0];
    if (!down && !right) return;
    event.preventDefault();
    this.pointTo((this.y + down + 0.5) / this.height, (this.x + right + 0.5) / this.width);
  }

  frameUnder(event, axis) {
    const box = event.currentTarget.getBoundingClientRect();
    const part = axis === "x" ? (event.clientX - box.left) / box.width : (event.clientY - box.top) / box.height;
    return Math.floor(part * this.frames);
  }
}

for (const root of document.querySelectorAll(".viewer")) viewers.push(new Viewer(root));
