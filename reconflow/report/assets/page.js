// Ties the parts together: what is selected in one is shown in all.

const data = JSON.parse(document.getElementById("report-data").textContent);
const byId = (id) => document.getElementById(id);
const neighbours = data.photos.map(() => []);
for (let at = 0; at < data.pairs.length; at += 5) {
  const [first, second, inliers, , reason] = data.pairs.slice(at, at + 5);
  if (reason) continue;
  neighbours[first].push([second, inliers]);
  neighbours[second].push([first, inliers]);
}

// Makes an element; text is always text, never markup.
function make(tag, { text, className, ...rest } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(rest)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const NO_PICTURE =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 48" fill="none" stroke="#98a1b0" stroke-width="1.5">' +
      '<rect x="20" y="14" width="24" height="20" rx="3"/><path d="M16 39 48 9"/></svg>',
  );
const source = (photo) => (data.thumbs[photo] ? `data:image/jpeg;base64,${data.thumbs[photo]}` : NO_PICTURE);
const thumb = (photo) => make("img", { className: "thumb", alt: "", src: source(photo) });

const palette = new Map();
function colorOf(cluster) {
  const name = cluster === null ? "--lost" : `--c${cluster % 8}`;
  if (!palette.has(name)) {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    palette.set(name, [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255));
  }
  return palette.get(name);
}

// Thumbnails stand once in the file; each picture takes its own when it comes near the window.
const arriving = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    arriving.unobserve(entry.target);
    entry.target.src = source(Number(entry.target.dataset.photo));
  }
}, { rootMargin: "400px" });
for (const image of document.querySelectorAll("img[data-photo]")) arriving.observe(image);

const table = new PhotoTable(byId("photo-table"));
const sceneOf = new Map();
data.scenes.forEach((scene, number) => {
  for (const [photo] of scene.cameras) {
    if (!sceneOf.has(photo) || data.photos[photo].model === scene.name) sceneOf.set(photo, number);
  }
});

let viewer = null;
let chosen = null;

function openViewer() {
  if (!data.scenes.length) return;
  try {
    viewer = new Viewer(byId("view"), { scenes: data.scenes, colorOf, onSelect: (photo) => choose(photo, {}) });
  } catch (error) {
    document.documentElement.dataset.view = "none";
    byId("stage-note").hidden = false;
    byId("stage-note").textContent =
      "This browser cannot draw in 3D: WebGL is missing or turned off. Everything else on this page works.";
    byId("scene").classList.add("flat");
    return;
  }
  for (const chip of document.querySelectorAll("[data-scene]")) {
    chip.addEventListener("click", () => {
      showScene(Number(chip.dataset.scene));
      choose(null, {});
    });
  }
  byId("point-size").addEventListener("input", (event) => {
    viewer.pointSize = Number(event.target.value);
    viewer.invalidate();
  });
  byId("show-cameras").addEventListener("change", (event) => {
    viewer.showCameras = event.target.checked;
    viewer.invalidate();
  });
  byId("reset").addEventListener("click", () => viewer.reset());
  byId("view").addEventListener("pointerdown", () => byId("hint").classList.add("gone"), { once: true });
  showScene(0);
}

function showScene(number) {
  viewer.show(number);
  for (const chip of document.querySelectorAll("[data-scene]")) {
    chip.setAttribute("aria-pressed", String(Number(chip.dataset.scene) === number));
  }
}

// Selects a photo everywhere; "fly" also goes to its camera and brings the view into the window.
function choose(photo, { fly = false }) {
  chosen = photo;
  table.mark(photo);
  describe();
  if (!viewer) return;
  const number = sceneOf.get(photo);
  if (photo !== null && number !== undefined && !viewer.scenes[viewer.current].cameras.some(([p]) => p === photo)) {
    showScene(number);
  }
  const image = photo === null ? null : thumb(photo);
  viewer.select(photo, null);
  if (image && data.thumbs[photo]) {
    image.decode().then(() => chosen === photo && viewer.select(photo, image), () => {});
  }
  if (fly && number !== undefined) {
    viewer.visit(photo);
    byId("hint").classList.add("gone");
  }
}

