// Three small drawings of what a race will show. They are drawings, not data.

const curve = (height, fall) => {
  const points = Array.from({ length: 25 }, (_, at) => {
    const x = at / 24;
    return `${(10 + 220 * x).toFixed(1)} ${(100 - height * (1 - Math.exp(-4.5 * x)) + fall * x * x).toFixed(1)}`;
  });
  return `M${points.join("L")}`;
};

// SGD, which learns wrong labels by heart, and the three that perturb: which of those is best is left to the races.
const SHAPES = [[66, 24], [79, 0], [79, 0], [79, 0]];
const dashes = { solid: "", dot: "2 4", dash: "8 5", dashdot: "8 4 2 4" };

function curves(lanes) {
  return lanes
    .map(({ color, dash }, at) => `<path d="${curve(...SHAPES[at])}" fill="none" stroke="${color}" stroke-width="2.5" stroke-dasharray="${dashes[dash] ?? ""}"/>`)
    .join("");
}

function masks(lanes) {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const cells = [];
  for (const [at, { color }] of lanes.slice(-2).entries()) {
    for (let row = 0; row < 10; row++) {
      for (let column = 0; column < 10; column++) {
        const share = at ? random() : (Math.sin(1.7 * row) + Math.cos(2.3 * column) + 2.4 * random()) / 3;
        if (share > 0.42) cells.push(`<rect x="${14 + 112 * at + 10 * column}" y="${6 + 10 * row}" width="9.4" height="9.4" fill="${color}" opacity="${Math.min(1, 0.35 + share / 1.5).toFixed(2)}"/>`);
      }
    }
  }
  return cells.join("");
}

function timing(phases) {
  return [1, 2, 2, 2]
    .map((passes, row) => {
      let x = 10;
      return phases
        .filter(({ name }) => passes === 2 || !/2|perturb/.test(name))
        .map(({ name, color }) => {
          const width = { forward: 38, backward: 62 }[name.slice(0, -1)] ?? 5;
          const bar = `<rect x="${x}" y="${10 + 26 * row}" width="${width}" height="16" fill="${color}"/>`;
          x += width;
          return bar;
        })
        .join("");
    })
    .join("");
}

/** The drawings with a caption each, as a node. */
export function preview({ lanes, phases, captions }) {
  const holder = document.createElement("div");
  holder.className = "preview";
  const drawings = { curves: curves(lanes), masks: masks(lanes), timing: timing(phases) };
  for (const [name, drawing] of Object.entries(drawings)) {
    const figure = document.createElement("figure");
    figure.innerHTML = `<svg viewBox="0 0 240 112" aria-hidden="true">${drawing}</svg><figcaption><b></b><span></span></figcaption>`;
    const [strong, ...rest] = captions[name].split("**").filter(Boolean);
    figure.querySelector("b").textContent = strong;
    figure.querySelector("span").textContent = rest.join("");
    holder.append(figure);
  }
  return holder;
}
