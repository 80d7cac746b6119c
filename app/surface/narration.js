// @ts-check
// What the methods do on the toy surface, as text: where each is, and the milestones of its path. No page.

const STILL = 1e-4; // updates shorter than this count as no movement
const CALM = 10; // this many such steps in a row mean convergence
const STAYED = 150; // steps at one place after which a method counts as staying there, if it still makes
const LIVELY = 1e-3; // updates longer than this
const OUT = 20; // steps in the other valley after which it has left the first one

const signed = (value, digits) => {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
};
export const lossText = (loss) => (loss < 1000 ? signed(loss, 3) : loss.toPrecision(3));
export const curvatureText = (value) => signed(value, 2);
export const pointText = ([x, y]) => `(${signed(x, 2)}, ${signed(y, 2)})`;

/** Watches one method from its start. */
export class Watch {
  constructor(surface, [x, y]) {
    this.surface = surface;
    this.valley = surface.valley?.(x, y);
    this.out = 0;
    this.resume();
  }

  /** A setting has changed: a converged method may move again. */
  resume() {
    [this.still, this.there, this.place, this.state] = [0, 0, null, ""];
  }

  /** After a step of the method: the milestones reached, as sentences without the subject. */
  see({ w, last, steps, diverged }) {
    if (diverged) return this.becomes("diverged", `has diverged in step ${steps}.`);
    const said = this.valley ? this.crosses(this.surface.valley(...w)) : [];
    const place = this.surface.places.find(({ there }) => there(...w)) ?? null;
    this.there = place && place === this.place ? this.there + 1 : 0;
    this.place = place;
    const moved = Math.hypot(...last.update);
    this.still = moved < STILL ? this.still + 1 : 0;
    const where = place ? ` at ${place.name}` : "";
    if (this.still >= CALM) return [...said, ...this.becomes("at rest", `has converged${where}.`)];
    if (this.there >= STAYED && (this.state === "stays" || moved > LIVELY)) return [...said, ...this.becomes("stays", `stays${where} without converging.`)];
    this.state = "";
    return said;
  }

  crosses(valley) {
    this.out = valley === this.valley ? 0 : this.out + 1;
    if (this.out < OUT) return [];
    const before = this.valley;
    [this.valley, this.out] = [valley, 0];
    return [`has left ${before}.`];
  }

  becomes(state, sentence) {
    if (this.state === state) return [];
    this.state = state;
    return [sentence];
  }

  /** Whether nothing new is expected of it. */
  get settled() {
    return this.state !== "";
  }

  /** Its place, for the table. */
  get where() {
    if (this.state === "diverged") return "diverged";
    const place = this.place?.label.split(",")[0] ?? "moving";
    return this.state === "at rest" ? `${place}, converged` : place;
  }
}
