// Sent with every tick; the component's own code is a file that the browser caches. NAME and MODULE are filled in by component.py.

const instances = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  // A line is a JSON object; all of them together are the component's data.
  const lines = new TextDecoder().decode(component.data).split("\n");
  const data = Object.assign({}, ...lines.map((line) => JSON.parse(line)));
  const host = parentElement.querySelector(".ssam-NAME");
  let instance = instances.get(parentElement);
  if (instance && instance.host !== host) end(instance); // Streamlit has replaced the HTML
  if (!instance || instance.gone) {
    instance = { host };
    instances.set(parentElement, instance);
    endWhenRemoved(instance);
    const started = instance;
    import(new URL("MODULE", document.baseURI).href)
      .then((module) => {
        if (started.gone) return;
        started.view = module.mount(host);
        started.view.update(started.latest);
      })
      .catch((error) => {
        host.textContent = `The component could not be loaded: ${error.message}`;
      });
  }
  instance.latest = { ...component, data };
  instance.view?.update(instance.latest);
}

// Streamlit's clean-up does not distinguish an update overtaken by a newer one from a component that leaves the page.
function endWhenRemoved(instance) {
  instance.observer = new MutationObserver(() => {
    if (!instance.host.isConnected) end(instance);
  });
  instance.observer.observe(document.body, { childList: true, subtree: true });
}

function end(instance) {
  if (instance.gone) return;
  instance.gone = true;
  instance.observer.disconnect();
  instance.view?.unmount();
}
