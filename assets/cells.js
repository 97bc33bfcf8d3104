/* A square of patches that is touched: dragged over, tapped, or walked with the arrow keys; for the lesson.
   new Cells({side, picture, label, onEnter}): onEnter(cell) for every cell that a finger, pointer or Enter comes to. */
(() => {
  "use strict";
  const { element } = window.zigdemoParts;
  const svgNode = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };

  class Cells {
    constructor({ side, picture, label, onEnter }) {
      Object.assign(this, { side, last: null });
      this.path = svgNode("svg", { viewBox: `0 0 ${side} ${side}`, "aria-hidden": "true" });
      this.cells = Array.from({ length: side * side }, (_, cell) => {
        const name = `row ${Math.floor(cell / side) + 1}, column ${cell % side + 1}`;
        return element(onEnter ? "button" : "div", onEnter ? { class: "cell", type: "button", tabindex: cell ? "-1" : "0", "aria-label": name } : { class: "cell" });
      });
      this.root = element("div", { class: "cells", role: onEnter ? "group" : "img", "aria-label": label }, ...this.cells, this.path);
      this.root.style.setProperty("--side", side);
      if (picture) this.root.style.setProperty("--picture", `url("${picture}")`);
      if (onEnter) this.listen(onEnter);
    }
    listen(onEnter) {
      const enter = (event) => {
        const cell = this.cells.indexOf(document.elementFromPoint(event.clientX, event.clientY));
        if (cell >= 0 && cell !== this.last) { this.last = cell; onEnter(cell); }
      };
      this.root.addEventListener("pointerdown", (event) => {
        if (event.target.hasPointerCapture?.(event.pointerId)) event.target.releasePointerCapture(event.pointerId);
        this.last = null;
        enter(event);
      });
      this.root.addEventListener("pointermove", (event) => { if (event.buttons) enter(event); });
      this.root.addEventListener("click", (event) => { if (!event.detail) onEnter(this.cells.indexOf(event.target)); }); // by a key
      this.root.addEventListener("keydown", (event) => {
        const from = this.cells.indexOf(event.target), column = from % this.side;
        const to = { ArrowLeft: column ? from - 1 : -1, ArrowRight: column < this.side - 1 ? from + 1 : -1, ArrowUp: from - this.side, ArrowDown: from + this.side }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        if (!this.cells[to]) return;
        this.cells[from].tabIndex = -1;
        this.cells[to].tabIndex = 0;
        this.cells[to].focus();
      });
    }
    apart(one, two) {
      return Math.abs(Math.floor(one / this.side) - Math.floor(two / this.side)) + Math.abs(one % this.side - two % this.side);
    }
    /* Give cells a class each: names by cell. */
    mark(name) { this.cells.forEach((node, cell) => { node.className = `cell ${name(cell) || ""}`; }); }
    number(order) { order.forEach((cell, place) => { this.cells[cell].dataset.place = place + 1; }); }
    /* Draw an order as far as it goes; steps that are no step to a neighbour are jumps. */
    draw(order) {
      const centre = (cell) => [cell % this.side + 0.5, Math.floor(cell / this.side) + 0.5];
      const lines = order.slice(1).map((cell, place) => {
        const [x1, y1] = centre(order[place]), [x2, y2] = centre(cell);
        return svgNode("line", { x1, y1, x2, y2, class: this.apart(order[place], cell) > 1 ? "jump" : "" });
      });
      const end = order.length ? [svgNode("circle", { cx: centre(order.at(-1))[0], cy: centre(order.at(-1))[1], r: 0.18 })] : [];
      this.path.replaceChildren(...lines, ...end);
    }
  }
  window.zigdemoCells = Cells;
})();
