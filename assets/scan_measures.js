/* What a token order means for a network, as two charts beside the scan player: how far apart in the picture patches
   are that are read near each other, and how many patches can have reached one after some layers. */
(() => {
  "use strict";
  const { element } = window.zigdemoParts;
  const translate = (text) => window.zigdemoLanguage.translate(text);
  const { Path, fitted } = window.zigdemoScanView;
  const LEFT = 44, RIGHT = 8, TOP = 34, BOTTOM = 40, HEIGHT = 240, MAP_PX = 150;
  const ROWS_SHOWN = 8; // steps along the scan that the scatter shows, in rows of the picture

  /* Over all pairs of tokens of a run up to `most` steps apart: counts[(steps - 1) * far + cells - 1], where cells is
     their Manhattan distance, and its mean over the pairs of each number of steps. */
  function locality(path, most) {
    const far = Math.max(path.frames + path.rows + path.columns - 3, 1), counts = new Float64Array(most * far);
    const frame = path.order.map((cell) => path.frame(cell)), row = path.order.map((cell) => path.row(cell));
    const column = path.order.map((cell) => path.column(cell)), sums = new Float64Array(most), pairs = new Float64Array(most);
    for (let k = 0; k < path.length; k++) {
      const last = Math.min(most, path.span - 1 - path.place(k));
      for (let steps = 1; steps <= last; steps++) {
        const to = k + steps, cells = Math.abs(frame[k] - frame[to]) + Math.abs(row[k] - row[to]) + Math.abs(column[k] - column[to]);
        counts[(steps - 1) * far + cells - 1] += 1;
        sums[steps - 1] += cells;
        pairs[steps - 1] += 1;
      }
    }
    return { most, far, counts, sums, pairs, means: sums.map((sum, i) => sum / pairs[i]) };
  }

  /* The mean distance of all pairs up to `steps` apart. */
  function near({ sums, pairs }, steps) {
    const total = (values) => values.slice(0, steps).reduce((a, b) => a + b, 0);
    return total(sums) / total(pairs);
  }

  /* Which tokens can have reached one after the first `layers` layers, 1 for each that can, by the orders alone: layer l
     reads by paths[l], from the start after the last, or by all of them at once. */
  function reached(paths, atOnce, token, layers) {
    let mask = new Uint8Array(paths[0].length);
    mask[token] = 1;
    for (let layer = layers - 1; layer >= 0; layer--) {
      const before = mask.slice();
      for (const { order, span, length } of atOnce ? paths : [paths[layer % paths.length]]) {
        for (let end = length; end > 0; end -= span) {
          for (let k = end - 1, later = 0; k >= end - span; k--) {
            later |= mask[order[k]];
            before[order[k]] |= later;
          }
        }
      }
      mask = before;
    }
    return mask;
  }

  const total = (mask) => mask.reduce((a, b) => a + b, 0);
  const sweepOf = (path, grid) => new Path(path.order.map((_, k) => k), grid, 1, "all");

  /* A canvas with two axes; subclasses draw between them. */
  class Chart {
    constructor(name) {
      this.canvas = element("canvas", { class: "scan-chart", role: "img" });
      this.sentence = element("p", {});
      this.figure = element("figure", { class: "scan-figure" }, element("figcaption", {}, name), this.canvas, this.sentence);
    }
    fit(ratio) {
      const width = Math.max(this.canvas.parentElement.clientWidth, 1);
      Object.assign(this, { ratio, width });
      Object.assign(this.canvas, { width: Math.round(width * ratio), height: HEIGHT * ratio });
      Object.assign(this.canvas.style, { width: width + "px", height: HEIGHT + "px" });
    }
    /* The context in CSS pixels, cleared, with axes from 0 to `wide` and 0 to `high` and their names;
       ticks: [place, name] on the first; levels: places on the second. */
    begin(theme, wide, high, [across, up], ticks, levels) {
      const context = this.canvas.getContext("2d"), floor = HEIGHT - BOTTOM;
      this.x = (value) => LEFT + (value / wide) * (this.width - LEFT - RIGHT);
      this.y = (value) => floor - (value / high) * (floor - TOP);
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.clearRect(0, 0, this.width, HEIGHT);
      Object.assign(context, { font: "12px system-ui, sans-serif", fillStyle: theme.quiet, strokeStyle: `rgb(${theme.faint})`, lineWidth: 1, textAlign: "center", textBaseline: "top" });
      for (const [place, name] of ticks) context.fillText(name, this.x(place), floor + 5);
      context.fillText(translate(across), (LEFT + this.width - RIGHT) / 2, HEIGHT - 15);
      Object.assign(context, { textAlign: "left", textBaseline: "bottom" });
      context.fillText(translate(up), 0, TOP - 18); // above the number on a full bar
      Object.assign(context, { textAlign: "right", textBaseline: "middle" });
      for (const value of levels) {
        context.fillText(value.toLocaleString("en"), LEFT - 6, this.y(value));
        context.beginPath();
        context.moveTo(LEFT, this.y(value));
        context.lineTo(this.width - RIGHT, this.y(value));
        context.stroke();
      }
      return context;
    }
    line(context, values, place, colour, width, dash) {
      context.beginPath();
      Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
      context.setLineDash(dash);
      values.forEach((value, i) => context.lineTo(this.x(place(i)), this.y(value)));
      context.stroke();
      context.setLineDash([]);
    }
  }

  /* A round number of which about `parts` fit into `most`. */
  function niceStep(most, parts) {
    const rough = Math.max(most / parts, 1), unit = 10 ** Math.floor(Math.log10(rough));
    return Math.max(1, [1, 2, 5, 10].find((factor) => factor * unit >= rough) * unit);
  }

  class Scatter extends Chart {
    constructor() {
      super("Near in the scan, near in the picture?");
      this.key = element("div", { class: "scan-key" }, element("span", { class: "scan-key-band" }, "share of the pairs of patches"),
        element("span", { class: "scan-key-mean" }, "their mean"), element("span", { class: "scan-key-sweep" }, "mean in a sweep"));
      this.canvas.after(this.key);
    }
    show(path, grid) {
      const most = Math.min(path.span - 1, ROWS_SHOWN * Math.max(path.rows, path.columns));
      this.figure.hidden = most < 1;
      if (most < 1) return;
      this.pairs = locality(path, most);
      const isSweep = path.order.every((cell, k) => cell === k) && path.runs === 1;
      this.sweep = isSweep ? null : locality(sweepOf(path, grid), most);
      this.key.lastChild.hidden = isSweep;
      const few = Math.min(most, Math.max(1, Math.round(path.columns / 2)));
      const compared = isSweep ? "" : `, in a sweep ${near(this.sweep, few).toFixed(1)}`, one = near(this.pairs, few).toFixed(1);
      this.told = this.sentence.textContent = `Mean distance in the picture at a distance of at most ${few} in the scan: ${one}${compared}. ` +
        "The lower the band starts on the left, the more of what was just read lies close by.";
    }
    paint(theme) {
      if (this.figure.hidden || !this.width) return;
      const { most, far, counts, pairs, means } = this.pairs, step = niceStep(most, 6), level = niceStep(far, 4);
      const levels = Array.from({ length: Math.floor(far / level) + 1 }, (_, i) => i * level), ticks = [[0.5, "1"]];
      for (let value = step; value <= most; value += step) if (value > step / 2 + 1) ticks.push([value - 0.5, value.toLocaleString("en")]);
      const context = this.begin(theme, most, far + 1, ["steps apart in the scan", "cells apart in the picture"], ticks, levels);
      const image = context.createImageData(most, far), sheet = element("canvas", { width: most, height: far });
      for (let i = 0; i < most; i++) {
        for (let cells = 1; cells <= far; cells++) {
          const at = 4 * ((far - cells) * most + i);
          for (let j = 0; j < 3; j++) image.data[at + j] = theme.heat[j];
          image.data[at + 3] = 255 * Math.sqrt(counts[i * far + cells - 1] / pairs[i]);
        }
      }
      sheet.getContext("2d").putImageData(image, 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(sheet, this.x(0), this.y(far + 0.5), this.x(most) - this.x(0), this.y(0.5) - this.y(far + 0.5));
      const middle = (i) => i + 0.5;
      if (this.sweep) this.line(context, this.sweep.means, middle, theme.jump, 1.5, [5, 4]);
      this.line(context, means, middle, theme.ink, 2, []);
      this.canvas.setAttribute("aria-label", this.told);
    }
  }

  class Reach extends Chart {
    constructor(layers, choose) {
      super("Who can have reached this patch?");
      this.layers = layers;
      this.map = element("canvas", { class: "scan-map", "aria-hidden": "true" });
      const beside = element("div", {});
      this.canvas.before(element("div", { class: "scan-reach" }, this.map, beside));
      beside.append(this.canvas);
      this.sentence.before(element("div", { class: "scan-key" }, element("span", { class: "scan-key-map" }, "can have reached it"),
        element("span", { class: "scan-key-sweep" }, "in a sweep")));
      this.canvas.addEventListener("click", (event) => {
        const share = (event.clientX - this.canvas.getBoundingClientRect().left - LEFT) / (this.width - LEFT - RIGHT);
        if (share >= 0 && share < 1) choose(Math.floor(share * layers));
      });
    }
    /* layer: the number, from 0, of the last layer that counts. */
    show(paths, atOnce, token, layer) {
      this.path = paths[0];
      const { length } = this.path, masks = Array.from({ length: this.layers }, (_, i) => reached(paths, atOnce, token, i + 1));
      Object.assign(this, { token, layer, mask: masks[layer], counts: masks.map(total) });
      const k = layer + 1, count = this.counts[layer], isSweep = paths.length === 1 && this.path.order.every((cell, i) => cell === i);
      const rest = isSweep ? "more layers of a sweep add none: it never looks ahead" : `in a sweep ${token + 1}, at any depth`;
      this.told = this.sentence.textContent = `Going by the order alone, ${count.toLocaleString("en")} of ${length.toLocaleString("en")} patches can have reached ` +
        `${this.path.where(token)} at depth ${k}; ${rest}.`;
    }
    fit(ratio) {
      super.fit(ratio);
      this.sheet = fitted(this.path, [MAP_PX * ratio, MAP_PX * ratio], this.path.frames > 1 ? 3 * ratio : 0, 0, 64 * ratio);
      Object.assign(this.map, { width: Math.max(1, Math.round(this.sheet.width)), height: Math.max(1, Math.round(this.sheet.height)) });
      Object.assign(this.map.style, { width: this.map.width / ratio + "px", height: this.map.height / ratio + "px" });
    }
    paint(theme) {
      if (!this.width || !this.mask) return;
      const { layers, counts, layer, token } = this, { length } = this.path;
      const names = Array.from({ length: layers }, (_, i) => i).filter((i) => i % 2 === 1);
      const context = this.begin(theme, layers, length, ["layers", "patches that can have reached it"],
        names.map((i) => [i + 0.5, String(i + 1)]), length > 3 ? [0, length >> 1, length] : [0, length]);
      const side = this.x(1) - this.x(0);
      counts.forEach((count, i) => {
        context.fillStyle = `rgba(${theme.heat}, ${i === layer ? 1 : 0.45})`;
        context.fillRect(this.x(i) + 0.12 * side, this.y(count), 0.76 * side, this.y(0) - this.y(count));
      });
      this.line(context, [token + 1, token + 1], (i) => i * layers, theme.jump, 1.5, [5, 4]);
      Object.assign(context, { fillStyle: theme.ink, textAlign: "center", textBaseline: "bottom", font: "600 13px system-ui, sans-serif" });
      context.fillText(counts[layer].toLocaleString("en"), this.x(layer + 0.5), this.y(counts[layer]) - 2);
      this.canvas.setAttribute("aria-label", this.told);
      this.paintMap(theme);
    }
    paintMap(theme) {
      const context = this.map.getContext("2d"), { sheet, mask, token, ratio } = this, gap = sheet.cell >= 6 * ratio ? ratio : 0;
      context.clearRect(0, 0, this.map.width, this.map.height);
      mask.forEach((mark, cell) => {
        context.fillStyle = `rgb(${mark ? theme.heat : theme.faint})`;
        context.fillRect(sheet.x(cell), sheet.y(cell), sheet.cell - gap, sheet.cell - gap);
      });
      const size = Math.max(sheet.cell, 5 * ratio), [x, y] = sheet.centre(token);
      for (const [width, colour] of [[5, theme.ground], [2, theme.ink]]) {
        Object.assign(context, { lineWidth: width * ratio, strokeStyle: colour });
        context.strokeRect(x - size / 2 + ratio, y - size / 2 + ratio, size - 2 * ratio, size - 2 * ratio);
      }
    }
  }

  window.zigdemoScanMeasures = { Scatter, Reach, locality, reached };
})();
