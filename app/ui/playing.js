// @ts-check
// What pages with playback share: a Play button with its clock, and the arrow keys along a group of buttons.

/** Makes ``button`` play and pause. Every ``pace`` milliseconds ``advance`` goes one step, until ``ended``; ``begin`` comes before the first.
 * ``onIdle`` is called once the reader has been idle for ``idle`` milliseconds: after playing, or after ``touched``. */
export function player(button, { pace, idle, begin, advance, ended, onIdle, changed = (/** @type {boolean} */ _isPlaying) => {} }) {
  let [timer, waiting] = [0, 0];
  button.onclick = () => (timer ? stop() : start());
  label(false);

  function label(isPlaying) {
    button.textContent = isPlaying ? "❚❚" : "▶";
    button.ariaLabel = button.title = isPlaying ? "Pause" : "Play";
    changed(isPlaying);
  }

  function start() {
    begin();
    label(true);
    timer = setInterval(() => {
      advance();
      if (ended()) stop();
    }, pace);
  }

  function stop() {
    if (!timer) return;
    clearInterval(timer);
    timer = 0;
    label(false);
    touched();
  }

  function touched() {
    clearTimeout(waiting);
    waiting = setTimeout(() => !timer && onIdle(), idle);
  }

  function unmount() {
    clearInterval(timer);
    clearTimeout(waiting);
  }

  return { stop, touched, unmount, isPlaying: () => timer > 0 };
}

/** A player with a slider for the same places, from 0 to ``last()``; ``at()`` is the present one, and ``show`` goes to one. */
export function scrubber(button, slider, { pace, idle, at, last, show, onIdle, changed = undefined }) {
  const ended = () => at() >= last();
  const playing = player(button, { pace, idle, onIdle, changed, ended, begin: () => ended() && show(0), advance: () => show(at() + 1) });
  slider.oninput = () => {
    playing.stop();
    show(Number(slider.value));
    playing.touched();
  };
  return playing;
}

/** In a group of buttons the arrow keys go from one to the next: an ``onkeydown``. */
export function arrowKeyNavigation(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const buttons = [...event.currentTarget.querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!step || !next) return;
  event.preventDefault();
  next.focus();
}
