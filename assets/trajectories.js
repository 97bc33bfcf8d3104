/* The trajectory player: the same noise under an ODE and an SDE solver on a 2-D toy, entirely in the browser.
   zigdemoTrajectories.mount(root, data) with data = {toy, points, extent, cells, frames: [times], density, runs, floor,
   noise_score}; floor: {mean, low, high}, the score of as many points of the true density;
   density: base64 of one byte per cell, frames x cells x cells from the top left; runs: [{solver, label, kind, steps,
   times, nfe, score, states}]; states: base64 of int16 (step, point, x or y) in units of 1 / scale. */
(() => {
  "use strict";
  const { CALM_MS, clamp, download, element, icon, pngOf, watch } = window.zigdemoParts;
  const SPEEDS = [0.25, 0.5, 1, 2, 4], SECONDS = 6, MOST_PX = 440, GRAIN = 1000;
  const NEAR_PX = 24; // a pointer this close to a point shows its path
  const SIDE = 440, GAP = 24, MARGIN = 16, CAPTION = 72; // of the figure as SVG, in its units
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  /* One run: the position of each point at any time, linear between the solver's steps. */
  class Run {
    constructor(run, points, scale) {
      Object.assign(this, run, { points, states: new Int16Array(bytes(run.states).buffer), unit: 1 / scale });
    }
    step(time) {
      let step = 0;
      while (step + 2 < this.times.length && this.times[step + 1] <= time) step++;
      return step;
    }
    at(step, point) {
      const place = 2 * (step * this.points + point);
      return [this.states[place] * this.unit, this.states[place + 1] * this.unit];
    }
    between(time, point, step = this.step(time)) {
      const share = clamp((time - this.times[step]) / (this.times[step + 1] - this.times[step]), 0, 1);
      const [x, y] = this.at(step, point), [u, v] = this.at(step + 1, point);
      return [x + share * (u - x), y + share * (v - y)];
    }
  }

  class Player {
    constructor(root) {
      Object.assign(this, { root, time: 0, speed: 1, playing: false, chosen: null, panels: [] });
      this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
      this.build();
      const repaint = () => { this.theme = null; this.draw(); };
      const unwatch = watch(root, () => this.layout(), repaint);
      this.forget = () => { this.stop(); unwatch(); };
    }
    build() {
      const button = (shape, label, act, kind = "toy-button") => {
        const node = element("button", { type: "button", class: kind, title: label, "aria-label": label }, icon(shape));
        node.addEventListener("click", act);
        return node;
      };
      const still = (time) => { this.stop(); this.go(time); };
      this.panels = [0, 1].map(() => {
        const canvas = element("canvas", { class: "toy-canvas", tabindex: "0", role: "img" });
        const name = element("strong", {}), about = element("span", {}), score = element("span", { class: "toy-score" });
        for (const kind of ["pointermove", "pointerdown"]) canvas.addEventListener(kind, (event) => this.point(event));
        canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") this.choose(null); });
        return { canvas, name, about, score, box: element("figure", {}, canvas, element("figcaption", {}, name, about, score)) };
      });
      this.playButton = button("play", "Play", () => this.toggle(), "toy-button toy-play");
      this.scrub = element("input", { type: "range", min: "0", max: String(GRAIN), step: "1", class: "toy-scrub", "aria-label": "Time" });
      this.scrub.addEventListener("input", () => still(Number(this.scrub.value) / GRAIN));
      this.speeds = element("select", { class: "toy-speed", "aria-label": "Speed", title: "Speed" },
        ...SPEEDS.map((speed) => element("option", speed === 1 ? { value: "1", selected: "" } : { value: String(speed) }, speed + "×")));
      this.speeds.addEventListener("change", () => { this.speed = Number(this.speeds.value); });
      this.status = element("div", { class: "toy-status", role: "status" });
      this.meaning = element("p", { class: "toy-meaning" });
      const save = (label, title, act) => {
        const node = element("button", { type: "button", class: "toy-button", title }, label);
        node.addEventListener("click", act);
        return node;
      };
      this.root.replaceChildren(
        element("div", { class: "toy-panels" }, ...this.panels.map((panel) => panel.box)),
        element("div", { class: "toy-bar" }, button("first", "To the noise", () => still(0)), this.playButton,
          button("last", "To the data", () => still(1)), this.scrub, this.speeds),
        this.status, this.meaning,
        element("div", { class: "toy-keys" },
          "Each colour is one starting noise, the same on both sides; the shading is the true density. Point at a dot to follow it."),
        element("div", { class: "exports" },
          save("Save PNG", "Save both sides at this time as PNG", () => this.savePng()),
          save("Save SVG", "Save both sides at this time as SVG", () => this.saveSvg()),
          save("Save CSV", "Save the place of every point after every step", () => this.saveCsv())));
      this.root.addEventListener("keydown", (event) => this.key(event));
    }
    show(data) {
      const first = !this.data;
      this.data = data;
      this.runs = data.runs.map((run) => new Run(run, data.points, data.scale));
      this.shades = bytes(data.density);
      this.hues = Array.from({ length: data.points }, (_, i) => {
        const [x, y] = this.runs[0].at(0, i);
        return Math.round((Math.atan2(y, x) / Math.PI + 1) * 180);
      });
      this.chosen = null;
      this.shade = element("canvas", { width: data.cells, height: data.cells });
      this.runs.forEach((run, i) => {
        const { name, about, score } = this.panels[i], { floor } = data;
        name.textContent = `${run.kind}: ${run.label}`;
        about.textContent = `${run.steps} ${run.steps === 1 ? "step" : "steps"} · ${run.nfe} network calls`;
        score.textContent = `score ${run.score.toFixed(2)}: ` + (run.score <= floor.high ? "as good as true points" :
          `${(run.score / floor.mean).toFixed(1)} times that of true points`);
        score.classList.toggle("toy-good", run.score <= floor.high);
      });
      const { mean, low, high } = data.floor;
      this.meaning.textContent = "The score is how far the end cloud must move, on average along a direction, to be spread like the true density; " +
        `the square is ${(2 * data.extent).toFixed(1)} wide. A perfect sampler of ${data.points} points gets ${mean.toFixed(2)} ` +
        `(${low.toFixed(2)} to ${high.toFixed(2)} in 9 of 10 draws), the noise at the start ${data.noise_score.toFixed(2)}.`;
      this.root.dataset.toy = data.toy;
      this.layout();
      if (first && !this.calm.matches) { this.go(0); this.play(); } else this.go(first ? 1 : this.time);
    }
    layout() {
      if (!this.data || !this.root.clientWidth) return;
      this.ratio = window.devicePixelRatio || 1;
      for (const { canvas, box } of this.panels) {
        const side = Math.floor(Math.min(box.clientWidth, MOST_PX));
        canvas.width = canvas.height = Math.round(side * this.ratio);
        canvas.style.width = canvas.style.height = side + "px";
      }
      this.draw();
    }
    go(time) {
      this.time = clamp(time, 0, 1);
      this.scrub.value = Math.round(this.time * GRAIN);
      this.scrub.style.setProperty("--fill", 100 * this.time + "%");
      this.draw();
    }
    place([x, y], side) {
      const { extent } = this.data;
      return [((x / extent + 1) / 2) * side, ((1 - y / extent) / 2) * side];
    }
    draw() {
      if (!this.data || !this.ratio || !this.root.clientWidth) return;
      const style = getComputedStyle(this.root), value = (name) => style.getPropertyValue(name).trim();
      this.theme ??= { shade: value("--toy-shade").split(",").map(Number), light: value("--toy-light"), ink: value("--toy-ink"),
        quiet: value("--toy-quiet"), ground: value("--toy-ground") };
      this.shadow();
      this.runs.forEach((run, i) => this.paint(run, this.panels[i].canvas));
      this.tell();
    }
    /* The density of the nearest frame as a small image, to be scaled up. */
    shadow() {
      const { cells, frames } = this.data, frame = Math.round(this.time * (frames.length - 1));
      const context = this.shade.getContext("2d"), image = context.createImageData(cells, cells), from = frame * cells * cells;
      for (let cell = 0; cell < cells * cells; cell++) {
        for (let i = 0; i < 3; i++) image.data[4 * cell + i] = this.theme.shade[i];
        image.data[4 * cell + 3] = this.shades[from + cell] * this.theme.shade[3];
      }
      context.putImageData(image, 0, 0);
    }
    paint(run, canvas) {
      const context = canvas.getContext("2d"), side = canvas.width, step = run.step(this.time);
      context.clearRect(0, 0, side, side);
      context.imageSmoothingEnabled = true;
      context.drawImage(this.shade, 0, 0, side, side);
      Object.assign(context, { lineJoin: "round", lineCap: "round" });
      for (const { spots, here, colour, width, opacity, radius, solid } of this.marks(run, step, side)) {
        Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: width * this.ratio, globalAlpha: opacity });
        context.beginPath();
        for (const spot of spots) context.lineTo(...spot);
        context.stroke();
        context.globalAlpha = solid;
        context.beginPath();
        context.arc(...spots.at(-1), radius * this.ratio, 0, 2 * Math.PI);
        context.fill();
        if (here) { Object.assign(context, { strokeStyle: this.theme.ink, lineWidth: 1.5 * this.ratio }); context.stroke(); }
      }
      context.globalAlpha = 1;
    }
    /* What is drawn of each point: its way so far, ending in a dot; the chosen one comes last, on top of the others. */
    marks(run, step, side) {
      const order = [...this.hues.keys()].filter((i) => i !== this.chosen);
      if (this.chosen !== null) order.push(this.chosen);
      return order.map((point) => {
        const here = point === this.chosen, faint = this.chosen !== null && !here;
        const spots = Array.from({ length: step + 1 }, (_, k) => this.place(run.at(k, point), side));
        spots.push(this.place(run.between(this.time, point, step), side));
        return { spots, here, colour: `hsl(${this.hues[point]} 70% ${this.theme.light})`, width: here ? 2.5 : 1, opacity: faint ? 0.12 : here ? 1 : 0.5,
          radius: here ? 5 : 2.5, solid: faint ? 0.25 : 1 };
      });
    }
    /* Both sides with their captions as SVG text, and its size. */
    figure() {
      const width = 2 * SIDE + GAP + 2 * MARGIN, height = SIDE + CAPTION + 2 * MARGIN, { ground, ink, quiet } = this.theme;
      const paper = element("canvas", {}).getContext("2d"), plain = (colour) => { paper.fillStyle = colour; return paper.fillStyle; };
      const shade = this.shade.toDataURL(), round = (values) => values.map((value) => value.toFixed(1)).join(" ");
      const sides = this.runs.map((run, i) => {
        const marks = this.marks(run, run.step(this.time), SIDE).map(({ spots, here, colour, width: thick, opacity, radius, solid }) => {
          const [x, y] = spots.at(-1), paint = plain(colour);
          return `<polyline points="${spots.map(round).join(" ")}" stroke="${paint}" stroke-width="${thick}" opacity="${opacity}"/>` +
            `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius}" fill="${paint}" opacity="${solid}"${here ? ` stroke="${ink}" stroke-width="1.5"` : ""}/>`;
        });
        const { name, about, score } = this.panels[i];
        const words = [name, about, score].map((node, line) => `<text y="${SIDE + 22 + 21 * line}" fill="${line ? quiet : ink}" font-weight="${line ? 400 : 600}">${node.textContent}</text>`);
        return `<g transform="translate(${MARGIN + i * (SIDE + GAP)} ${MARGIN})"><clipPath id="side${i}"><rect width="${SIDE}" height="${SIDE}"/></clipPath>` +
          `<image width="${SIDE}" height="${SIDE}" preserveAspectRatio="none" href="${shade}"/><g clip-path="url(#side${i})" fill="none" stroke-linejoin="round" stroke-linecap="round">${marks.join("")}</g>` +
          `<rect width="${SIDE}" height="${SIDE}" fill="none" stroke="${quiet}" stroke-opacity="0.4"/>${words.join("")}</g>`;
      });
      const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="15">` +
        `<title>${this.data.toy}, t = ${this.time.toFixed(2)}</title><rect width="${width}" height="${height}" fill="${ground}"/>${sides.join("")}</svg>`;
      return { text, width, height };
    }
    save(blob, ending) { download(blob, `${this.data.toy}-${this.runs.map((run) => run.solver).join("-")}.${ending}`); }
    saveSvg() { this.save(new Blob([this.figure().text], { type: "image/svg+xml" }), "svg"); }
    async savePng() {
      const { text, width, height } = this.figure();
      this.save(await pngOf(text, width, height), "png");
    }
    saveCsv() {
      const rows = ["kind,solver,network calls,score,step,t,point,x,y"];
      for (const run of this.runs) run.times.forEach((time, step) => {
        for (let point = 0; point < run.points; point++) rows.push([run.kind, run.solver, run.nfe, run.score.toFixed(4), step, time.toFixed(4), point + 1,
          ...run.at(step, point).map((value) => value.toFixed(4))].join(","));
      });
      this.save(new Blob([rows.join("\n") + "\n"], { type: "text/csv" }), "csv");
    }
    tell() {
      const steps = this.runs.map((run) => `${run.label} in step ${Math.min(run.step(this.time) + 1, run.steps)} of ${run.steps}`);
      const text = `t = ${this.time.toFixed(2)}: ${steps.join(", ")}`;
      // Screen readers must not read a status that changes sixty times per second.
      this.status.setAttribute("aria-live", this.playing ? "off" : "polite");
      this.status.textContent = text;
      this.scrub.setAttribute("aria-valuetext", text);
      this.runs.forEach((run, i) => this.panels[i].canvas.setAttribute("aria-label", `${this.data.points} points under ${run.label}, ${text}`));
      Object.assign(this.root.dataset, { time: this.time.toFixed(3), chosen: this.chosen ?? "" });
    }
    toggle() { if (this.playing) this.stop(); else this.play(); }
    play() {
      if (!this.data) return;
      if (this.time >= 1) this.go(0);
      this.playing = true;
      this.dress("pause", "Pause");
      let before = performance.now();
      const turn = (this.turn = {});
      const tick = (now) => {
        if (this.turn !== turn || !this.root.isConnected) return;
        requestAnimationFrame(tick);
        if (!this.root.clientWidth) { before = now; return; } // another tab is open
        if (this.calm.matches && now - before < CALM_MS) return;
        this.go(this.time + (Math.max(now - before, 0) / 1000 / SECONDS) * this.speed);
        before = now;
        if (this.time >= 1) this.stop();
      };
      requestAnimationFrame(tick);
    }
    stop() {
      this.playing = false;
      this.turn = null;
      this.dress("play", "Play");
      if (this.data) this.draw();
    }
    dress(shape, label) {
      this.playButton.replaceChildren(icon(shape));
      for (const name of ["title", "aria-label"]) this.playButton.setAttribute(name, label);
    }
    key(event) {
      if (!this.data || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
      const places = { ArrowLeft: this.time - 0.02, ArrowRight: this.time + 0.02, Home: 0, End: 1 };
      if (event.key === " " && event.target.tagName !== "BUTTON") this.toggle();
      else if (event.key in places) { this.stop(); this.go(places[event.key]); } else return;
      event.preventDefault();
    }
    point(event) {
      if (!this.data) return;
      const run = this.runs[this.panels.findIndex(({ canvas }) => canvas === event.currentTarget)];
      const box = event.currentTarget.getBoundingClientRect(), step = run.step(this.time);
      let nearest = null, least = NEAR_PX;
      for (let i = 0; i < run.points; i++) {
        const [x, y] = this.place(run.between(this.time, i, step), box.width);
        const away = Math.hypot(x - (event.clientX - box.left), y - (event.clientY - box.top));
        if (away < least) [nearest, least] = [i, away];
      }
      this.choose(nearest);
    }
    choose(point) {
      if (point === this.chosen) return;
      this.chosen = point;
      this.draw();
    }
  }

  window.zigdemoTrajectories = {
    mount(root, data) {
      if (root.toyPlayer && !root.contains(root.toyPlayer.scrub)) root.toyPlayer = root.toyPlayer.forget();
      if (!data) return;
      root.toyPlayer ??= new Player(root);
      root.toyPlayer.show(data);
    },
  };
})();