const facts = (rows) => make("dl", { className: "facts" }, ...rows.map(([name, value]) => make("div", {}, make("dt", { text: name }), make("dd", { text: value }))));
const action = (text, act, rest = {}) => {
  const button = make("button", { type: "button", text, ...rest });
  button.addEventListener("click", act);
  return button;
};

function photoButton(photo, note) {
  const label = make("span", {}, make("bdi", { text: data.photos[photo].name }), make("small", { text: note }));
  const button = make("button", { type: "button", className: "near" }, thumb(photo), label);
  button.addEventListener("click", () => choose(photo, { fly: true }));
  return button;
}

function describe() {
  const panel = byId("selected");
  if (!panel) return;
  panel.replaceChildren(...(chosen === null ? overview() : portrait(chosen)));
}

function overview() {
  const scene = data.scenes[viewer ? viewer.current : 0];
  const total = scene.total.toLocaleString("en");
  const points = viewer && scene.count < scene.total ? `${scene.count.toLocaleString("en")} of ${total}` : total;
  const where = viewer ? "a camera in the view, or a photo in the table," : "a photo in the table";
  return [
    make("h3", { text: scene.label }),
    make("p", { className: "sub", text: scene.name }),
    facts([["Photos", String(scene.cameras.length)], [viewer ? "Points shown" : "Points", points]]),
    make("p", { className: "sub", text: `Choose ${where} to see its picture and its numbers.` }),
    ...(viewer ? [action("Go through the photos", () => viewer.step(1), { class: "wide" })] : []),
  ];
}

function portrait(photo) {
  const { name, status, cluster, observations, error, width, height, reason } = data.photos[photo];
  const placed = status === "registered";
  const rows = [["Size", width ? `${width} × ${height} px` : "unknown"], ["Neighbours", String(data.photos[photo].neighbours)]];
  if (placed) rows.unshift(["Cluster", String(cluster)], ["Observations", observations.toLocaleString("en")], ["Error", error === null ? "–" : `${error.toFixed(2)} px`]);
  const strongest = neighbours[photo].sort((a, b) => b[1] - a[1]).slice(0, 4);
  const parts = [make("div", { className: "portrait" }, thumb(photo)), make("h3", {}, make("bdi", { text: name }))];
  if (!placed) parts.push(make("p", { className: "why", text: reason }));
  parts.push(facts(rows));
  if (viewer && placed) {
    parts.push(make("div", { className: "steps" },
      action("‹", () => viewer.step(-1), { "aria-label": "Previous photo" }),
      action("Look through", () => viewer.visit(photo)),
      action("›", () => viewer.step(1), { "aria-label": "Next photo" })));
  }
  if (strongest.length) {
    parts.push(make("h4", { text: "Connected most to" }), ...strongest.map(([other, inliers]) => photoButton(other, `${inliers} inliers`)));
  }
  return parts;
}

function pairWords({ first, second, cell }) {
  if (first === second) return "One and the same photo.";
  if (!cell) {
    if (data.omitted) return `Not among the strongest ${data.pairs.length / 5} pairs, which are all this map shows.`;
    return "This pair was not tried.";
  }
  if (cell.reason) return `Not verified: ${data.reasons[cell.reason]}.`;
  return `${cell.inliers} of ${cell.putative} matches agree on one geometry.`;
}

function showPair(pair) {
  const place = byId("pair-detail");
  if (!pair) {
    place.replaceChildren(make("p", { className: "sub", text: "Point at a cell to see its two photos; click to select the one of its row." }));
    return;
  }
  const side = (photo) => make("figure", {}, thumb(photo), make("figcaption", {}, make("bdi", { text: data.photos[photo].name })));
  place.replaceChildren(make("div", { className: "two" }, side(pair.first), side(pair.second)), make("p", { text: pairWords(pair) }));
}

openViewer();
describe();
if (byId("matrix")) {
  showPair(null);
  new PairMap(byId("matrix"), {
    order: data.order,
    clusterOf: (photo) => data.photos[photo].cluster,
    pairs: data.pairs,
    colorOf,
    onHover: showPair,
    onChoose: (photo) => choose(photo, { fly: true }),
  });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-go]");
  if (!button) return;
  choose(Number(button.dataset.go), { fly: true });
  const scene = byId("scene");
  const gentle = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  if (scene) scene.scrollIntoView({ behavior: gentle, block: "nearest" });
});
document.documentElement.dataset.page = "ready";
