/* The grid of the Compare tab: pictures that differ in one thing a side; entirely in the browser once they are drawn.
   zigdemoCompare.mount(root, data) with data = {rows: {label, values}, columns: {label, values}, about, link,
   cells: [[{state: "waiting" | "running" | "done" | "impossible", source, under, reason}, ...], ...]};
   link: the matrix as JSON for the page's address, or empty. */
(() => {
  "use strict";
  const { element } = window.zigdemoParts;
  const translate = (text) => window.zigdemoLanguage.translate(text);
  const BLINK_MS = 600, STATES = { waiting: "not drawn yet", running: "drawing" };
  const MODES = [["beside", "Side by side"], ["blink", "Blink"], ["difference", "Difference"]];
  const SIZES = [72, 96, 128, 176, 240];
  const ROOMY_PX = 1400; // of a window in which four columns of 128 px stand beside the pair

  class Grid {
    constructor(root) {
      Object.assign(this, { root, data: null, pinned: null, pointed: null, mode: "beside", size: window.innerWidth < ROOMY_PX ? 1 : 2, shape: "" });
      this.table = element("table", { class: "compare-table" });
      this.scroll = element("div", { class: "compare-scroll", tabindex: "-1" }, this.table);
      this.left = element("figure", {}); this.right = element("figure", {});
      this.stage = element("div", { class: "compare-stage" }, this.left, this.right);
      this.modes = MODES.map(([name, label]) => {
        const button = element("button", { type: "button", class: "compare-mode", "aria-pressed": String(name === this.mode) }, label);
        button.addEventListener("click", () => this.setMode(name));
        return button;
      });
      this.zoom = element("input", { type: "range", min: "0", max: String(SIZES.length - 1), value: String(this.size), "aria-label": "Size of the pictures" });
      this.zoom.addEventListener("input", () => { this.size = Number(this.zoom.value); this.resize(); });
      this.about = element("p", { class: "compare-about", translate: "no" });
      root.replaceChildren(
        element("div", { class: "compare-left" }, this.about, this.scroll, element("label", { class: "compare-zoom" }, "Size", this.zoom)),
        element("div", { class: "compare-right" },
          element("div", { class: "compare-modes", role: "group", "aria-label": "How two pictures are compared" }, ...this.modes), this.stage),
        element("p", { class: "compare-keys" }, "Click a picture to pin it, then point at another. Keys on a picture: arrows move, Enter pins, B blinks, D shows the difference, S side by side."));
      root.addEventListener("keydown", (event) => this.key(event));
      window.setInterval(() => this.blink(), BLINK_MS);
      window.addEventListener("zigdemo-language", () => { if (this.data) this.show(this.data); });
    }
    at(place) { return place && this.data.cells[place[0]]?.[place[1]]; }
    show(data) {
      this.data = data;
      const shape = JSON.stringify([data.rows, data.columns]);
      if (shape !== this.shape) { this.shape = shape; this.pinned = this.pointed = null; this.lay(); }
      this.about.textContent = data.about;
      data.cells.forEach((row, r) => row.forEach((cell, c) => this.fill(r, c, cell)));
      this.compare();
      this.follow();
      this.together();
    }
    /* Clips begin together once the last one is there, so that they play in step. */
    together() {
      const images = this.buttons.flat().map((button) => button.querySelector("img")).filter(Boolean);
      const clips = images.filter((image) => image.src.endsWith(".webp"));
      if (clips.length < 2 || this.data.cells.flat().some((cell) => cell.state === "waiting" || cell.state === "running")) return;
      clips.forEach((image) => { const source = image.src; image.removeAttribute("src"); image.src = source; });
    }
    /* A row of headings, then a row of cells each; headings of rows stay in sight on a narrow page. */
    lay() {
      const { rows, columns } = this.data;
      const corner = element("th", { class: "compare-corner" }, element("span", {}, rows.label), element("b", {}, rows.label && columns.label ? " ↓ → " : ""), element("span", {}, columns.label));
      const head = element("tr", {}, corner, ...columns.values.map((value, c) => element("th", { scope: "col", title: columns.titles[c], translate: "no" }, value)));
      this.buttons = rows.values.map((row, r) => columns.values.map((column, c) => {
        const button = element("button", { type: "button", class: "compare-cell", tabindex: r + c ? "-1" : "0", translate: "no" });
        button.addEventListener("click", () => this.choose(r, c));
        for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => { this.pointed = [r, c]; this.compare(); });
        return button;
      }));
      this.lines = rows.values.map(() => columns.values.map(() => element("small", {})));
      this.table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows.values.map((value, r) =>
        element("tr", {}, element("th", { scope: "row", title: rows.titles[r], translate: "no" }, element("span", {}, value)), ...columns.values.map((_, c) => element("td", {}, this.buttons[r][c], this.lines[r][c]))))));
      this.table.classList.toggle("one-row", !rows.label);
      this.resize();
    }
    /* A click: a picture is pinned; another cell is drawn alone, or skipped while the matrix is drawn. */
    choose(r, c) {
      const cell = this.at([r, c]);
      if (!cell.source) {
        if (cell.state !== "impossible") this.root.dispatchEvent(new CustomEvent("zigdemo-cell", { bubbles: true, detail: { row: r, column: c } }));
        return;
      }
      this.pinned = this.same(this.pinned, [r, c]) ? null : [r, c];
      this.compare();
    }
    fill(r, c, cell) {
      const button = this.buttons[r][c], name = this.name([r, c]), busy = this.data.cells.flat().some((one) => one.state === "running");
      const act = cell.source || cell.state === "impossible" ? "" : busy ? "Skip this one" : "Draw this one";
      const key = window.zigdemoLanguage.code + cell.state + act + (cell.source || cell.reason || "");
      if (button.dataset.key === key) return;
      button.dataset.key = key;
      button.dataset.state = cell.state;
      button.title = translate(act);
      button.setAttribute("aria-label", [name, translate(cell.under || cell.reason || STATES[cell.state]), translate(act)].filter(Boolean).join("; "));
      if (cell.source) {
        const image = element("img", { alt: "", src: cell.source, draggable: "false" });
        image.addEventListener("load", () => { image.classList.toggle("crisp", image.naturalWidth < 128); this.compare(); });
        button.replaceChildren(image);
      } else button.replaceChildren(element("span", {}, cell.state === "impossible" ? "–" : cell.state === "running" ? "…" : busy ? "×" : "+"));
      this.lines[r][c].textContent = cell.under || cell.reason || "";
      this.lines[r][c].classList.toggle("reason", Boolean(cell.reason));
    }
    name([r, c]) {
      const { rows, columns } = this.data;
      const part = (side, value) => (side.label ? `${translate(side.label)} ${value}` : "");
      return [part(rows, rows.values[r]), part(columns, columns.values[c])].filter(Boolean).join(", ") || "the picture";
    }
    same(a, b) { return Boolean(a && b && a[0] === b[0] && a[1] === b[1]); }
    first(but) {
      for (let r = 0; r < this.data.cells.length; r++)
        for (let c = 0; c < this.data.cells[r].length; c++)
          if (this.data.cells[r][c].source && !this.same(but, [r, c])) return [r, c];
      return null;
    }
    /* The pinned picture, else the first, beside the one under the pointer. */
    pair() {
      const one = this.at(this.pinned)?.source ? this.pinned : this.first(null);
      const two = this.at(this.pointed)?.source && !this.same(this.pointed, one) ? this.pointed : this.first(one);
      return [one, two];
    }
    compare() {
      if (!this.data) return;
      const [one, two] = this.pair();
      this.buttons.flat().forEach((button) => button.classList.remove("pinned", "pointed"));
      if (this.pinned) this.buttons[this.pinned[0]][this.pinned[1]].classList.add("pinned");
      if (one && two) this.buttons[two[0]][two[1]].classList.add("pointed");
      this.stage.hidden = !one;
      if (!one) return;
      this.figure(this.left, one, this.same(one, this.pinned) ? "Pinned: " : "");
      this.right.hidden = !two || this.mode === "blink";
      this.left.classList.toggle("blinking", this.mode === "blink");
      if (!two) return;
      if (this.mode === "difference") this.difference(one, two);
      else this.figure(this.right, two, "");
    }
    figure(node, place, prefix) {
      const cell = this.at(place), key = `${this.mode === "difference" ? "" : "p"}${cell.source}`;
      const caption = element("figcaption", {}, element("span", {}, prefix), element("span", { translate: "no" }, this.name(place)), element("small", {}, cell.under || ""));
      if (cell.source.startsWith("gradio_api")) caption.append(element("a", { href: cell.source, download: "" }, "Save"));
      if (node.dataset.key === key) { node.querySelector("figcaption").replaceWith(caption); return; }
      node.dataset.key = key;
      const image = element("img", { alt: this.name(place), src: cell.source, translate: "no" });
      image.addEventListener("load", () => image.classList.toggle("crisp", image.naturalWidth < 128));
      node.replaceChildren(image, caption);
    }
    /* |one - two|, brighter where they differ more, against the largest difference. */
    difference(one, two) {
      const images = [one, two].map(([r, c]) => this.buttons[r][c].querySelector("img"));
      if (!images.every((image) => image?.complete && image.naturalWidth)) return;
      const [w, h] = [images[0].naturalWidth, images[0].naturalHeight];
      const pixels = images.map((image) => {
        const canvas = element("canvas", { width: w, height: h }), pen = canvas.getContext("2d");
        pen.drawImage(image, 0, 0, w, h);
        return pen.getImageData(0, 0, w, h).data;
      });
      const canvas = element("canvas", { width: w, height: h, role: "img", "aria-label": "where the two differ" });
      const pen = canvas.getContext("2d"), out = pen.createImageData(w, h), apart = new Float32Array(w * h);
      let most = 1, sum = 0;
      for (let i = 0; i < apart.length; i++) {
        const k = 4 * i;
        apart[i] = (Math.abs(pixels[0][k] - pixels[1][k]) + Math.abs(pixels[0][k + 1] - pixels[1][k + 1]) + Math.abs(pixels[0][k + 2] - pixels[1][k + 2])) / 3;
        most = Math.max(most, apart[i]); sum += apart[i];
      }
      for (let i = 0; i < apart.length; i++) {
        const share = apart[i] / most;
        out.data.set([255 * Math.min(1, 1.6 * share), 210 * share, 90 * (1 - share) * share, 255], 4 * i);
      }
      pen.putImageData(out, 0, 0);
      if (w < 128) canvas.classList.add("crisp");
      this.right.dataset.key = "";
      this.right.replaceChildren(canvas, element("figcaption", {}, element("span", {}, "Difference to "), element("span", { translate: "no" }, this.name(two)), element("small", {}, `mean ${(sum / apart.length).toFixed(1)}, largest ${most.toFixed(0)} of 255`)));
    }
    blink() {
      if (this.mode !== "blink" || !this.data || !this.root.offsetParent) return;
      const [one, two] = this.pair();
      if (!one || !two) return;
      this.second = !this.second;
      const shown = this.second ? two : one;
      this.figure(this.left, shown, this.same(shown, this.pinned) ? "Pinned: " : "");
    }
    setMode(mode) {
      this.mode = mode;
      this.modes.forEach((button, i) => button.setAttribute("aria-pressed", String(MODES[i][0] === mode)));
      this.compare();
    }
    resize() { this.root.style.setProperty("--cell", `${SIZES[this.size]}px`); }
    key(event) {
      if (!event.target.classList?.contains("compare-cell")) return;
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }, [r, c] = this.pointed || [0, 0];
      const modes = { b: "blink", d: "difference", s: "beside" };
      if (moves[event.key]) {
        const next = this.buttons[r + moves[event.key][0]]?.[c + moves[event.key][1]];
        if (next) { this.buttons.flat().forEach((button) => button.setAttribute("tabindex", "-1")); next.setAttribute("tabindex", "0"); next.focus(); }
      } else if (modes[event.key] && !event.ctrlKey && !event.metaKey) this.setMode(modes[event.key]);
      else return;
      event.preventDefault();
    }
    /* The page's address follows the matrix while its tab is open. */
    follow() {
      if (!this.data.link || !this.root.offsetParent) return;
      const url = new URL(window.location.href);
      url.searchParams.set("place", "compare");
      url.searchParams.set("matrix", this.data.link);
      window.history.replaceState(window.history.state, "", url);
    }
  }

  window.zigdemoCompare = {
    mount(root, data) {
      if (!data) return;
      root.zigdemoGrid = root.zigdemoGrid || new Grid(root);
      root.zigdemoGrid.show(data);
    },
  };
})();
