/* The scan player: draws token orders on canvases and walks along them, entirely in the browser.
   mount(root, data): data = {scheme, label, grid: [rows, columns], orders: [[raster index, ...], ...],
   measures: [{continuity, jumps, longest_jump, neighbour_distance}, ...]}. */
(() => {
  "use strict";
  // Samples of a perceptually even dark-blue to yellow map; colours between are interpolated.
  const MAP = [[72, 33, 115], [64, 67, 135], [52, 94, 141], [41, 120, 142], [32, 144, 140], [34, 167, 132],
    [68, 190, 112], [121, 209, 81], [189, 222, 38], [253, 231, 36]];
  const SECONDS = 4; // one whole scan at speed 1

  function colour(share) {
    const place = Math.min(share, 0.9999) * (MAP.length - 1), low = Math.floor(place), part = place - low;
    return "rgb(" + MAP[low].map((v, i) => Math.round(v + part * (MAP[low + 1][i] - v))).join(",") + ")";
  }

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  class Player {
    constructor(root) {
      this.root = root;
      this.main = 0;
      this.position = 0;
      this.speed = 1;
      this.playing = false;
      this.build();
      new ResizeObserver(() => this.layout()).observe(root);
      new MutationObserver(() => this.draw()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    }

    build() {
      const button = (name, label, act) => {
        const made = element("button", { type: "button", class: "scan-button", title: label, "aria-label": label }, name);
        made.addEventListener("click", act);
        return made;
      };
      this.canvas = element("canvas", { class: "scan-main", tabindex: "0", role: "img" });
      this.playButton = button("▶", "Play", () => this.toggle());
      this.scrub = element("input", { type: "range", min: "0", step: "1", class: "scan-scrub", "aria-label": "Place in the scan" });
      this.scrub.addEventListener("input", () => { this.stop(); this.go(Number(this.scrub.value)); });
      this.speedSelect = element("select", { class: "scan-speed", "aria-label": "Speed" });
      for (const speed of [0.25, 0.5, 1, 2, 4]) {
        const option = element("option", { value: String(speed) }, speed + "×");
        option.selected = speed === 1;
        this.speedSelect.append(option);
      }
      this.speedSelect.addEventListener("change", () => { this.speed = Number(this.speedSelect.value); });
      this.status = element("div", { class: "scan-status", role: "status" });
      this.panels = element("div", { class: "scan-panels" });
      this.table = element("table", { class: "scan-measures" });
      const bar = element("div", { class: "scan-bar" },
        button("|◀", "To the start", () => { this.stop(); this.go(0); }),
        button("◀", "One step back", () => { this.stop(); this.go(this.position - 1); }),
        this.playButton,
        button("▶|", "One step forward", () => { this.stop(); this.go(this.position + 1); }),
        this.scrub, this.speedSelect);
      const files = element("div", { class: "scan-files" },
        button("Save PNG", "Save this path as PNG", () => this.savePng()),
        button("Save SVG", "Save this path as SVG", () => this.saveSvg()));
      const left = element("div", { class: "scan-left" }, this.canvas, bar, this.status);
      const right = element("div", { class: "scan-right" }, this.panels, this.table, files);
      this.root.replaceChildren(left, right);
      this.canvas.addEventListener("pointermove", (event) => this.hover(event));
      this.canvas.addEventListener("pointerleave", () => { this.hovered = null; this.tell(); this.draw(); });
      this.root.addEventListener("keydown", (event) => this.key(event));
    }

    show(data) {
      this.stop();
      this.data = data;
      this.main = Math.min(this.main, data.orders.length - 1);
      this.length = data.orders[0].length;
      this.ranks = data.orders.map((order) => {
        const rank = new Int32Array(order.length);
        order.forEach((cell, k) => { rank[cell] = k; });
        return rank;
      });
      this.scrub.max = String(this.length - 1);
      this.panels.replaceChildren(...(data.orders.length > 1 ? data.orders.map((_, i) => this.panel(i)) : []));
      this.measures();
      this.go(this.length - 1);
      this.layout();
    }

    panel(index) {
      const canvas = element("canvas", { class: "scan-small" });
      const made = element("button", { type: "button", class: "scan-panel", "aria-label": "Show the path of layer " + index },
        canvas, element("span", {}, "layer " + index));
      made.addEventListener("click", () => { this.main = index; this.measures(); this.tell(); this.draw(); });
      return made;
    }

    measures() {
      const found = this.data.measures[this.main], percent = (100 * found.continuity).toFixed(1) + " %";
      const rows = [["steps to a neighbour", percent], ["jumps", found.jumps], ["longest jump", found.longest_jump + " cells"],
        ["neighbours are apart", found.neighbour_distance.toFixed(1) + " steps"]];
      this.table.replaceChildren(...rows.map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, String(value)))));
      [...this.panels.children].forEach((panel, i) => panel.setAttribute("aria-pressed", String(i === this.main)));
    }

    layout() {
      if (!this.data || !this.root.clientWidth) return;
      const [rows, columns] = this.data.grid, side = Math.min(this.canvas.parentElement.clientWidth, this.root.clientWidth, 520);
      this.fit(this.canvas, side, Math.max(rows, columns));
      for (const panel of this.panels.children) this.fit(panel.firstChild, Math.min(112, panel.clientWidth - 12), Math.max(rows, columns));
      this.draw();
    }

    fit(canvas, side, cells) {
      const [rows, columns] = this.data.grid, ratio = window.devicePixelRatio || 1, cell = side / cells;
      const width = Math.max(cell * columns, 1), height = Math.max(cell * rows, 1);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }

    go(position) {
      this.position = Math.max(0, Math.min(this.length - 1, Math.round(position)));
      this.scrub.value = String(this.position);
      this.tell();
      this.draw();
    }

    tell() {
      if (!this.data) return;
      const columns = this.data.grid[1], cell = this.hovered ?? this.data.orders[this.main][this.position];
      const place = this.hovered === null || this.hovered === undefined ? this.position : this.ranks[this.main][cell];
      this.status.textContent = `${this.data.label}, layer ${this.main}: step ${place + 1} of ${this.length} ` +
        `reads row ${Math.floor(cell / columns)}, column ${cell % columns}`;
      this.root.dataset.position = String(this.position);
      this.root.dataset.cell = String(cell);
      this.canvas.setAttribute("aria-label", this.status.textContent);
    }

    toggle() { if (this.playing) this.stop(); else this.play(); }

    play() {
      if (!this.data) return;
      if (this.position >= this.length - 1) this.go(0);
      this.playing = true;
      this.playButton.textContent = "⏸";
      this.playButton.setAttribute("aria-label", "Pause");
      let before = performance.now(), exact = this.position;
      const tick = (now) => {
        if (!this.playing) return;
        exact += (now - before) / 1000 * this.speed * Math.max(this.length / SECONDS, 1);
        before = now;
        if (Math.floor(exact) !== this.position) this.go(Math.floor(exact));
        if (this.position >= this.length - 1) this.stop(); else requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    }

    stop() {
      this.playing = false;
      this.playButton.textContent = "▶";
      this.playButton.setAttribute("aria-label", "Play");
    }

    key(event) {
      if (event.target === this.scrub || event.target === this.speedSelect) return;
      const acts = { ArrowLeft: () => this.go(this.position - 1), ArrowRight: () => this.go(this.position + 1),
        Home: () => this.go(0), End: () => this.go(this.length - 1) };
      if (event.key === " " && event.target === this.canvas) this.toggle();
      else if (acts[event.key]) { this.stop(); acts[event.key](); }
      else return;
      event.preventDefault();
    }

    hover(event) {
      if (!this.data) return;
      const [rows, columns] = this.data.grid, box = this.canvas.getBoundingClientRect();
      const row = Math.floor((event.clientY - box.top) / box.height * rows);
      const column = Math.floor((event.clientX - box.left) / box.width * columns);
      const inside = row >= 0 && row < rows && column >= 0 && column < columns;
      this.hovered = inside ? row * columns + column : null;
      this.tell();
      this.draw();
    }

    draw() {
      if (!this.data || !this.canvas.width) return;
      this.paint(this.canvas, this.main, true);
      [...this.panels.children].forEach((panel, i) => this.paint(panel.firstChild, i, false));
    }

    paint(canvas, index, large) {
      const context = canvas.getContext("2d"), style = getComputedStyle(this.root);
      const faint = style.getPropertyValue("--scan-faint"), jump = style.getPropertyValue("--scan-jump");
      const ink = style.getPropertyValue("--scan-ink");
      const [rows, columns] = this.data.grid, order = this.data.orders[index], cell = canvas.width / columns;
      const x = (token) => (token % columns + 0.5) * cell, y = (token) => (Math.floor(token / columns) + 0.5) * cell;
      const gap = cell > 6 ? Math.max(1, cell * 0.04) : 0;
      context.clearRect(0, 0, canvas.width, canvas.height);
      this.ranks[index].forEach((rank, token) => {
        context.fillStyle = rank <= this.position ? colour(rank / Math.max(this.length - 1, 1)) : faint;
        context.fillRect((token % columns) * cell + gap, Math.floor(token / columns) * cell + gap, cell - 2 * gap, cell - 2 * gap);
      });
      if (cell > 3) {
        const jumps = [];
        context.lineWidth = Math.max(1, Math.min(cell * 0.09, 5));
        context.lineJoin = context.lineCap = "round";
        context.strokeStyle = "rgba(255,255,255,0.85)";
        context.beginPath();
        context.moveTo(x(order[0]), y(order[0]));
        for (let k = 1; k <= this.position; k++) {
          const from = order[k - 1], to = order[k];
          const far = Math.abs(from % columns - to % columns) + Math.abs(Math.floor(from / columns) - Math.floor(to / columns)) > 1;
          if (far) { jumps.push([from, to]); context.moveTo(x(to), y(to)); } else context.lineTo(x(to), y(to));
        }
        context.stroke();
        context.strokeStyle = jump;
        context.setLineDash([context.lineWidth * 2.5, context.lineWidth * 2]);
        context.globalAlpha = jumps.length > 200 ? 0.35 : 0.9;
        context.beginPath();
        for (const [from, to] of jumps) { context.moveTo(x(from), y(from)); context.lineTo(x(to), y(to)); }
        context.stroke();
        context.setLineDash([]);
        context.globalAlpha = 1;
      }
      if (large && cell > 34) this.numbers(context, order, index, cell, x, y);
      const here = large && this.hovered != null ? this.hovered : order[this.position];
      context.lineWidth = Math.max(2, cell * 0.1);
      context.strokeStyle = ink;
      context.strokeRect((here % columns) * cell + context.lineWidth / 2, Math.floor(here / columns) * cell + context.lineWidth / 2,
        cell - context.lineWidth, cell - context.lineWidth);
    }

    numbers(context, order, index, cell, x, y) {
      context.font = `${Math.round(cell * 0.26)}px system-ui, sans-serif`;
      context.textAlign = "left";
      context.textBaseline = "top";
      order.slice(0, this.position + 1).forEach((token, k) => {
        context.fillStyle = k / this.length > 0.6 ? "rgba(0,0,0,0.75)" : "rgba(255,255,255,0.9)";
        context.fillText(String(k + 1), x(token) - cell * 0.42, y(token) - cell * 0.42);
      });
    }

    download(url, ending) {
      element("a", { href: url, download: `${this.data.scheme}-${this.data.grid.join("x")}-layer${this.main}.${ending}` }).click();
    }

    savePng() { this.download(this.canvas.toDataURL("image/png"), "png"); }

    saveSvg() {
      const [rows, columns] = this.data.grid, order = this.data.orders[this.main], unit = 20;
      const point = (token) => [(token % columns + 0.5) * unit, (Math.floor(token / columns) + 0.5) * unit];
      const cells = order.map((token, k) => `<rect x="${token % columns * unit}" y="${Math.floor(token / columns) * unit}" ` +
        `width="${unit}" height="${unit}" fill="${colour(k / Math.max(this.length - 1, 1))}"/>`);
      const lines = order.slice(1).map((token, k) => {
        const [x1, y1] = point(order[k]), [x2, y2] = point(token), far = Math.abs(x1 - x2) + Math.abs(y1 - y2) > unit;
        return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${far ? "#e5484d" : "#fff"}"` +
          `${far ? ' stroke-dasharray="5 4"' : ""} stroke-width="2" stroke-linecap="round"/>`;
      });
      const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * unit} ${rows * unit}">` +
        cells.join("") + lines.join("") + "</svg>";
      this.download(URL.createObjectURL(new Blob([picture], { type: "image/svg+xml" })), "svg");
    }
  }

  window.zigdemoScanPlayer = {
    mount(root, data) {
      if (!root.scanPlayer || !root.contains(root.scanPlayer.canvas)) root.scanPlayer = new Player(root);
      if (data) root.scanPlayer.show(data);
    },
  };
})();
