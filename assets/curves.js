/* The plots of errors, SVGs made by the server: pointing at a curve, its name or its row in the table shows its values
   and brings it out in all plots, and a plot can be saved as it looks. Works on all `.errors` of the page, at any time. */
(() => {
  "use strict";
  const { download, element, pngOf } = window.zigdemoParts;
  const NEAR = 48; // units of the plot within which a point shows its value
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "paint-order", "opacity", "font-size", "font-family", "font-weight", "text-anchor"];

  function bringOut(root, name) {
    root.classList.toggle("has-on", name !== null);
    for (const node of root.querySelectorAll("[data-curve]")) node.classList.toggle("on", node.dataset.curve === name);
  }

  /* The point of a plot that is nearest to the pointer, within NEAR. */
  function nearest(svg, event) {
    const here = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let best = null, least = NEAR;
    for (const spot of svg.querySelectorAll(".spot")) {
      const away = Math.hypot(spot.dataset.x - here.x, spot.dataset.y - here.y);
      if (away < least) [best, least] = [spot, away];
    }
    return best;
  }

  function tell(svg, spot) {
    const figure = svg.closest("figure"), tip = figure.querySelector(".curve-tip") ?? figure.appendChild(element("div", { class: "curve-tip", "aria-hidden": "true" }));
    tip.textContent = spot ? spot.dataset.tip : "";
    if (!spot) return;
    const matrix = svg.getScreenCTM(), box = figure.getBoundingClientRect();
    const left = spot.dataset.x * matrix.a + matrix.e - box.left, half = tip.offsetWidth / 2;
    Object.assign(tip.style, { left: Math.max(half, Math.min(box.width - half, left)) + "px", top: spot.dataset.y * matrix.d + matrix.f - box.top - 14 + "px" });
  }

  function point(event) {
    const root = event.target.closest?.(".errors");
    for (const other of document.querySelectorAll(".errors.has-on")) if (other !== root) clear(other);
    if (!root) return;
    const svg = event.target.closest("svg"), named = event.target.closest("[data-curve]");
    const spot = svg && nearest(svg, event);
    for (const plot of root.querySelectorAll("svg.plot")) tell(plot, plot === svg ? spot : null);
    bringOut(root, spot?.closest("[data-curve]").dataset.curve ?? named?.dataset.curve ?? null);
  }
  function clear(root) {
    bringOut(root, null);
    for (const plot of root.querySelectorAll("svg.plot")) tell(plot, null);
  }

  /* The plot as a file of its own: the colours of the page's style sheet written into it. */
  function standalone(svg) {
    const copy = svg.cloneNode(true), from = [svg, ...svg.querySelectorAll("*")], { width, height } = svg.viewBox.baseVal;
    [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
      const style = getComputedStyle(from[i]);
      for (const name of STYLES) node.style.setProperty(name, style.getPropertyValue(name));
    });
    for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height })) copy.setAttribute(name, value);
    const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ width, height, fill: getComputedStyle(svg.closest(".errors")).getPropertyValue("--ground") })) ground.setAttribute(name, value);
    copy.prepend(ground);
    return { text: new XMLSerializer().serializeToString(copy), width, height };
  }

  async function save(button) {
    const svg = button.closest("figure").querySelector("svg.plot"), kind = button.dataset.save, name = `${svg.dataset.name}.${kind}`;
    clear(svg.closest(".errors"));
    const { text, width, height } = standalone(svg);
    download(kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await pngOf(text, width, height), name);
  }

  for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, point);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".errors [data-save]");
    if (button) save(button);
  });
})();
