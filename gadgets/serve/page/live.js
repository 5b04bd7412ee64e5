"use strict";

// Everything is drawn from one object, which the server sends whenever it has changed.
const make = (tag, classes = "", text = "") => {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  if (text) element.textContent = text;
  return element;
};
const place = (id) => document.getElementById(id);
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;

function curve(values) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "polyline");
  const [low, high] = [Math.min(...values), Math.max(...values)];
  line.setAttribute("points", values.map((value, at) =>
    `${100 * at / (values.length - 1)},${95 - 90 * (value - low) / (high - low || 1)}`).join(" "));
  picture.setAttribute("viewBox", "0 0 100 100");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("class", "curve");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `Error during the fit: from ${values[0]} to ${values.at(-1)}, least ${low}`);
  picture.append(line);
  return picture;
}

function frame(shown) {
  const figure = make("figure");
  const picture = make("div", "picture");
  const image = make("img");
  image.alt = `Frame ${shown.frame} of ${shown.title}`;
  image.src = `data:image/png;base64,${shown.png}`;
  picture.append(image);
  for (const [side, letters] of Object.entries(shown.letters))
    picture.append(make("b", side === "top" ? "top-edge" : side, letters));
  const caption = make("figcaption", "", `${shown.title}, frame ${shown.frame}${shown.is_oriented ? "" : ", orientation unknown"}`);
  figure.append(picture, caption);
  if (shown.curve.length > 1) figure.append(curve(shown.curve));
  return figure;
}

function card(scan) {
  const box = make("article", "card");
  box.tabIndex = 0;
  box.setAttribute("aria-label", `Scan ${scan.measurement || scan.number}: ${scan.state}`);
  const top = make("div", "top");
  top.append(make("h3", "", scan.measurement || `scan ${scan.number}`), make("span", `state ${scan.state}`, scan.state));
  const facts = [scan.method, `${scan.n_readouts} readouts`, `${scan.n_images} images`, clock(scan.seconds)];
  box.append(top, make("p", "facts", facts.filter(Boolean).join(" · ")));
  if (scan.state === "fitting" && scan.stage) {
    const bar = make("progress");
    bar.max = 1;
    bar.value = scan.done;
    bar.setAttribute("aria-label", "Share of the fit that is done");
    box.append(bar, make("p", "facts quiet", [`${Math.round(100 * scan.done)} %`, scan.stage, scan.time_left].filter(Boolean).join(" · ")));
  }
  if (scan.made.length) box.append(make("p", "facts quiet", `Images: ${scan.made.join(", ")}`));
  if (scan.failure) box.append(make("p", "bad", scan.failure));
  if (scan.frames.length) {
    const frames = make("div", "frames");
    frames.append(...scan.frames.map(frame));
    box.append(frames);
    for (const comment of new Set(scan.frames.map((shown) => shown.comment).filter(Boolean)))
      box.append(make("p", "comment", comment));
  }
  return box;
}

// What has the focus is found again by its place, so that the keyboard is not lost at every update.
function fill(id, scans, nothing) {
  const list = place(id);
  const held = [...list.children].indexOf(document.activeElement);
  list.replaceChildren(...(scans.length ? scans.map(card) : [make("p", "empty", nothing)]));
  if (held >= 0 && list.children[held]) list.children[held].focus({ preventScroll: true });
}

function draw(state) {
  fill("running", state.running, "None. The daemon waits for scans.");
  fill("ended", state.ended, "None yet.");
  place("hidden").hidden = state.shows_images;
  const facts = Object.entries(state.machine).map(([name, value]) => {
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", "", value));
    return pair;
  });
  place("machine").replaceChildren(...facts);
  const errors = state.errors.map((error) => make("li", "bad", `${error.time} · ${error.scan}: ${error.text}`));
  place("errors").replaceChildren(...(errors.length ? errors : [make("li", "empty", "None.")]));
}

draw(JSON.parse(place("state").textContent));
const events = new EventSource("events");
events.onmessage = (event) => { draw(JSON.parse(event.data)); place("link").textContent = "live"; };
events.onerror = () => { place("link").textContent = "not connected; trying again …"; };
