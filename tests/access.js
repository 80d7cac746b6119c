// What tests/test_access.py asks of a page: what can be used in it, what the keyboard reaches, what is to be seen of that.

window.access = (() => {
  const USED = "a[href], button, input, select, textarea, summary, [tabindex], [role=button], [role=link], [role=slider], [role=option], [role=radio], [role=tab]";
  const LOOK = ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "borderColor", "backgroundColor", "color", "textDecorationLine", "opacity"];
  const reached = new Set();
  let looks = new Map();
  let latest = null;

  const seen = (node) => {
    const box = node.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && node.checkVisibility({ visibilityProperty: true }) && !node.closest("[inert], [aria-hidden=true]");
  };
  const used = () => [...document.querySelectorAll(USED)].filter((node) => seen(node) && !node.disabled && node.ariaDisabled !== "true");

  /** How a node, what it lies in, what is in it and what follows it look: a focus ring may be drawn on any of them. */
  function look(node) {
    const around = [node, node.nextElementSibling, ...[...node.querySelectorAll("*")].slice(0, 12)];
    for (let parent = node.parentElement, up = 0; parent && up < 4; parent = parent.parentElement, up++) around.push(parent);
    const style = (other, pseudo) => {
      const computed = getComputedStyle(other, pseudo);
      return LOOK.map((name) => computed[name]).join();
    };
    return around.filter(Boolean).flatMap((other) => [style(other), style(other, "::before"), style(other, "::after")]).join(";");
  }

  const brief = (node) => `${node.tagName.toLowerCase()} ${node.ariaLabel ?? ""} ${node.textContent?.trim().slice(0, 40) ?? ""} ${node.outerHTML.slice(0, 120)}`;

  /** Notes how everything looks without the focus. */
  function begin() {
    document.activeElement?.blur();
    reached.clear();
    latest = null;
    looks = new Map(used().map((node) => [node, look(node)]));
  }

  /** Where the focus is now, once what moves has come to rest; null for nowhere, and where it has been before. */
  function step() {
    const node = document.activeElement;
    if (!node || node === document.body || (reached.has(node) && node !== latest)) return null;
    document.getAnimations().forEach((animation) => animation.effect.getComputedTiming().activeDuration < Infinity && animation.finish());
    const stayed = node === latest;
    latest = node;
    reached.add(node);
    const before = looks.get(node);
    // A table's canvas draws its own mark; the page's own area is scrolled by the keys, and is no control.
    return { brief: brief(node), stayed, marked: before === undefined || before !== look(node) || node.matches("canvas, main") };
  }

  /** Waits until nothing has come or gone for some frames: the toolbar of a table or of code is drawn a moment after the focus, and the next
   * key must find it. */
  async function settled() {
    const frames = document.activeElement?.matches("div[tabindex]") ? 60 : 4;
    for (let same = 0, before = used().length; same < frames; ) {
      await new Promise(requestAnimationFrame);
      const now = used().length;
      same = now === before ? same + 1 : 0;
      before = now;
    }
  }

  /** What can be used and was not reached, not even by the arrow keys of a group or list that was. Without the focus, and so without the
   * toolbar of what had it last: one that stands before its element is reached by going back. */
  async function missed() {
    document.activeElement?.blur();
    await settled();
    const within = (node, composite) => [...reached].some((other) => node.closest(composite)?.contains(other));
    const radios = new Set([...reached].filter((node) => node.type === "radio").map(({ name }) => name));
    return used()
      .filter((node) => !reached.has(node))
      .filter((node) => node.tabIndex >= 0 || node.matches("a[href], button, input, select, textarea, summary"))
      .filter((node) => !(node.type === "radio" && radios.has(node.name)))
      .filter((node) => !within(node, "[role=radiogroup], [role=toolbar], [role=listbox], [role=tablist], [role=grid], [role=menu]"))
      .filter((node) => !(node.tabIndex < 0 && within(node, "[role=group], .stNumberInput"))) // a roving focus; the cross that empties a field
      .map(brief);
  }

  /** Pictures without a name that says something, or without a table near them: a canvas, a large drawing, what is called a picture. */
  function unsaid() {
    const pictures = [...document.querySelectorAll("canvas, svg, [role=img], [role=figure]")].filter((node) => {
      const box = node.getBoundingClientRect();
      return seen(node) && box.width > 60 && box.height > 60 && !node.matches("[data-testid=data-grid-canvas], #js-plotly-tester");
    });
    const main = document.querySelector("[data-testid=stMainBlockContainer] > [data-testid=stVerticalBlock]");
    const tabled = (node) => {
      for (let near = node.parentElement; near && near !== main && near !== document.body; near = near.parentElement) {
        if (near.querySelector("table, details.words, [data-testid=stDataFrame]")) return true;
      }
      return false;
    };
    return pictures.flatMap((node) => {
      const named = node.closest("[role=img], [role=figure]");
      const name = named?.ariaLabel ?? "";
      if (name.length < 12) return [`no summary: ${brief(node)}`];
      return named === node && !tabled(node) && !node.closest(".st-key-flat_bar") ? [`no table: ${brief(node)}`] : [];
    });
  }

  /** Words in drawings with a contrast under 4.5:1 to the page; the marks of lanes, which are one sign each, may have 3:1. */
  function pale() {
    const parts = (color) => color.match(/[\d.]+/g).map(Number);
    const light = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([red, green, blue]) => 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
    const ground = parts(getComputedStyle(document.querySelector(".stApp")).backgroundColor);
    const contrast = (node) => {
      const { fill, fillOpacity } = getComputedStyle(node);
      const color = parts(fill);
      const share = (color[3] ?? 1) * fillOpacity;
      const [high, low] = [luminance(color.slice(0, 3).map((part, at) => share * part + (1 - share) * ground[at])), luminance(ground)].sort((a, b) => b - a);
      return (high + 0.05) / (low + 0.05);
    };
    const words = [...document.querySelectorAll(".js-plotly-plot text")].filter((node) => node.textContent.trim().length > 1 && !node.querySelector("tspan[style*=fill]") && !node.closest(".heatmap-label")); // these have a ground of their own
    return words.filter((node) => contrast(node) < 4.5).map((node) => `${contrast(node).toFixed(2)} ${node.textContent}`);
  }

  /** What still moves by itself. */
  const moving = () => document.getAnimations().filter(({ playState, effect }) => playState === "running" && effect.getComputedTiming().activeDuration > 50).map(({ effect }) => brief(effect.target));

  return { begin, step, settled, missed, unsaid, pale, moving };
})();
