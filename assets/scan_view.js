/* Drawings of token orders for the scan player: on a canvas step by step, and as SVG. A video is a sheet of frames. */
(() => {
  "use strict";
  const { clamp } = window.zigdemoParts;
  // Samples of a perceptually uniform colour map from dark violet to yellow; colours in between are interpolated.
  const SAMPLES = [[72, 33, 115], [64, 67, 135], [52, 94, 141], [41, 120, 142], [32, 144, 140], [34, 167, 132],
    [68, 190, 112], [121, 209, 81], [189, 222, 38], [253, 231, 36]];
  const CELL_PX = 96;
  const VEIL = 215; // of 255: how much of a picture is hidden where the scan has not been yet
  // Beyond ALL_JUMPS only the latest TRAIL jumps are drawn: all of them would hide the picture.
  const ALL_JUMPS = 300, TRAIL = 40;
  const ON_DARK = "#ffffff", ON_LIGHT = "#1d2939";

  const inkOn = (share) => (share > 0.55 ? ON_LIGHT : ON_DARK);
  const mix = (share) => {
    const place = clamp(share, 0, 0.9999) * (SAMPLES.length - 1), low = Math.floor(place);
    return SAMPLES[low].map((v, i) => Math.round(v + (place - low) * (SAMPLES[low + 1][i] - v)));
  };

  /* One order on its grid, cut into runs of `span` tokens that are read in parallel: at position p each run has read
     its tokens 0 to p. Ranks within the run, neighbours and jumps are computed once. */
  class Path {
    constructor(order, grid, runs, axis) {
      const [rows, columns] = grid.slice(-2), frames = grid.length === 3 ? grid[0] : 1;
      Object.assign(this, { order, frames, rows, columns, runs, axis, length: order.length, span: order.length / runs });
      this.rank = new Int32Array(order.length);
      order.forEach((cell, k) => { this.rank[cell] = this.place(k); });
      this.kinds = order.map((_, k) => this.kind(k));
      this.jumps = [...order.keys()].filter((k) => this.kinds[k] === "far").sort((a, b) => this.place(a) - this.place(b));
      this.trail = this.jumps.length > ALL_JUMPS;
      this.hasTime = this.kinds.includes("time");
      this.colours = Array.from({ length: this.span }, (_, place) => mix(this.share(place)));
    }
    frame(cell) { return Math.floor(cell / (this.rows * this.columns)); }
    row(cell) { return Math.floor(cell / this.columns) % this.rows; }
    column(cell) { return cell % this.columns; }
    get middle() { return ((this.frames >> 1) * this.rows + (this.rows >> 1)) * this.columns + (this.columns >> 1); }
    place(k) { return k % this.span; }
    share(place) { return this.span > 1 ? place / (this.span - 1) : 0; }
    /* Where step k comes from: nowhere, a neighbour in the frame, the same place a frame away, or far. */
    kind(k) {
      if (this.place(k) === 0) return "start";
      const from = this.order[k - 1], to = this.order[k], frames = Math.abs(this.frame(from) - this.frame(to));
      const cells = Math.abs(this.column(from) - this.column(to)) + Math.abs(this.row(from) - this.row(to));
      return frames + cells > 1 ? "far" : frames ? "time" : "near";
    }
    /* The indices into the order that are read at a position, one per run. */
    at(position) { return Array.from({ length: this.runs }, (_, run) => run * this.span + position); }
    /* The jumps to draw at a position: all so far, or only the latest. */
    shown(position) {
      const upto = this.jumps.filter((k) => this.place(k) <= position);
      return this.trail ? upto.slice(-TRAIL) : upto;
    }
    where(cell) {
      const place = `row ${this.row(cell) + 1}, column ${this.column(cell) + 1}`;
      return this.frames > 1 ? `frame ${this.frame(cell) + 1}, ${place}` : place;
    }
  }

  /* The layout of a path's cells: frames side by side, `across` per row, each with room above it for its name. */
  class Sheet {
    constructor(path, cell, across, gap, above) {
      const { frames, rows, columns } = path, down = Math.ceil(frames / across);
      Object.assign(this, { path, cell, across, gap, above });
      this.width = across * columns * cell + (across - 1) * gap;
      this.height = down * (rows * cell + above) + (down - 1) * gap;
    }
    corner(frame) {
      const { path: { rows, columns }, cell, across, gap, above } = this;
      return [(frame % across) * (columns * cell + gap), Math.floor(frame / across) * (rows * cell + above + gap) + above];
    }
    x(token) { return this.corner(this.path.frame(token))[0] + this.path.column(token) * this.cell; }
    y(token) { return this.corner(this.path.frame(token))[1] + this.path.row(token) * this.cell; }
    centre(token) { return [this.x(token) + this.cell / 2, this.y(token) + this.cell / 2]; }
    /* The token at a point; null between frames. */
    under(x, y) {
      const { frames, rows, columns } = this.path;
      for (let frame = 0; frame < frames; frame++) {
        const [left, top] = this.corner(frame), column = Math.floor((x - left) / this.cell), row = Math.floor((y - top) / this.cell);
        if (row >= 0 && row < rows && column >= 0 && column < columns) return (frame * rows + row) * columns + column;
      }
      return null;
    }
  }

  /* The sheet with the largest cells that fits a room; cells are whole pixels unless tiny. */
  function fitted(path, [width, height], gap, above, most) {
    const { frames, rows, columns } = path;
    let best = 0, across = 1;
    for (let n = 1; n <= frames; n++) {
      const down = Math.ceil(frames / n);
      const wide = (width - (n - 1) * gap) / (n * columns), high = (height - (down - 1) * gap - down * above) / (down * rows);
      if (Math.min(wide, high) > best) [best, across] = [Math.min(wide, high), n];
    }
    best = clamp(best, 0.5, most);
    return new Sheet(path, best >= 3 ? Math.floor(best) : best, across, gap, above);
  }

  /* A canvas that shows one path, over a picture if it has one, a canvas that fills each frame. Each cell is one pixel of a small image that is scaled up, and while the scan moves
     forward lines are only added, so that a frame of a 64 x 64 grid is cheap. */
  class View {
    constructor(canvas, picture = null) {
      Object.assign(this, { canvas, picture });
      this.cells = document.createElement("canvas");
      this.lines = document.createElement("canvas");
    }
    show(path) {
      this.path = path;
      Object.assign(this.cells, { width: path.columns, height: path.rows * path.frames });
      this.drawn = Infinity;
    }
    /* Fill a room of [width, height] CSS pixels. named: leave room for the names of frames. */
    fit(room, ratio, named) {
      const stack = this.path.frames > 1;
      this.named = named && stack;
      this.ratio = ratio;
      this.sheet = fitted(this.path, room.map((side) => side * ratio), stack ? (named ? 10 : 3) * ratio : 0, this.named ? 18 * ratio : 0, CELL_PX * ratio);
      for (const canvas of [this.canvas, this.lines]) {
        canvas.width = Math.max(1, Math.round(this.sheet.width));
        canvas.height = Math.max(1, Math.round(this.sheet.height));
      }
      this.canvas.style.width = this.canvas.width / ratio + "px";
      this.canvas.style.height = this.canvas.height / ratio + "px";
      this.drawn = Infinity;
    }
    paint(position, theme, { hovered = null, numbers = false, marker = true }) {
      if (!this.path || !this.sheet) return;
      const { path, sheet, canvas } = this, { cell } = sheet, context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      this.fill(position, theme.faint);
      context.clearRect(0, 0, canvas.width, canvas.height);
      for (let frame = 0; frame < path.frames; frame++) this.frame(context, frame, theme);
      if (cell >= 4) {
        this.walk(position, theme);
        context.drawImage(this.lines, 0, 0);
        if (path.trail && cell >= 7) for (const k of path.shown(position)) this.segment(context, k, theme);
      }
      if (numbers) this.number(context, position);
      if (marker && !(path.runs > path.frames && cell < 7)) { // else too many marks for cells this small
        for (const k of path.at(position)) this.mark(context, path.order[k], theme);
      }
      if (hovered !== null) this.mark(context, hovered, theme);
    }
    fill(position, faint) {
      const { order, rank, colours } = this.path, context = this.cells.getContext("2d");
      const image = context.createImageData(this.cells.width, this.cells.height);
      for (const token of order) {
        const read = rank[token] <= position, colour = read ? colours[rank[token]] : faint, at = 4 * token;
        for (let i = 0; i < 3; i++) image.data[at + i] = colour[i];
        image.data[at + 3] = !this.picture ? 255 : read ? 0 : VEIL;
      }
      context.putImageData(image, 0, 0);
    }
    frame(context, frame, theme) {
      const { rows, columns } = this.path, { cell } = this.sheet, [left, top] = this.sheet.corner(frame);
      if (this.picture) {
        const { width, height } = this.picture, scale = Math.min(width / columns, height / rows); // cut to the frame's shape
        const [across, down] = [columns * scale, rows * scale];
        context.imageSmoothingEnabled = true;
        context.drawImage(this.picture, (width - across) / 2, (height - down) / 2, across, down, left, top, columns * cell, rows * cell);
        context.imageSmoothingEnabled = false;
      }
      context.drawImage(this.cells, 0, frame * rows, columns, rows, left, top, columns * cell, rows * cell);
      if (this.named) {
        Object.assign(context, { font: `${12 * this.ratio}px system-ui, sans-serif`, textAlign: "left", textBaseline: "bottom", fillStyle: theme.ink });
        context.fillText(columns * cell > 56 * this.ratio ? window.zigdemoLanguage.translate(`frame ${frame + 1}`) : String(frame + 1), left, top - 2 * this.ratio);
      }
      if (cell < 5) return;
      const width = Math.max(1, Math.round(cell * 0.05)), half = Math.floor(width / 2);
      context.fillStyle = theme.ground;
      for (let x = 1; x < columns; x++) context.fillRect(left + x * cell - half, top, width, rows * cell);
      for (let y = 1; y < rows; y++) context.fillRect(left, top + y * cell - half, columns * cell, width);
    }
    walk(position, theme) {
      const context = this.lines.getContext("2d"), { path } = this;
      if (position < this.drawn) {
        context.clearRect(0, 0, this.lines.width, this.lines.height);
        this.drawn = 0;
      }
      for (let place = this.drawn + 1; place <= position; place++) {
        for (const k of path.at(place)) if (!path.trail || path.kinds[k] !== "far") this.segment(context, k, theme);
      }
      this.drawn = position;
    }
    /* Over a picture a step has its colour and an edge that is told from it; on coloured cells the ink is enough. */
    segment(context, k, theme) {
      const { path, sheet, picture } = this, kind = path.kinds[k], width = clamp(sheet.cell * 0.08, 1, 5);
      const share = path.share(path.place(k)), ink = inkOn(share), colour = picture ? `rgb(${path.colours[path.place(k)]})` : ink;
      if (kind === "time") { // a line would cross other frames
        if (sheet.cell < 7) return;
        if (picture) this.dot(context, k, width * 2.3, ink);
        this.dot(context, k, width * 1.5, colour);
        return;
      }
      const far = kind === "far";
      if (picture) this.line(context, k, width * 1.9, far ? ON_DARK : ink, []);
      this.line(context, k, width, far ? theme.jump : colour, far ? [width * 2.5, width * 2.2] : []);
      // The edge just drawn covers the end of the step before.
      if (picture && path.kinds[k - 1] === "near") this.line(context, k - 1, width, `rgb(${path.colours[path.place(k - 1)]})`, []);
    }
    dot(context, k, radius, colour) {
      context.beginPath();
      context.fillStyle = colour;
      context.arc(...this.sheet.centre(this.path.order[k]), radius, 0, 2 * Math.PI);
      context.fill();
    }
    line(context, k, width, colour, dash) {
      context.beginPath();
      Object.assign(context, { lineCap: "round", lineWidth: width, strokeStyle: colour });
      context.setLineDash(dash);
      for (const token of [this.path.order[k - 1], this.path.order[k]]) context.lineTo(...this.sheet.centre(token));
      context.stroke();
    }
    number(context, position) {
      const { path, sheet } = this, { cell } = sheet, digits = String(path.span).length;
      const size = Math.floor(Math.min(cell * 0.24, (cell * 0.36) / (digits * 0.6)));
      if (size < 8 * (window.devicePixelRatio || 1)) return;
      Object.assign(context, { font: `500 ${size}px system-ui, sans-serif`, textAlign: "left", textBaseline: "top" });
      for (const token of path.order) {
        const place = path.rank[token];
        if (place > position) continue;
        if (this.picture) {
          Object.assign(context, { strokeStyle: ON_LIGHT, lineWidth: size * 0.25, lineJoin: "round" });
          context.strokeText(String(place + 1), sheet.x(token) + 0.1 * cell, sheet.y(token) + 0.1 * cell);
        }
        context.fillStyle = this.picture ? ON_DARK : inkOn(path.share(place));
        context.fillText(String(place + 1), sheet.x(token) + 0.1 * cell, sheet.y(token) + 0.1 * cell);
      }
    }
    mark(context, token, theme) {
      const { sheet, path } = this, { cell } = sheet, width = path.runs > 1 ? clamp(cell * 0.06, 1, 4) : clamp(cell * 0.06, 1.5, 4);
      const x = sheet.x(token), y = sheet.y(token);
      context.lineWidth = width;
      for (const [inset, colour] of [[width * 1.4, theme.ground], [width / 2, theme.ink]]) {
        context.strokeStyle = colour;
        context.strokeRect(x + inset, y + inset, Math.max(cell - 2 * inset, 1), Math.max(cell - 2 * inset, 1));
      }
    }
  }

  /* The drawing of a view as SVG text, for slides and papers. */
  function svgOf(view, position, theme, title) {
    const { path, picture } = view, unit = 20, stack = path.frames > 1;
    const sheet = new Sheet(path, unit, view.sheet.across, stack ? unit / 2 : 0, stack ? unit : 0), parts = [];
    const line = (k, extra) => {
      const [x1, y1] = sheet.centre(path.order[k - 1]), [x2, y2] = sheet.centre(path.order[k]);
      return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${extra}/>`;
    };
    const dot = (k, colour, edge) => {
      const [x, y] = sheet.centre(path.order[k]);
      return `<circle cx="${x}" cy="${y}" r="2.7" fill="${colour}"${picture ? ` stroke="${edge}" stroke-width="0.9"` : ""}/>`;
    };
    for (let frame = 0; frame < path.frames; frame++) {
      const [x, y] = sheet.corner(frame);
      if (picture) parts.push(`<image x="${x}" y="${y}" width="${path.columns * unit}" height="${path.rows * unit}" ` +
        `preserveAspectRatio="xMidYMid slice" href="${picture.toDataURL()}"/>`);
      if (stack) parts.push(`<text x="${x}" y="${y - 5}" font-family="system-ui, sans-serif" font-size="12" fill="${theme.ink}">frame ${frame + 1}</text>`);
    }
    for (const token of path.order) {
      const read = path.rank[token] <= position, opacity = !picture ? 1 : read ? 0 : VEIL / 255;
      parts.push(`<rect x="${sheet.x(token)}" y="${sheet.y(token)}" width="${unit}" height="${unit}" ` +
        `fill="rgb(${read ? path.colours[path.rank[token]] : theme.faint})"${picture ? ` fill-opacity="${opacity}"` : ""} stroke="${theme.ground}"/>`);
    }
    const edges = [], steps = [];
    path.kinds.forEach((kind, k) => {
      if (path.place(k) > position) return;
      const ink = inkOn(path.share(path.place(k))), colour = picture ? `rgb(${path.colours[path.place(k)]})` : ink;
      if (kind === "near" && picture) edges.push(line(k, `stroke="${ink}" stroke-width="3.2"`));
      if (kind === "near") steps.push(line(k, `stroke="${colour}"`));
      if (kind === "time") steps.push(dot(k, colour, ink));
    });
    parts.push(...edges, ...steps);
    for (const k of path.shown(position)) parts.push(line(k, `stroke="${theme.jump}" stroke-dasharray="5 4"`));
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${sheet.width} ${sheet.height}" ` +
      `stroke-width="1.8" stroke-linecap="round"><title>${title.replace(/[<&]/g, "")}</title>${parts.join("")}</svg>`;
  }

  window.zigdemoScanView = { Path, View, fitted, svgOf, TRAIL };
})();
