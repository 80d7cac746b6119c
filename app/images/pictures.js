// @ts-check
// Small pictures from bytes.

/** The pictures (count × side × side × channels bytes, channels 1 or 3) on one canvas, ``columns`` in a row. */
export function contactSheet(/** @type {Uint8Array} */ bytes, /** @type {number} */ count, /** @type {number} */ side, /** @type {number} */ channels, /** @type {number} */ columns) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, columns * side);
  canvas.height = Math.max(1, Math.ceil(count / columns) * side);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer); // 0xAABBGGRR
  const [green, blue] = channels === 3 ? [1, 2] : [0, 0];
  let from = 0;
  for (let tile = 0; tile < count; tile++) {
    const corner = Math.floor(tile / columns) * side * canvas.width + (tile % columns) * side;
    for (let row = 0; row < side; row++) {
      for (let column = 0, to = corner + row * canvas.width; column < side; column++, to++, from += channels) {
        pixels[to] = 0xff000000 | (bytes[from + blue] << 16) | (bytes[from + green] << 8) | bytes[from];
      }
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
