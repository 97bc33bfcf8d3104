/* The scan player: draws token orders on canvases and walks along them, entirely in the browser.
   zigdemoScanPlayer.mount(root, data) with data = {scheme, label, grid: [rows, columns] or [frames, rows, columns],
   paths, scans, orders: [[raster index, ...], ...], runs: [...], axes: ["all" | "space" | "time", ...],
   measures: [{continuity, jumps, longest_jump}, ...]}; the root's data-example is the address of an example picture;
   orders are those of layers 0, 1, ..., or, if scans > 1, those that every layer uses at once. The runs of an order
   are scanned independently and played at once. */
(() => {
  "use strict";
  const { CALM_MS, clamp, download, element, icon, watch } = window.zigdemoParts;
  const { Path, View, svgOf, TRAIL } = window.zigdemoScanView;
  const { Scatter, Reach } = window.zigdemoScanMeasures;
  const LAYERS = 16, PANELS = 8, MAIN_PX = 520, PANEL_PX = 112;
  // The stage leaves room in the window for the controls and the line below it, which are CONTROLS_PX high.
  const LEAST_PX = 200, CONTROLS_PX = 124;
  const GIF_PX = 360, GIF_FRAMES = 64, GIF_HOLD = 150; // hundredths of a second that the last frame stays
  const PICTURE_PX = 640; // the longer side of a picture under the path
  const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

  class Player {
    constructor(root) {
      Object.assign(this, { root, layer: 0, position: 0, speed: 1, playing: false, hovered: null, chosen: null, panels: [] });
      this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
      this.build();
      const repaint = () => { this.theme = null; this.draw(true); };
      const layout = () => this.layout(), unwatch = watch(root, layout, repaint);
      // The stage's size depends on what stands above it and on the window's height, too.
      const above = new ResizeObserver(layout);
      above.observe(document.body);
      const speak = () => { if (this.path) { repaint(); this.tell(); } };
      window.addEventListener("resize", layout);
      window.addEventListener("zigdemo-language", speak);
      this.forget = () => { this.stop(); unwatch(); above.disconnect(); window.removeEventListener("resize", layout); window.removeEventListener("zigdemo-language", speak); };
    }
    build() {
      const button = (inside, label, act, kind = "scan-button") => {
        const named = typeof inside === "string" ? {} : { "aria-label": label };
        const node = element("button", { type: "button", class: kind, title: label, ...named }, inside);
        node.addEventListener("click", act);
        return node;
      };
      const still = (place) => () => { this.stop(); this.go(place()); };
      this.canvas = element("canvas", { class: "scan-main", tabindex: "0", role: "img", translate: "no" });
      this.view = new View(this.canvas);
      this.stage = element("div", { class: "scan-stage" }, this.canvas);
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
      this.scatter = new Scatter();
      this.reach = new Reach(LAYERS, (layer) => { if (!this.layers.hidden) this.choose(layer); });
      this.gifButton = button("Save GIF", "Save the playing path as an animated GIF", () => this.saveGif());
      this.stage.append(this.tip);
      this.root.replaceChildren(
        element("div", { class: "scan-left" },
          this.stage, this.scrub,
          element("div", { class: "scan-bar" },
            button(icon("first"), "To the start", still(() => 0)), button(icon("back"), "One step back", still(() => this.position - 1)),
            this.playButton, button(icon("forward"), "One step forward", still(() => this.position + 1)),
            button(icon("last"), "To the end", still(() => Infinity)), this.speeds),
          this.status,
          element("div", { class: "scan-legend", "aria-hidden": "true" }, "first", element("span", { class: "scan-ramp" }), "last", this.dots, this.legend),
          element("div", { class: "scan-keys" }, "Click the picture, then Space plays and ← → step.")),
        element("div", { class: "scan-right" },
          this.layerText, this.layers, this.grid, this.table, this.pictures(button),
          element("div", { class: "scan-files" }, button("Save PNG", "Save this picture as PNG", () => this.savePng()),
            button("Save SVG", "Save this picture as SVG", () => this.saveSvg()), this.gifButton)),
        this.scatter.figure, this.reach.figure);
      for (const kind of ["pointermove", "pointerdown"]) this.canvas.addEventListener(kind, (event) => this.hover(this.under(event)));
      this.canvas.addEventListener("click", (event) => { if (this.under(event) !== null) this.pick(this.under(event)); });
      // Lifting a finger also fires this; keep what it pointed at readable until the next touch.
      this.canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") this.hover(null); });
      this.root.addEventListener("keydown", (event) => this.key(event));
    }
    /* The controls for a picture under the path: none, the example, or a file, chosen or dropped on the stage. */
    pictures(button) {
      const file = element("input", { type: "file", accept: "image/*", hidden: "", "aria-label": "A picture to lay the path over" });
      file.addEventListener("change", () => { if (file.files.length) this.open(URL.createObjectURL(file.files[0]), "yours"); file.value = ""; });
      this.stage.addEventListener("dragover", (event) => event.preventDefault());
      this.stage.addEventListener("drop", (event) => {
        event.preventDefault();
        if (event.dataTransfer.files.length) this.open(URL.createObjectURL(event.dataTransfer.files[0]), "yours");
      });
      const { example } = this.root.dataset;
      this.choices = {
        none: button("Patches", "Show the patches only", () => this.over(null, "none")),
        ...(example && { example: button("A portrait", "Lay the path over a portrait", () => this.open(example, "example")) }),
        yours: button("Your picture…", "Lay the path over a picture of yours; it stays in your browser", () => file.click()),
      };
      this.fault = element("div", { class: "scan-fault", role: "alert" });
      this.press("none");
      return element("div", { class: "scan-pictures" }, element("span", {}, "Path over"), ...Object.values(this.choices), file, this.fault);
    }
    async open(address, choice) {
      const image = element("img", { src: address });
      try { await image.decode(); } catch {
        this.fault.textContent = "The browser cannot read this file as a picture; choose a PNG or JPEG.";
        return;
      } finally { URL.revokeObjectURL(address); }
      const scale = Math.min(1, PICTURE_PX / Math.max(image.naturalWidth, image.naturalHeight));
      const picture = element("canvas", { width: Math.max(1, Math.round(image.naturalWidth * scale)), height: Math.max(1, Math.round(image.naturalHeight * scale)) });
      picture.getContext("2d").drawImage(image, 0, 0, picture.width, picture.height);
      this.over(picture, choice);
    }
    over(picture, choice) {
      this.view.picture = picture;
      this.fault.textContent = "";
      this.press(choice);
      this.root.dataset.over = choice;
      this.draw(true);
    }
    press(choice) { for (const [name, node] of Object.entries(this.choices)) node.setAttribute("aria-pressed", name === choice); }
    /* Go to a patch and follow who can have reached it. */
    pick(cell) {
      this.stop();
      this.chosen = cell;
      this.go(this.path.rank[cell]);
      this.asked();
    }
    get shown() { return this.layer % this.paths.length; }
    get path() { return this.paths[this.shown]; }
    get length() { return this.path.span; } // steps from start to end
    get seconds() { return 4 + Math.sqrt(this.length) / 8; } // of a whole scan at speed 1: 5 on 8 x 8, 12 on 64 x 64
    get share() { return this.length > 1 ? this.position / (this.length - 1) : 1; }
    show(data) {
      const share = this.data ? this.share : 1;
      this.data = data;
      this.paths = data.orders.map((order, i) => new Path(order, data.grid, data.runs[i], data.axes[i]));
      this.hovered = this.chosen = null;
      this.tip.textContent = "";
      const kind = data.scans > 1 ? "scan" : "layer", some = this.paths.length > 1 ? this.paths.slice(0, PANELS) : [];
      this.panels = some.map((path, i) => {
        const canvas = element("canvas", { class: "scan-small" }), caption = element("span", { class: "scan-caption" });
        const panel = element("button", { type: "button", class: "scan-panel", "aria-label": `Show ${kind} ${i + 1}` }, canvas, caption);
        panel.addEventListener("click", () => this.choose(i));
        const view = new View(canvas);
        view.show(path);
        return { button: panel, caption, view, name: path.axis === "all" ? `${kind} ${i + 1}` : `${i + 1}, ${path.axis}` };
      });
      this.grid.replaceChildren(...this.panels.map((panel) => panel.button));
      this.layers.hidden = data.scans > 1;
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
      this.layerTold = this.layerText.textContent = scans > 1 ? `Every layer reads in ${scans} orders at once; shown: scan ${this.shown + 1}`
        : paths === 1 ? `Layer ${layer + 1} reads in this order, as every layer does`
        : `Layer ${layer + 1} uses path ${this.shown + 1} of ${paths}` + { all: "", space: ": each frame on its own", time: ": each place over time" }[this.path.axis];
      this.measures();
      this.scatter.show(this.path, this.data.grid);
      this.reach.show(this.paths, scans > 1, this.asking, this.depth);
      this.layout();
      this.go(this.position);
    }
    measures() {
      const measures = this.data.measures[this.shown], cells = measures.longest_jump, jumps = this.path.jumps.length;
      const rows = [["Continuity: steps to a neighbour", (100 * measures.continuity).toFixed(1) + " %"],
        ["Jumps", measures.jumps.toLocaleString("en")], ["Longest jump", cells ? cells + " cells" : "none"]];
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
      const high = document.documentElement.clientHeight, top = this.stage.getBoundingClientRect().top + window.scrollY;
      // Far down a page the controls cannot be in the first window, but fit into one.
      const room = high - (top < high - CONTROLS_PX - LEAST_PX ? top : 0) - CONTROLS_PX;
      const side = Math.min(this.stage.clientWidth, MAIN_PX);
      this.view.fit([side, clamp(room, Math.min(LEAST_PX, side), side)], ratio, true);
      for (const { button, view } of this.panels) view.fit(Array(2).fill(Math.min(PANEL_PX, button.clientWidth - 12)), ratio, false);
      for (const chart of [this.scatter, this.reach]) chart.fit(ratio);
      this.draw();
      this.chart();
    }
    /* The token whose reach is shown, and the last layer that counts: all scans of a layer count at once. */
    get asking() { return this.hovered ?? this.chosen ?? this.path.middle; }
    get depth() { return this.data.scans > 1 ? 0 : this.layer; }
    asked() {
      this.reach.show(this.paths, this.data.scans > 1, this.asking, this.depth);
      this.reach.paint(this.theme);
    }
    chart() { for (const chart of [this.scatter, this.reach]) chart.paint(this.theme); }
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
      if ((this.hovered !== null && !this.playing) || path.runs === 1 || path.axis === "all") return path.where(cell);
      return path.axis === "space" ? `row ${path.row(cell) + 1}, column ${path.column(cell) + 1} of all ${path.frames} frames`
        : `frame ${path.frame(cell) + 1} at all ${places} places`;
    }
    tell() {
      // While it plays, the step is told and the tip alone tells about the patch under the pointer.
      const { path } = this, cell = (this.playing ? null : this.hovered) ?? path.order[this.position], where = path.rank[cell];
      const text = `${this.data.scans > 1 ? "Scan" : "Layer"} ${this.layer + 1}, step ${where + 1} of ${this.length} reads ${this.reads(cell)}`;
      // Screen readers must not read a status that changes sixty times per second.
      this.status.setAttribute("aria-live", this.playing ? "off" : "polite");
      this.status.textContent = text;
      this.scrub.setAttribute("aria-valuetext", text);
      this.canvas.setAttribute("aria-label", [this.data.label, this.layerTold, text].map((part) => window.zigdemoLanguage.translate(part)).join(". "));
      Object.assign(this.root.dataset, { position: this.position, cell, index: where, layer: this.layer });
      this.panels.forEach(({ caption, name }, i) => {
        caption.textContent = this.hovered === null ? name : `${name}: ${this.paths[i].rank[this.hovered] + 1}`;
      });
    }
    draw(afresh = false) {
      if (!this.data || !this.view.sheet || !this.root.clientWidth) return;
      if (!this.theme) {
        const value = (name) => getComputedStyle(this.root).getPropertyValue(name).trim(), numbers = (name) => value(name).split(",").map(Number);
        this.theme = { faint: numbers("--scan-faint"), heat: numbers("--scan-heat"), jump: value("--scan-jump"), ink: value("--scan-ink"),
          quiet: value("--scan-quiet"), ground: value("--scan-ground") };
        this.chart();
      }
      for (const view of [this.view, ...this.panels.map((panel) => panel.view)]) {
        if (afresh) view.drawn = Infinity; // lines drawn in the old colours
        view.paint(Math.round(this.share * (view.path.span - 1)), this.theme, { hovered: this.hovered, numbers: view === this.view, marker: view === this.view || this.hovered === null });
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
      let before = performance.now();
      const tick = (now) => {
        if (!this.playing) return;
        requestAnimationFrame(tick);
        if (this.calm.matches && now - before < CALM_MS) return;
        this.exact += (Math.max(now - before, 0) / 1000) * this.speed * Math.max(this.length / this.seconds, 1);
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
      this.asked();
    }
    save(blob, ending) {
      const { scheme, grid, scans } = this.data;
      download(blob, `${scheme}-${grid.join("x")}-${scans > 1 ? "scan" : "layer"}${this.layer + 1}.${ending}`);
    }
    /* A view of this path, over its picture, for a file. */
    copy(side, ratio) {
      const view = new View(element("canvas", {}), this.view.picture);
      view.show(this.path);
      view.fit([side, side], ratio, true);
      return view;
    }
    savePng() {
      const view = this.copy(MAIN_PX, Math.max(window.devicePixelRatio, 2)); // sharp enough for slides
      view.paint(this.position, this.theme, { numbers: true, marker: false });
      view.canvas.toBlob((blob) => this.save(blob, "png"), "image/png");
    }
    saveSvg() {
      const title = [this.data.label, this.layerTold].map((part) => window.zigdemoLanguage.translate(part)).join(", ");
      this.save(new Blob([svgOf(this.view, this.position, this.theme, title)], { type: "image/svg+xml" }), "svg");
    }
    /* The whole path at the chosen speed, on the page's ground, as a GIF has no half transparent pixels. */
    async saveGif() {
      this.gifButton.disabled = true;
      this.gifButton.textContent = "Making…";
      await new Promise((done) => setTimeout(done, 30)); // lets the browser show it
      const view = this.copy(GIF_PX, 1), { width, height } = view.canvas, count = Math.min(this.length, GIF_FRAMES);
      const context = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
      const frames = Array.from({ length: count }, (_, i) => {
        view.paint(Math.round(((i + 1) * this.length) / count) - 1, this.theme, { numbers: true });
        context.fillStyle = this.theme.ground;
        context.fillRect(0, 0, width, height);
        context.drawImage(view.canvas, 0, 0);
        return context.getImageData(0, 0, width, height);
      });
      const delay = Math.max(2, Math.round((100 * this.seconds) / this.speed / count));
      this.save(new Blob([window.zigdemoGif(frames, frames.map((_, i) => (i + 1 < count ? delay : delay + GIF_HOLD)))], { type: "image/gif" }), "gif");
      this.gifButton.disabled = false;
      this.gifButton.textContent = "Save GIF";
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
