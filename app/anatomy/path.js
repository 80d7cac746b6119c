// @ts-check
// The path of the weights in a step: w, w + ε and the new w, with true distances, ε upwards.

const SPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [420, 290];
const [MARGIN, SIDE] = [26, 96]; // above and below; left and right, for the labels
const SCALES = [1, 2, 5];
const SMALLEST = 0.45; // of ε: a shorter update is drawn longer

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** By which factor the update is drawn longer: 1, 2, 5, 10 … */
function magnified(length, reach) {
  for (let power = 1; power < 1e9 && length > 0; power *= 10) {
    for (const scale of SCALES) if (scale * power * length >= SMALLEST * reach) return scale * power;
  }
  return 1;
}

/** The points of a lane's step at true lengths; y is along ε, or along the gradient if nothing is perturbed. */
function points({ radius, dense, masked_norm, gradient_norm, update_norm, uphill, aside, second_uphill }) {
  const reach = radius ?? update_norm;
  const times = magnified(update_norm, reach);
  const turned = (cosine) => [Math.sqrt(Math.max(0, 1 - cosine ** 2)), cosine];
  const made = { times, w: [0, 0], after: [times * aside, times * uphill] };
  const lean = radius == null ? [0, 1] : turned(Math.min(1, masked_norm / gradient_norm || 0));
  made.g = [-0.7 * reach * lean[0], 0.7 * reach * lean[1]];
  if (radius == null) return made;
  const [x, y] = turned(second_uphill);
  return { ...made, up: [0, radius], dense: [-dense * lean[0], dense * lean[1]], second: [0.45 * reach * x, radius + 0.45 * reach * y] };
}

/** Draw a lane's path; show(phases, key) then moves it to a phase. */
export function path(lane) {
  const found = points(lane.lengths);
  const places = Object.values(found).filter(Array.isArray);
  const [xs, ys] = [0, 1].map((axis) => places.map((point) => point[axis]));
  const [left, low] = [Math.min(...xs), Math.min(...ys)];
  const across = Math.max(...xs) - left;
  const high = Math.max(...ys) - low;
  const scale = Math.min((WIDTH - 2 * SIDE) / Math.max(across, 1e-12), (HEIGHT - 2 * MARGIN) / Math.max(high, 1e-12));
  const at = ([x, y]) => [WIDTH / 2 + scale * (x - left - across / 2), HEIGHT / 2 - scale * (y - low - high / 2)];
  const masked = Boolean(lane.pictures.mask);
  const loss = (name) => (lane.losses[name] == null ? "" : `loss ${lane.losses[name].toPrecision(4)}`);

  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const parts = {};
  function arrow(name, from, to, label) {
    const [[x1, y1], [x2, y2]] = [at(from), at(to)];
    const length = Math.hypot(x2 - x1, y2 - y1);
    if (length < 1) return;
    const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
    const head = Math.min(9, length / 2);
    const wings = [1, -1].map((side) => `${x2 - head * dx - side * 0.45 * head * dy} ${y2 - head * dy + side * 0.45 * head * dx}`);
    const [tx, ty] = [(x1 + x2) / 2, (y1 + y2) / 2];
    const side = name === "eps" ? 1 : -1;
    parts[name] = svg(
      "g",
      { class: `arrow ${name}` },
      svg("path", { d: `M${x1} ${y1}L${x2} ${y2}M${wings[0]}L${x2} ${y2}L${wings[1]}` }),
      svg("text", { x: tx + side * 8, y: ty, "text-anchor": side > 0 ? "start" : "end" }, label),
    );
    root.append(parts[name]);
  }
  function spot(name, point, title, side, more = "") {
    const [x, y] = at(point);
    const [begin, anchor] = side > 0 ? [x + 13, "start"] : [x - 13, "end"];
    const line = (className, text) => svg("tspan", { x: begin, dy: 15, class: className }, text);
    const text = svg("text", { y: y - 13, "text-anchor": anchor }, line("name", title), line("loss", ""), line("", more));
    parts[name] = svg("g", { class: "spot" }, svg("circle", { cx: x, cy: y, r: 4 }), text);
    root.append(parts[name]);
  }

  arrow("g", found.w, found.g, "g");
  if (found.up) {
    if (masked) arrow("dense", found.w, found.dense, "ε");
    if (masked) {
      const [[x1, y1], [x2, y2]] = [at(found.dense), at(found.up)];
      root.append((parts.falls = svg("path", { class: "falls", d: `M${x1} ${y1}L${x2} ${y2}` })));
    }
    arrow("eps", found.w, found.up, masked ? "m⊙ε" : "ε");
    arrow("second", found.up, found.second, "");
  }
  arrow("after", found.w, found.after, "");
  spot("w", found.w, "w", -1);
  if (found.up) spot("up", found.up, "w + ε", -1);
  spot("new", found.after, "new w", 1, found.times > 1 ? `(drawn ${found.times}× longer)` : "");
  const dot = svg("circle", { class: "dot", r: 7 });
  root.append(dot);

  function show(key) {
    const order = lane.phases.map((phase) => phase.key);
    const now = order.indexOf(key);
    const since = (name) => order.includes(name) && now >= order.indexOf(name);
    const seen = {
      g: since("gradient") && !since("epsilon") && !(key === "update" && !found.up),
      dense: since("epsilon") && !since("ascent"),
      falls: key === "mask",
      eps: since(masked ? "mask" : "epsilon") && !since("restore"),
      second: since("second") && !since("restore"),
      after: key === "update",
      w: true,
      up: since("ascent"),
      new: key === "update",
    };
    for (const [name, part] of Object.entries(parts)) part.classList.toggle("hidden", !seen[name]);
    parts.dense?.classList.toggle("pale", since("mask"));
    const said = { w: since("loss") ? loss("loss") : "", up: since("loss2") ? loss("loss_perturbed") : "", new: key === "update" ? loss("loss_after") : "" };
    for (const [name, text] of Object.entries(said)) if (parts[name]) parts[name].querySelector(".loss").textContent = text;
    const [x, y] = at({ ascent: found.up, loss2: found.up, second: found.up, update: found.after }[key] ?? found.w);
    dot.style.transform = `translate(${x}px, ${y}px)`;
    root.dataset.at = `${Math.round(x)} ${Math.round(y)}`;
    root.setAttribute("aria-label", `The path of the weights. ${lane.phases[now].said}`);
  }

  root.style.setProperty("--lane", lane.color);
  return { root, show };
}
