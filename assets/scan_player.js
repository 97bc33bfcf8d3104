/* The scan player: draws token orders on canvases and walks along them, entirely in the browser.
   zigdemoScanPlayer.mount(root, data) with data = {scheme, label, grid: [rows, columns] or [frames, rows, columns],
   paths, scans, orders: [[raster index, ...], ...], runs: [...], axes: ["all" | "space" | "time", ...],
   measures: [{continuity, jumps, longest_jump, neighbour_distance}, ...]};
   orders are those of layers 0, 1, ..., or, if scans > 1, those that every layer uses at once. The runs of an order
   are scanned independently and played at once. */
(() => {
  "use strict";
  const { CALM_MS, clamp, element, icon, watch } = window.zigdemoParts;
  const { Path, View, svgOf, TRAIL } = window.zigdemoScanView;
  const LAYERS = 16, PANELS = 8, MAIN_PX = 520, PANEL_PX = 112;
  const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

  class Player {
    constructor(root) {
      Object.assign(this, { root, layer: 0, position: 0, speed: 1, playing: false, hovered: null, panels: [] });
      this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
      this.build();
      const repaint = () => { this.theme = null; this.draw(true); };
      const unwatch = watch(root, () => this.layout(), repaint);
      this.forget = () => { this.stop(); unwatch(); };
    }
    build() {
      const button = (inside, label, act, kind = "scan-button") => {
        const named = typeof inside === "string" ? {} : { "aria-label": label };
        const node = element("button", { type: "button", class: kind, title: label, ...named }, inside);
        node.addEventListener("click", act);
        return node;
      };
      const still = (place) => () => { this.stop(); this.go(place()); };
      this.canvas = element("canvas", { class: "scan-main", tabindex: "0", role: "img" });
      this.view = new View(this.canvas);
      this.tip = element("div", { class: "scan-tip", "aria-hidden": "true" });
      this.playButton = button(icon("play"), "Play", () => this.toggle(), "scan-button scan-play");
      this.scrub = element("input", { type: "range", min: "0", step: "1", class: "scan-scrub", "aria-label": "Position in the scan" });
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
      this.dots = element("span", { class: "scan-legend-dot" }, "same place, neighbouring frame");
      this.root.replaceChildren(
        element("div", { class: "scan-left" },
          element("div", { class: "scan-stage" }, this.canvas, this.tip),
          element("div", { class: "scan-legend", "aria-hidden": "true" }, "first", element("span", { class: "scan-ramp" }), "last", this.dots, this.legend),
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
      // Lifting a finger also fires this; keep what it pointed at readable until the next touch.
      this.canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") this.hover(null); });
      this.root.addEventListener("keydown", (event) => this.key(event));
    }
    get shown() { return this.layer % this.paths.length; }
    get path() { return this.paths[this.shown]; }
    get length() { return this.path.span; } // steps from start to end
    get share() { return this.length > 1 ? this.position / (this.length - 1) : 1; }
    show(data) {
      const share = this.data ? this.share : 1;
      this.data = data;
      this.paths = data.orders.map((order, i) => new Path(order, data.grid, data.runs[i], data.axes[i]));
      this.hovered = null;
      this.tip.textContent = "";
      const kind = data.scans > 1 ? "scan" : "layer", some = this.paths.length > 1 ? this.paths.slice(0, PANELS) : [];
      this.panels = some.map((path, i) => {
        const canvas = element("canvas", { class: "scan-small" }), caption = element("span", { class: "scan-caption" });
        const panel = element("button", { type: "button", class: "scan-panel", "aria-label": `Show ${kind} ${i}` }, canvas, caption);
        panel.addEventListener("click", () => this.choose(i));
        const view = new View(canvas);
        view.show(path);
        return { button: panel, caption, view, name: path.axis === "all" ? `${kind} ${i}` : `${i}, ${path.axis}` };
      });
      this.grid.replaceChildren(...this.panels.map((panel) => panel.button));
      this.layers.hidden = data.scans > 1 || this.paths.length === 1;
      Object.assign(this.root.dataset, { scheme: data.scheme, grid: data.grid.join("x") });
      this.choose(this.layers.hidden ? Math.min(this.layer, this.paths.length - 1) : this.layer, share);
    }
    /* Layers may have runs of different lengths, so the position is kept as a share of the length. */
    choose(layer, share = this.share) {
      this.layer = layer;
      this.scrub.max = String(this.length - 1);
      this.exact = this.position = Math.round(share * (this.length - 1));
      this.root.dataset.length = this.length;
      this.slide(this.layers, layer);
      this.view.show(this.path);
      this.panels.forEach((panel, i) => panel.button.setAttribute("aria-pressed", i === this.shown));
      const { scans, paths } = this.data;
      this.layerText.textContent = scans > 1 ? `Every layer reads in ${scans} orders at once; shown: scan ${this.shown}`
        : paths === 1 ? "Every layer reads in this order"
        : `Layer ${layer} uses path ${this.shown + 1} of ${paths}` + { all: "", space: ": each frame on its own", time: ": each place over time" }[this.path.axis];
      this.measures();
      this.layout();
      this.go(this.position);
    }
    measures() {
      const measures = this.data.measures[this.shown], cells = measures.longest_jump, jumps = this.path.jumps.length;
      const rows = [["Continuity: steps to a neighbour", (100 * measures.continuity).toFixed(1) + " %"],
        ["Jumps", measures.jumps.toLocaleString("en")], ["Longest jump", cells ? cells + " cells" : "none"],
        ["Mean distance between neighbours", measures.neighbour_distance.toFixed(1) + " steps"]];
      if (this.path.runs > 1) rows.unshift(["Independent runs, played at once", `${this.path.runs} of ${this.length} steps`]);
      this.table.replaceChildren(element("caption", {}, "Measures of this path"), element("tbody", {}, ...rows.map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, String(value))))));
      this.legend.textContent = !jumps ? "no jump" : this.path.trail ? `jump (latest ${TRAIL} drawn)` : "jump";
      this.legend.classList.toggle("scan-none", !jumps);
      this.dots.hidden = !this.path.hasTime;
    }
    layout() {
      if (!this.data || !this.root.clientWidth) return;
      const ratio = window.devicePixelRatio || 1;
      this.view.fit(Math.min(this.canvas.parentElement.clientWidth, MAIN_PX), ratio, true);
      for (const { button, view } of this.panels) view.fit(Math.min(PANEL_PX, button.clientWidth - 12), ratio, false);
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
    /* What is read at a position: one token, or one token of every run if runs are played at once. */
    reads(cell) {
      const { path } = this, places = path.rows * path.columns;
      if (this.hovered !== null || path.runs === 1 || path.axis === "all") return path.where(cell);
      return path.axis === "space" ? `row ${path.row(cell)}, column ${path.column(cell)} of all ${path.frames} frames`
        : `frame ${path.frame(cell)} at all ${places} places`;
    }
    tell() {
      const { path } = this, cell = this.hovered ?? path.order[this.position], where = path.rank[cell];
      const text = `${this.data.scans > 1 ? "Scan" : "Layer"} ${this.layer}, step ${where + 1} of ${this.length} reads ${this.reads(cell)}`;
      // Screen readers must not read a status that changes sixty times per second.
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
      if (!this.data || !this.view.sheet || !this.root.clientWidth) return;
      const value = (name) => getComputedStyle(this.root).getPropertyValue(name).trim();
      this.theme ??= { faint: value("--scan-faint").split(",").map(Number), jump: value("--scan-jump"), ink: value("--scan-ink"), ground: value("--scan-ground") };
      for (const view of [this.view, ...this.panels.map((panel) => panel.view)]) {
        if (afresh) view.drawn = Infinity; // lines drawn in the old colours
        view.paint(Math.round(this.share * (view.path.span - 1)), this.theme, { hovered: this.hovered, numbers: view === this.view });
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
      // At speed 1 a whole scan takes 5 s on 8 x 8 and 12 s on 64 x 64.
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
      const box = this.canvas.getBoundingClientRect(), scale = this.canvas.width / box.width;
      return this.view.sheet.under((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    }
    hover(cell) {
      if (!this.data || cell === this.hovered) return;
      this.hovered = cell;
      this.tip.textContent = cell === null ? "" : String(this.path.rank[cell] + 1);
      if (cell !== null) {
        const { sheet } = this.view, scale = this.canvas.clientWidth / this.canvas.width;
        Object.assign(this.tip.style, { left: sheet.centre(cell)[0] * scale + "px", top: sheet.y(cell) * scale + "px" });
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
      view.fit(MAIN_PX, Math.max(window.devicePixelRatio, 2), true); // sharp enough for slides
      view.paint(this.position, this.theme, { numbers: true, marker: false });
      view.canvas.toBlob((blob) => this.download(blob, "png"), "image/png");
    }
    saveSvg() {
      const title = `${this.data.label}, ${this.layerText.textContent}`;
      this.download(new Blob([svgOf(this.path, this.view.sheet.across, this.position, this.theme, title)], { type: "image/svg+xml" }), "svg");
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
