/* The scan player: draws token orders on canvases and walks along them, entirely in the browser.
   zigdemoScanPlayer.mount(root, data) with data = {scheme, label, grid: [rows, columns], paths, scans,
   orders: [[raster index, ...], ...], measures: [{continuity, jumps, longest_jump, neighbour_distance}, ...]};
   orders are those of the layers 0, 1, ..., or, where scans > 1, those that every layer uses at once. */
(() => {
  "use strict";
  // Samples of a perceptually even map from dark violet to yellow; colours between are interpolated.
  const SAMPLES = [[72, 33, 115], [64, 67, 135], [52, 94, 141], [41, 120, 142], [32, 144, 140], [34, 167, 132],
    [68, 190, 112], [121, 209, 81], [189, 222, 38], [253, 231, 36]];
  const LAYERS = 16, PANELS = 8, MAIN_PX = 520, PANEL_PX = 112, CELL_PX = 96;
  const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
  // Beyond this many jumps only the latest are drawn: all of them would hide the picture.
  const ALL_JUMPS = 300, TRAIL = 40;
  const CALM_MS = 250; // between two frames where the person asked for less motion
  const ON_DARK = "#ffffff", ON_LIGHT = "#1d2939";
  const SHAPES = {
    first: "M5 5h2v14H5zM19 5v14L8.5 12z", back: "M16 5v14L6 12z", play: "M7 4v16l13-8z",
    pause: "M6 5h4v14H6zM14 5h4v14h-4z", forward: "M8 5v14l10-7z", last: "M17 5h2v14h-2zM5 5v14l10.5-7z",
  };

  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
  const inkOn = (share) => (share > 0.55 ? ON_LIGHT : ON_DARK);
  const mix = (share) => {
    const place = clamp(share, 0, 0.9999) * (SAMPLES.length - 1), low = Math.floor(place);
    return SAMPLES[low].map((v, i) => Math.round(v + (place - low) * (SAMPLES[low + 1][i] - v)));
  };

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }
  function icon(name) {
    const holder = element("span", { class: "scan-icon", "aria-hidden": "true" });
    holder.innerHTML = `<svg viewBox="0 0 24 24"><path d="${SHAPES[name]}"/></svg>`;
    return holder;
  }

  /* One order on its grid: ranks, neighbours, jumps, all worked out once. */
  class Path {
    constructor(order, [rows, columns]) {
      Object.assign(this, { order, rows, columns, length: order.length });
      this.rank = new Int32Array(order.length);
      order.forEach((cell, k) => { this.rank[cell] = k; });
      this.jumps = [];
      for (let k = 1; k < order.length; k++) if (this.reach(k) > 1) this.jumps.push(k);
      this.trail = this.jumps.length > ALL_JUMPS;
      this.colours = order.map((_, k) => mix(this.share(k)));
    }
    row(cell) { return Math.floor(cell / this.columns); }
    column(cell) { return cell % this.columns; }
    share(k) { return this.length > 1 ? k / (this.length - 1) : 0; }
    reach(k) {
      const from = this.order[k - 1], to = this.order[k];
      return Math.abs(this.column(from) - this.column(to)) + Math.abs(this.row(from) - this.row(to));
    }
    /* The jumps to draw at a position: all up to there, or the latest few. */
    shown(position) {
      const upto = this.jumps.filter((k) => k <= position);
      return this.trail ? upto.slice(-TRAIL) : upto;
    }
  }

  /* A canvas that shows one path. Cells are one pixel each of a small image that is scaled up, and lines are
     only added to while the scan goes forward, so that a 64 x 64 grid costs little a frame. */
  class View {
    constructor(canvas) {
      this.canvas = canvas;
      this.cells = document.createElement("canvas");
      this.lines = document.createElement("canvas");
    }
    show(path) {
      this.path = path;
      Object.assign(this.cells, { width: path.columns, height: path.rows });
      this.drawn = Infinity;
    }
    /* The largest size in whole device pixels a cell that fits; `whole` false for views without grid lines. */
    fit(side, ratio) {
      const { rows, columns } = this.path, exact = Math.min((side * ratio) / Math.max(rows, columns), CELL_PX * ratio);
      this.cell = exact >= 3 ? Math.floor(exact) : exact;
      for (const canvas of [this.canvas, this.lines]) {
        canvas.width = Math.max(1, Math.round(this.cell * columns));
        canvas.height = Math.max(1, Math.round(this.cell * rows));
      }
      this.canvas.style.width = this.canvas.width / ratio + "px";
      this.canvas.style.height = this.canvas.height / ratio + "px";
      this.drawn = Infinity;
    }
    centre(token) { return [(this.path.column(token) + 0.5) * this.cell, (this.path.row(token) + 0.5) * this.cell]; }
    paint(position, theme, { hovered = null, numbers = false, marker = true }) {
      if (!this.path || !this.cell) return;
      const { path, cell, canvas } = this, context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      this.fill(position, theme.faint);
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.drawImage(this.cells, 0, 0, canvas.width, canvas.height);
      if (cell >= 5) this.grid(context, theme.ground);
      if (cell >= 4) {
        this.walk(position, theme);
        context.drawImage(this.lines, 0, 0);
        if (path.trail && cell >= 7) for (const k of path.shown(position)) this.segment(context, k, theme);
      }
      if (numbers) this.number(context, position);
      if (marker) this.mark(context, hovered ?? path.order[position], theme);
    }
    fill(position, faint) {
      const { order, colours, columns, rows } = this.path;
      const context = this.cells.getContext("2d"), image = context.createImageData(columns, rows);
      order.forEach((token, k) => {
        const colour = k <= position ? colours[k] : faint, at = 4 * token;
        for (let i = 0; i < 3; i++) image.data[at + i] = colour[i];
        image.data[at + 3] = 255;
      });
      context.putImageData(image, 0, 0);
    }
    grid(context, ground) {
      const { canvas, cell } = this, width = Math.max(1, Math.round(cell * 0.05));
      context.fillStyle = ground;
      for (let x = 1; x < this.path.columns; x++) context.fillRect(x * cell - Math.floor(width / 2), 0, width, canvas.height);
      for (let y = 1; y < this.path.rows; y++) context.fillRect(0, y * cell - Math.floor(width / 2), canvas.width, width);
    }
    walk(position, theme) {
      const context = this.lines.getContext("2d");
      if (position < this.drawn) {
        context.clearRect(0, 0, this.lines.width, this.lines.height);
        this.drawn = 0;
      }
      for (let k = this.drawn + 1; k <= position; k++) if (!this.path.trail || this.path.reach(k) <= 1) this.segment(context, k, theme);
      this.drawn = position;
    }
    segment(context, k, theme) {
      const { path, cell } = this, far = path.reach(k) > 1, width = clamp(cell * 0.08, 1, 5);
      Object.assign(context, { lineCap: "round", lineWidth: width, strokeStyle: far ? theme.jump : inkOn(path.share(k)) });
      context.setLineDash(far ? [width * 2.5, width * 2.2] : []);
      context.beginPath();
      for (const token of [path.order[k - 1], path.order[k]]) context.lineTo(...this.centre(token));
      context.stroke();
    }
    number(context, position) {
      const { path, cell } = this, digits = String(path.length).length;
      const size = Math.floor(Math.min(cell * 0.24, (cell * 0.36) / (digits * 0.6)));
      if (size < 8 * (window.devicePixelRatio || 1)) return;
      Object.assign(context, { font: `500 ${size}px system-ui, sans-serif`, textAlign: "left", textBaseline: "top" });
      path.order.slice(0, position + 1).forEach((token, k) => {
        context.fillStyle = inkOn(path.share(k));
        context.fillText(String(k + 1), (path.column(token) + 0.1) * cell, (path.row(token) + 0.1) * cell);
      });
    }
    mark(context, token, theme) {
      const { path, cell } = this, width = clamp(cell * 0.06, 1.5, 4);
      const x = path.column(token) * cell, y = path.row(token) * cell;
      context.lineWidth = width;
      for (const [inset, colour] of [[width * 1.4, theme.ground], [width / 2, theme.ink]]) {
        context.strokeStyle = colour;
        context.strokeRect(x + inset, y + inset, Math.max(cell - 2 * inset, 1), Math.max(cell - 2 * inset, 1));
      }
    }
  }

  /* The picture of a view as SVG text, for slides and papers. */
  function svgOf(path, position, theme, title) {
    const unit = 20, centre = (token) => [(path.column(token) + 0.5) * unit, (path.row(token) + 0.5) * unit];
    const line = (k, extra) => {
      const [x1, y1] = centre(path.order[k - 1]), [x2, y2] = centre(path.order[k]);
      return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${extra}/>`;
    };
    const parts = path.order.map((token, k) => `<rect x="${path.column(token) * unit}" y="${path.row(token) * unit}" ` +
      `width="${unit}" height="${unit}" fill="rgb(${k <= position ? path.colours[k] : theme.faint})" stroke="${theme.ground}"/>`);
    for (let k = 1; k <= position; k++) if (path.reach(k) <= 1) parts.push(line(k, `stroke="${inkOn(path.share(k))}"`));
    for (const k of path.shown(position)) parts.push(line(k, `stroke="${theme.jump}" stroke-dasharray="5 4"`));
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${path.columns * unit} ${path.rows * unit}" ` +
      `stroke-width="1.8" stroke-linecap="round"><title>${title.replace(/[<&]/g, "")}</title>${parts.join("")}</svg>`;
  }

  class Player {
    constructor(root) {
      Object.assign(this, { root, layer: 0, position: 0, speed: 1, playing: false, hovered: null, panels: [] });
      this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
      this.build();
      const repaint = () => { this.theme = null; this.draw(true); };
      const size = new ResizeObserver(() => this.layout()), classes = new MutationObserver(repaint);
      const dark = window.matchMedia("(prefers-color-scheme: dark)");
      size.observe(root);
      for (const node of [document.documentElement, document.body]) classes.observe(node, { attributeFilter: ["class"] });
      dark.addEventListener("change", repaint);
      this.forget = () => { this.stop(); size.disconnect(); classes.disconnect(); dark.removeEventListener("change", repaint); };
    }
    build() {
      const button = (inside, label, act, kind = "scan-button") => {
        const named = typeof inside === "string" ? {} : { "aria-label": label };
        const made = element("button", { type: "button", class: kind, title: label, ...named }, inside);
        made.addEventListener("click", act);
        return made;
      };
      const still = (place) => () => { this.stop(); this.go(place()); };
      this.canvas = element("canvas", { class: "scan-main", tabindex: "0", role: "img" });
      this.view = new View(this.canvas);
      this.tip = element("div", { class: "scan-tip", "aria-hidden": "true" });
      this.playButton = button(icon("play"), "Play", () => this.toggle(), "scan-button scan-play");
      this.scrub = element("input", { type: "range", min: "0", step: "1", class: "scan-scrub", "aria-label": "Place in the scan" });
      this.scrub.addEventListener("input", still(() => Number(this.scrub.value)));
      this.speeds = element("select", { class: "scan-speed", "aria-label": "Speed", title: "Speed" },
        ...SPEEDS.map((speed) => element("option", speed === 1 ? { value: "1", selected: "" } : { value: String(speed) }, speed + "×")));
      this.speeds.addEventListener("change", () => { this.speed = Number(this.speeds.value); });
      this.status = element("div", { class: "scan-status", role: "status" });
      this.layers = element("input", { type: "range", min: "0", max: String(LAYERS - 1), step: "1", class: "scan-layer", "aria-label": "Layer" });
      this.layers.addEventListener("input", () => this.choose(Number(this.layers.value)));
      this.layerText = element("div", { class: "scan-layer-text" });
      this.grid = element("div", { class: "scan-panels" });
      this.table = element("table", { class: "scan-measures" });
      this.legend = element("span", { class: "scan-legend-jump" });
      this.root.replaceChildren(
        element("div", { class: "scan-left" },
          element("div", { class: "scan-stage" }, this.canvas, this.tip),
          element("div", { class: "scan-legend", "aria-hidden": "true" }, "first", element("span", { class: "scan-ramp" }), "last", this.legend),
          this.scrub,
          element("div", { class: "scan-bar" },
            button(icon("first"), "To the start", still(() => 0)), button(icon("back"), "One step back", still(() => this.position - 1)),
            this.playButton, button(icon("forward"), "One step forward", still(() => this.position + 1)),
            button(icon("last"), "To the end", still(() => Infinity)), this.speeds),
          this.status, element("div", { class: "scan-keys" }, "Click the picture, then Space plays and ← → step.")),
        element("div", { class: "scan-right" },
          this.layerText, this.layers, this.grid, this.table,
          element("div", { class: "scan-files" }, button("Save PNG", "Save this picture as PNG", () => this.savePng()),
            button("Save SVG", "Save this picture as SVG", () => this.saveSvg()))));
      for (const kind of ["pointermove", "pointerdown"]) this.canvas.addEventListener(kind, (event) => this.hover(this.under(event)));
      this.canvas.addEventListener("click", (event) => { if (this.under(event) !== null) { this.stop(); this.go(this.path.rank[this.under(event)]); } });
      // A finger leaves as it lifts; what it pointed at stays readable until the next touch.
      this.canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") this.hover(null); });
      this.root.addEventListener("keydown", (event) => this.key(event));
    }
    get shown() { return this.layer % this.paths.length; }
    get path() { return this.paths[this.shown]; }
    show(data) {
      const share = this.data && this.length > 1 ? this.position / (this.length - 1) : 1;
      this.data = data;
      this.paths = data.orders.map((order) => new Path(order, data.grid));
      this.length = data.orders[0].length;
      this.hovered = null;
      this.tip.textContent = "";
      this.scrub.max = String(this.length - 1);
      const kind = data.scans > 1 ? "scan" : "layer", some = this.paths.length > 1 ? this.paths.slice(0, PANELS) : [];
      this.panels = some.map((path, i) => {
        const canvas = element("canvas", { class: "scan-small" }), caption = element("span", { class: "scan-caption" });
        const made = element("button", { type: "button", class: "scan-panel", "aria-label": `Show ${kind} ${i}` }, canvas, caption);
        made.addEventListener("click", () => this.choose(i));
        const view = new View(canvas);
        view.show(path);
        return { button: made, caption, view, name: `${kind} ${i}` };
      });
      this.grid.replaceChildren(...this.panels.map((panel) => panel.button));
      this.layers.hidden = data.scans > 1 || this.paths.length === 1;
      Object.assign(this.root.dataset, { scheme: data.scheme, grid: data.grid.join("x"), length: this.length });
      this.exact = this.position = Math.round(share * (this.length - 1));
      this.choose(this.layers.hidden ? Math.min(this.layer, this.paths.length - 1) : this.layer);
    }
    choose(layer) {
      this.layer = layer;
      this.slide(this.layers, layer);
      this.view.show(this.path);
      this.panels.forEach((panel, i) => panel.button.setAttribute("aria-pressed", i === this.shown));
      const { scans, paths } = this.data;
      this.layerText.textContent = scans > 1 ? `Every layer reads in ${scans} orders at once; shown: scan ${this.shown}`
        : paths === 1 ? "Every layer reads in this order" : `Layer ${layer} uses path ${this.shown + 1} of ${paths}`;
      this.measures();
      this.layout();
      this.go(this.position);
    }
    measures() {
      const found = this.data.measures[this.shown], cells = found.longest_jump, jumps = this.path.jumps.length;
      const rows = [["Continuity: steps to a neighbour", (100 * found.continuity).toFixed(1) + " %"],
        ["Jumps", found.jumps.toLocaleString("en")], ["Longest jump", cells ? cells + " cells" : "none"],
        ["Mean distance between neighbours", found.neighbour_distance.toFixed(1) + " steps"]];
      this.table.replaceChildren(element("caption", {}, "Measures of this path"), element("tbody", {}, ...rows.map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, String(value))))));
      this.legend.textContent = !jumps ? "no jump" : this.path.trail ? `jump (latest ${TRAIL} drawn)` : "jump";
      this.legend.classList.toggle("scan-none", !jumps);
    }
    layout() {
      if (!this.data || !this.root.clientWidth) return;
      const ratio = window.devicePixelRatio || 1;
      this.view.fit(Math.min(this.canvas.parentElement.clientWidth, MAIN_PX), ratio);
      for (const { button, view } of this.panels) view.fit(Math.min(PANEL_PX, button.clientWidth - 12), ratio);
      this.draw();
    }
    go(position) {
      this.position = clamp(Math.round(position), 0, this.length - 1);
      if (!this.playing) this.exact = this.position;
      this.slide(this.scrub, this.position);
      this.draw();
    }
    slide(input, value) {
      input.value = value;
      input.style.setProperty("--fill", (100 * value) / Math.max(Number(input.max), 1) + "%");
    }
    tell() {
      const { path } = this, cell = this.hovered ?? path.order[this.position], where = path.rank[cell];
      const text = `${this.data.scans > 1 ? "Scan" : "Layer"} ${this.layer}, step ${where + 1} of ${this.length} reads row ${path.row(cell)}, column ${path.column(cell)}`;
      // A status that changes sixty times a second must not be read aloud.
      this.status.setAttribute("aria-live", this.playing ? "off" : "polite");
      this.status.textContent = text;
      this.scrub.setAttribute("aria-valuetext", text);
      this.canvas.setAttribute("aria-label", `${this.data.label}, ${this.layerText.textContent}. ${text}`);
      Object.assign(this.root.dataset, { position: this.position, cell, index: where, layer: this.layer });
      this.panels.forEach(({ caption, name }, i) => {
        caption.textContent = this.hovered === null ? name : `${name}: ${this.paths[i].rank[cell] + 1}`;
      });
    }
    draw(afresh = false) {
      if (!this.data || !this.view.cell || !this.root.clientWidth) return;
      const value = (name) => getComputedStyle(this.root).getPropertyValue(name).trim();
      this.theme ??= { faint: value("--scan-faint").split(",").map(Number), jump: value("--scan-jump"), ink: value("--scan-ink"), ground: value("--scan-ground") };
      for (const view of [this.view, ...this.panels.map((panel) => panel.view)]) {
        if (afresh) view.drawn = Infinity; // lines in the colours of before
        view.paint(this.position, this.theme, { hovered: this.hovered, numbers: view === this.view });
      }
      this.tell();
    }
    toggle() { if (this.playing) this.stop(); else this.play(); }
    play() {
      if (!this.data || this.length < 2) return;
      if (this.position >= this.length - 1) this.go(0);
      this.exact = this.position;
      this.playing = true;
      this.dress("pause", "Pause");
      // A whole scan takes 5 s on 8 x 8 and 12 s on 64 x 64 at speed 1.
      const seconds = 4 + Math.sqrt(this.length) / 8;
      let before = performance.now();
      const tick = (now) => {
        if (!this.playing) return;
        requestAnimationFrame(tick);
        if (this.calm.matches && now - before < CALM_MS) return;
        this.exact += (Math.max(now - before, 0) / 1000) * this.speed * Math.max(this.length / seconds, 1);
        before = now;
        if (Math.floor(this.exact) !== this.position) this.go(Math.floor(this.exact));
        if (this.position >= this.length - 1) this.stop();
      };
      requestAnimationFrame(tick);
    }
    stop() {
      this.playing = false;
      this.dress("play", "Play");
      if (this.data) this.tell();
    }
    dress(shape, label) {
      this.playButton.replaceChildren(icon(shape));
      for (const name of ["title", "aria-label"]) this.playButton.setAttribute(name, label);
    }
    key(event) {
      if (!this.data || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
      const places = { ArrowLeft: this.position - 1, ArrowRight: this.position + 1, Home: 0, End: this.length - 1 };
      if (event.key === " " && event.target.tagName !== "BUTTON") this.toggle();
      else if (event.key in places) { this.stop(); this.go(places[event.key]); } else return;
      event.preventDefault();
    }
    under(event) {
      if (!this.data) return null;
      const [rows, columns] = this.data.grid, box = this.canvas.getBoundingClientRect();
      const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
      const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
      return row >= 0 && row < rows && column >= 0 && column < columns ? row * columns + column : null;
    }
    hover(cell) {
      if (!this.data || cell === this.hovered) return;
      this.hovered = cell;
      this.tip.textContent = cell === null ? "" : String(this.path.rank[cell] + 1);
      if (cell !== null) {
        const unit = this.canvas.clientWidth / this.path.columns, left = (this.path.column(cell) + 0.5) * unit;
        Object.assign(this.tip.style, { left: left + "px", top: this.path.row(cell) * unit + "px" });
      }
      this.draw();
    }
    download(blob, ending) {
      const url = URL.createObjectURL(blob), { scheme, grid, scans } = this.data;
      element("a", { href: url, download: `${scheme}-${grid.join("x")}-${scans > 1 ? "scan" : "layer"}${this.layer}.${ending}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    }
    savePng() {
      const view = new View(element("canvas", {}));
      view.show(this.path);
      view.fit(MAIN_PX, Math.max(window.devicePixelRatio, 2)); // sharp enough for slides
      view.paint(this.position, this.theme, { numbers: true, marker: false });
      view.canvas.toBlob((blob) => this.download(blob, "png"), "image/png");
    }
    saveSvg() {
      const title = `${this.data.label}, ${this.layerText.textContent}`;
      this.download(new Blob([svgOf(this.path, this.position, this.theme, title)], { type: "image/svg+xml" }), "svg");
    }
  }

  window.zigdemoScanPlayer = {
    mount(root, data) {
      if (root.scanPlayer && !root.contains(root.scanPlayer.canvas)) root.scanPlayer = root.scanPlayer.forget();
      root.scanPlayer ??= new Player(root);
      if (data) root.scanPlayer.show(data);
    },
  };
})();
