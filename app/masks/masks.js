// @ts-check
// The masks page: the network as layers and one layer's masks, played in the browser. mount(host) returns {update, unmount}.

import { count, element, fixed, percent, swatch } from "../ui/parts.js";
import { paintShares } from "../ui/masks.js";
import { scrubber, arrowKeyNavigation } from "../ui/playing.js";
import { detailsTable, pooledTable, tableOf } from "../ui/tables.js";
import { floats, inflate } from "../ui/wire.js";

const FRAME = 250; // milliseconds
const IDLE = 300; // milliseconds that the reader must stay at an epoch before the server is told

const SKELETON = `
  <div class="net" role="group" aria-label="The network, stage by stage"></div>
  <p class="key" aria-hidden="true">
    <span><i class="usual"></i>as expected by chance</span><span><i class="more"></i>more</span>
    <span><i class="less"></i>fewer</span><span><i class="tick"></i>chance ± 2 s.d.</span>
  </p>
  <div class="tools">
    <button type="button" class="play"></button>
    <input type="range" min="0" step="1" aria-label="Mask">
    <output></output>
  </div>
  <h3></h3>
  <div class="maps"></div>`;

export function mount(host) {
  const root = element("section", { ariaLabel: "Masks", innerHTML: SKELETON });
  root.dataset.testid = "masks";
  const find = (selector) => root.querySelector(selector);
  const [net, play, slider, output] = [find(".net"), find(".play"), find("input"), find("output")];
  const state = { data: null, made: "", at: 0, epoch: null, asked: 0 };

  const playing = scrubber(play, slider, {
    pace: FRAME,
    idle: IDLE,
    at: () => state.at,
    last: () => state.data.epochs.length - 1,
    show,
    onIdle: () => choose(state.data.layer),
  });
  net.onkeydown = arrowKeyNavigation;
  const table = detailsTable(tables);
  root.append(table);

  async function update({ data, setStateValue }) {
    const asked = ++state.asked;
    const lanes = await Promise.all(data.lanes.map(unpacked));
    if (asked !== state.asked) return; // superseded by a newer one
    const before = state.data;
    state.data = { ...data, lanes };
    state.set = setStateValue;
    if (!root.isConnected) host.replaceChildren(root);
    root.dataset.kind = data.kind;
    build();
    if (data.kind === "network") place(before);
    show(state.at);
  }

  async function unpacked(lane) {
    const pictures = await inflate(lane.pictures);
    return { ...lane, pictures, densities: lane.densities && floats(lane.densities) };
  }

  /** The reader's place after an update: the same epoch; the latest if that was shown; initially that of the address. */
  function place(before) {
    const { epochs, epoch, run } = state.data;
    const last = epochs.length - 1;
    const known = before?.run === run && before.epochs;
    const wanted = !known ? epoch : state.at === known.length - 1 && !playing.isPlaying() ? null : known[state.at];
    state.at = wanted == null ? last : Math.max(0, epochs.findLastIndex((other) => other <= wanted));
    slider.max = last;
    play.disabled = last < 1;
  }

  /** Tell the server where the reader has stopped, for the address; not while the masks are played. */
  function choose(layer) {
    const { run, epochs } = state.data;
    const epoch = state.at === epochs.length - 1 ? null : epochs[state.at];
    state.set("view", { run, layer, epoch });
  }

  function build() {
    const { data } = state;
    const made = JSON.stringify([data.kind, data.run, data.lanes.map(({ name }) => name)]);
    if (state.made !== made) {
      state.made = made;
      find(".maps").replaceChildren(...data.lanes.map(figure));
      net.replaceChildren(...(data.layers ? stages() : []));
    }
    find("h3").textContent = title(data);
    for (const button of net.querySelectorAll("button")) {
      const chosen = data.layers[button.dataset.layer].name === data.layer;
      button.setAttribute("aria-pressed", chosen);
      button.tabIndex = chosen ? 0 : -1;
    }
  }

  function title({ layer, layers }) {
    const known = layers?.find(({ name }) => name === layer);
    return known ? `${layer}: ${known.shape.join(" × ")}${known.shape.length > 1 ? ` = ${count(known.size)}` : ""} weights` : layer;
  }

  /** A row for each stage, a bar for each tensor: its length is the logarithm of its size, on one scale. */
  function stages() {
    const { layers } = state.data;
    const names = [...new Set(layers.map(({ stage }) => stage))];
    const long = ({ size }) => Math.log10(Math.max(size, 2));
    const rows = names.map((name) => layers.map((layer, at) => ({ ...layer, at })).filter(({ stage }) => stage === name));
    const length = (row) => row.reduce((sum, layer) => sum + long(layer), 0);
    const longest = Math.max(...rows.map(length));
    return rows.map((row, at) => {
      const bars = element("div", { className: "bars" }, ...row.map((layer) => tensor(layer, long(layer))));
      const rest = element("span");
      rest.style.flexGrow = Math.max(0, longest - length(row));
      bars.append(rest);
      return element("div", { className: "stage" }, element("span", { textContent: names[at] }), bars);
    });
  }

  function tensor({ name, stage, at }, long) {
    const bar = (lane) => {
      const made = element("span", { className: "bar" }, ...["base", "more", "less", "tick"].map((className) => element("i", { className })));
      made.style.setProperty("--lane", lane.color);
      return made;
    };
    const short = name.startsWith(`${stage}.`) ? name.slice(stage.length + 1) : name;
    const made = element("button", { type: "button" }, element("small", { textContent: short }), ...state.data.lanes.map(bar));
    made.dataset.layer = at;
    made.style.flexGrow = long;
    made.onclick = () => choose(name);
    return made;
  }

  function figure(lane) {
    const frame = element("div", { className: "frame" }, element("canvas", { role: "img" }));
    return element("figure", {}, element("figcaption", {}, swatch(lane), lane.title), frame, element("small"), element("small"));
  }

  function show(at) {
    const { data } = state;
    state.at = at;
    root.dataset.frame = at;
    if (data.kind === "network") {
      slider.value = at;
      showEpoch(data.epochs[at]);
      showDensities(at);
    }
    data.lanes.forEach((lane, place) => showMap(lane, find(".maps").children[place], at));
    table.refresh();
  }

  /** The mask of a lane at the reader's place; null for none, or if its picture is no longer stored. */
  function shown(lane) {
    const mask = lane.which ? lane.which[state.at] : 0;
    const cells = lane.rows * lane.columns;
    const there = mask >= 0 && (!lane.kept || lane.kept[mask]);
    return there ? lane.pictures.subarray(mask * cells, (mask + 1) * cells) : null;
  }

  /** The share of every layer in each lane, beside chance; then the chosen layer's pictures. */
  function tables() {
    const { kind, layer, layers, lanes } = state.data;
    const what = kind === "often" ? "selection frequency" : "perturbed share";
    const pictures = lanes.filter(shown).map((lane) => pooledTable(`${lane.title}: ${what}, by part of ${layer}`, lane.rows, lane.columns, shown(lane)));
    if (kind === "often") return pictures;
    const share = (lane, number) => {
      const mask = lane.which[state.at];
      return mask < 0 ? "–" : percent(lane.densities[mask * layers.length + number]);
    };
    const chance = lanes.map((lane) => (lane.which[state.at] < 0 ? "–" : percent(lane.density[lane.which[state.at]])));
    const rows = layers.map((known, number) => [known.name, count(known.size), ...lanes.map((lane) => share(lane, number))]);
    const heading = `Perturbed share of each layer, ${output.textContent}`;
    return [tableOf(heading, ["Layer", "weights", ...lanes.map(({ title }) => title)], [...rows, ["by chance", "", ...chance]]), ...pictures];
  }

  function showEpoch(epoch) {
    const when = `start of epoch ${Math.floor(epoch) + 1}`;
    output.textContent = `${when} · mask ${state.at + 1} of ${state.data.epochs.length}`;
    slider.setAttribute("aria-valuetext", when);
  }

  function showDensities(at) {
    const { layers, lanes } = state.data;
    for (const button of net.querySelectorAll("button")) {
      const number = Number(button.dataset.layer);
      const said = lanes.map((lane, place) => {
        const mask = lane.which[at];
        const bar = button.children[place + 1];
        bar.classList.toggle("none", mask < 0);
        return mask < 0 ? `${lane.title}: no mask yet` : fill(bar, lane, mask, layers, number);
      });
      button.title = `${layers[number].name}, ${count(layers[number].size)} weights\n${said.join("\n")}`;
      button.ariaLabel = button.title;
    }
  }

  function fill(bar, lane, mask, layers, number) {
    const [density, chance] = [lane.densities[mask * layers.length + number], lane.density[mask]];
    const twice = 2 * layers[number].spread * Math.sqrt(chance * (1 - chance));
    const odd = Math.abs(density - chance) > twice + 1e-9;
    bar.style.setProperty("--d", density);
    bar.style.setProperty("--c", odd ? chance : density);
    bar.style.setProperty("--low", Math.max(0, chance - twice));
    bar.style.setProperty("--high", Math.min(1, chance + twice));
    const beside = !odd ? "as expected by chance" : density > chance ? "more than chance" : "fewer than chance";
    return `${lane.title}: ${percent(density)}, ${beside} (${percent(chance)} ± ${(100 * twice).toFixed(1)})`;
  }

  function showMap(lane, holder, at) {
    const canvas = holder.querySelector("canvas");
    const picture = shown(lane);
    canvas.hidden = !picture;
    if (picture) paintShares(canvas, lane.rows, lane.columns, picture, lane.color);
    const words = lane.words ?? describe(lane, lane.which[at], picture);
    holder.querySelectorAll("small").forEach((line, place) => (line.textContent = words[place] ?? ""));
    canvas.setAttribute("aria-label", `${lane.title} in ${state.data.layer}: ${words.join("; ")}.`);
  }

  function describe(lane, mask, there) {
    if (mask < 0) return ["no mask yet"];
    const { layers, layer } = state.data;
    const number = layers.findIndex(({ name }) => name === layer);
    const ofLayer = `${percent(lane.densities[mask * layers.length + number], 0)} of this layer (chance: ${percent(lane.density[mask], 0)})`;
    if (!there) return [ofLayer, "its picture is no longer stored"];
    const [changed, overlap] = [lane.changed[mask], lane.overlap[mask]];
    return [ofLayer, changed == null ? "the first mask" : `${percent(changed, 0)} of all mask entries flipped · IoU ${fixed(overlap, 2)}`];
  }

  function unmount() {
    playing.unmount();
    state.asked = -1;
    root.remove();
  }

  return { update, unmount };
}
