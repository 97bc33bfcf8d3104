/* The stages of the lesson, by name: each fills an element and may return a function that is called when it is left. */
(() => {
  "use strict";
  const { clamp, element } = window.zigdemoParts;
  const Cells = window.zigdemoCells;
  const STEP_MS = 140;
  const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
  const patches = (number) => count(number, "patch", "patches"), beadsOf = (number) => count(number, "bead", "beads");
  const whole = (value) => Math.round(value).toLocaleString("en");

  const button = (label, act, kind = "") => { const node = element("button", { type: "button", class: kind }, label); node.addEventListener("click", act); return node; };
  function slider(label, least, most, value, act) {
    const input = element("input", { type: "range", min: least, max: most, step: 1, value, "aria-label": label }), output = element("output", {}, String(value));
    input.addEventListener("input", () => { output.textContent = input.value; act(Number(input.value)); });
    return { input, output, root: element("label", { class: "lesson-slider" }, element("span", {}, label), input, output), set(to) { input.value = to; output.textContent = to; act(to); } };
  }

  /* Where the page can: a panel that draws on this device, fetched when it is opened. beside: see assets/web/panel.js. */
  function drawYourself(stage, { device }, beside) {
    if (!device) return;
    const room = element("div", { class: "device" }), fold = element("details", { class: "lesson-draw" }, element("summary", {}, "Draw it yourself"), room);
    fold.addEventListener("toggle", async () => {
      if (fold.open && !room.childElementCount) (await import(new URL(device, document.baseURI).href)).mount(room, { beside });
    });
    stage.append(fold);
  }

  /* 1: patches and their beads. */
  function tokens(stage, { side, picture }) {
    const says = element("p", { class: "lesson-says", role: "status" }, "Tap a patch, or a bead.");
    const cells = new Cells({ side, picture, label: "The picture in patches", onEnter: choose });
    const beads = cells.cells.map((_, cell) => {
      const bead = element("button", { type: "button", "aria-label": `bead ${cell + 1}`, tabindex: cell ? "-1" : "0" });
      bead.style.backgroundImage = `url("${picture}")`;
      bead.style.backgroundPosition = `${100 * (cell % side) / (side - 1)}% ${100 * Math.floor(cell / side) / (side - 1)}%`;
      bead.addEventListener("click", () => choose(cell));
      return bead;
    });
    const tape = element("div", { class: "lesson-tape", role: "group", "aria-label": "The string of patches" }, ...beads);
    tape.style.setProperty("--side", side);
    tape.addEventListener("keydown", (event) => {
      const from = beads.indexOf(event.target), to = from + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] || 0);
      if (to === from || !beads[to]) return;
      event.stopPropagation();
      event.preventDefault();
      beads[to].focus();
    });
    let before = null;
    function choose(cell) {
      cells.mark((other) => (other === cell ? "on" : other === before ? "was" : ""));
      beads.forEach((bead, place) => { bead.className = place === cell ? "on" : place === before ? "was" : ""; });
      beads[cell].scrollIntoView({ block: "nearest", inline: "center" });
      says.textContent = before === null || before === cell ? `Bead ${cell + 1} of ${side * side}.`
        : `Bead ${cell + 1}; ${patches(cells.apart(before, cell))} from the one before in the picture, ${beadsOf(Math.abs(cell - before))} on the string.`;
      before = cell;
    }
    stage.append(cells.root, tape, says);
  }

  /* 2: an order of one's own. */
  function order(stage, { side, picture, orders }) {
    let read = [];
    const says = element("p", { class: "lesson-says", role: "status" });
    const cells = new Cells({ side, picture, label: "Draw an order", onEnter: (cell) => { if (!read.includes(cell)) { read.push(cell); show(); } } });
    function show() {
      const steps = read.slice(1).map((cell, place) => cells.apart(read[place], cell)), jumps = steps.filter((step) => step > 1);
      cells.draw(read);
      cells.mark((cell) => (read.includes(cell) ? "read" : ""));
      cells.cells.forEach((node) => delete node.dataset.place);
      cells.number(read);
      says.textContent = read.length < 2 ? "Drag over the picture, or use the arrow keys and Enter."
        : `${read.length} of ${side * side} patches read, ${count(jumps.length, "jump", "jumps")}${jumps.length ? `, the longest over ${patches(Math.max(...jumps))}` : ""}; ${Math.round(100 * (steps.length - jumps.length) / steps.length)} % of the steps go to a neighbour.`;
    }
    const tools = element("div", { class: "lesson-tools" },
      button("Take back", () => { read.pop(); show(); }), button("Start again", () => { read = []; show(); }),
      button("Show the sweep", () => { read = [...orders.sweep[0]]; show(); }), button("Show a zigzag", () => { read = [...orders["zigzag-1"][0]]; show(); }));
    stage.append(cells.root, says, tools);
    show();
  }

  /* The mean distance in the picture of patches that are so many beads apart. */
  function meanDistance(order, side, beads) {
    let sum = 0;
    for (let k = 0; k + beads < order.length; k++) {
      const [one, two] = [order[k], order[k + beads]];
      sum += Math.abs(Math.floor(one / side) - Math.floor(two / side)) + Math.abs(one % side - two % side);
    }
    return sum / (order.length - beads);
  }

  /* 3: sweep and zigzag at once, and how far apart what is near on the string lies in the picture. */
  function race(stage, { side, picture, orders }) {
    const pair = [["Sweep", orders.sweep[0], "sweep"], ["Zigzag", orders["zigzag-1"][0], "zigzag"]];
    const grids = pair.map(([label]) => new Cells({ side, picture, label }));
    const total = side * side, most = 3 * side;
    const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    chart.setAttribute("viewBox", "0 0 420 190");
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", "Distance in the picture against distance on the string, for sweep and zigzag");
    const x = (beads) => 36 + (beads - 1) / (most - 1) * 376, y = (far) => 156 - far / side * 140;
    let markup = "";
    for (let far = 0; far <= side; far += 2) markup += `<line class="grid" x1="36" x2="412" y1="${y(far)}" y2="${y(far)}"/><text x="28" y="${y(far) + 5}" text-anchor="end">${far}</text>`;
    for (let beads = 1; beads <= most; beads += beads < 8 ? 7 : 8) markup += `<text x="${x(beads)}" y="174" text-anchor="middle">${beads}</text>`;
    for (const [label, path, name] of pair) {
      const points = Array.from({ length: most }, (_, i) => `${x(i + 1).toFixed(1)},${y(meanDistance(path, side, i + 1)).toFixed(1)}`);
      markup += `<polyline class="of-${name}" points="${points.join(" ")}"><title>${label}</title></polyline>`;
    }
    chart.innerHTML = markup;
    const says = element("p", { class: "lesson-says", role: "status" });
    let timer = null;
    const at = slider("Beads read", 1, total, 1, (place) => {
      grids.forEach((grid, i) => { grid.draw(pair[i][1].slice(0, place)); grid.mark((cell) => (pair[i][1].indexOf(cell) < place ? "read" : "")); });
      const steps = place > 1 ? pair.map(([, path], i) => grids[i].apart(path[place - 2], path[place - 1])) : [0, 0];
      says.textContent = place > 1 ? `Bead ${place}: the sweep went ${patches(steps[0])}, the zigzag ${patches(steps[1])}.` : "Both begin at the top left.";
    });
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play both"; };
    const play = button("Play both", () => {
      if (timer) { stop(); return; }
      if (Number(at.input.value) >= total) at.set(1);
      play.textContent = "Pause";
      timer = setInterval(() => { if (Number(at.input.value) >= total) stop(); else at.set(Number(at.input.value) + 1); }, STEP_MS);
    }, "lesson-play");
    stage.append(element("div", { class: "lesson-pair" }, ...grids.map((grid, i) => element("figure", {}, element("figcaption", { class: `of-${pair[i][2]}` }, pair[i][0]), grid.root))),
      element("div", { class: "lesson-tools" }, play, at.root), says,
      element("figure", { class: "lesson-chart" }, chart, element("figcaption", {}, "Across: beads apart on the string. Up: patches apart in the picture, on average.")));
    at.set(1);
    return stop;
  }

  /* 4: what can have reached a patch after some layers. */
  function reach(stage, { side, picture, orders }) {
    const names = ["sweep", "zigzag-1", "zigzag-8"], total = side * side;
    const paths = names.map((name) => orders[name].map((path) => ({ order: path, span: total, length: total })));
    let token = 2 * side + 4, depth = 1;
    const says = names.map(() => element("span", {}));
    const grids = names.map((name) => new Cells({ side, picture, label: `${name}: tap a patch`, onEnter: (cell) => { token = cell; show(); } }));
    function show() {
      grids.forEach((grid, i) => {
        const mask = window.zigdemoScanMeasures.reached(paths[i], false, token, depth), there = mask.reduce((a, b) => a + b, 0);
        grid.mark((cell) => (cell === token ? "on" : mask[cell] ? "reach" : "out"));
        says[i].textContent = `${there} of ${total}`;
      });
    }
    const layers = slider("Layers", 1, 8, 1, (value) => { depth = value; show(); });
    stage.append(element("div", { class: "lesson-tools" }, layers.root),
      element("div", { class: "lesson-pair" }, ...grids.map((grid, i) => element("figure", {}, element("figcaption", {}, element("b", {}, names[i]), " ", says[i]), grid.root))));
    show();
  }

  /* 5: a guess, then the matrix of scans read with other scans. */
  function matrix(stage, { matrix: data, ...rest }) {
    if (!data) { stage.append(element("p", {}, "The networks of this step are not installed.")); return; }
    const guesses = ["Nothing changes", "It gets a little worse", "It is destroyed"];
    const { rows, columns } = data;
    const table = element("table", { class: "lesson-matrix" },
      element("thead", {}, element("tr", {}, element("th", {}, "learned with ↓, reads with →"), ...columns.values.map((value) => element("th", { scope: "col" }, value)))),
      element("tbody", {}, ...data.cells.map((row, r) => element("tr", {}, element("th", { scope: "row" }, rows.values[r]), ...row.map((cell, c) => element("td", { class: r === c ? "own" : "" },
        cell.source ? element("img", { src: cell.source, alt: `learned with ${rows.values[r]}, reads with ${columns.values[c]}` }) : element("small", {}, cell.reason || "")))))));
    const ask = element("div", { class: "lesson-tools" }, ...guesses.map((guess) => button(guess, () => {
      ask.replaceChildren(element("p", { class: "lesson-says", role: "status" }, `You said: ${guess}. Framed: each network in its own order.`));
      table.hidden = false;
    })));
    table.hidden = true;
    stage.append(ask, element("div", { class: "lesson-scroll" }, table));
    drawYourself(stage, rest, "scan");
  }

  /* 6: the papers' numbers, and ours with their spread. */
  function pays(stage, { claims }) {
    const most = Math.max(10, ...claims.rows.map((row) => Math.abs(row.mean) + row.spread)), place = (value) => 50 + 46 * clamp(value / most, -1, 1);
    const bars = claims.rows.map((row) => {
      const bar = element("div", { class: `lesson-bar ${row.decided ? "decided" : "open"}` }, element("i", {}), element("u", {}));
      bar.style.setProperty("--from", `${place(row.mean - row.spread)}%`);
      bar.style.setProperty("--to", `${place(row.mean + row.spread)}%`);
      bar.style.setProperty("--mean", `${place(row.mean)}%`);
      const verdict = !row.decided ? "not decided here" : row.mean > 0 ? "worse" : "better";
      return element("div", { class: "lesson-claim" }, element("b", {}, row.case), bar, element("span", {}, `${row.mean > 0 ? "+" : "−"}${Math.abs(row.mean).toFixed(0)} % ± ${row.spread.toFixed(0)} %: ${verdict}`));
    });
    const papers = claims.papers.map(([name, values]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", { translate: "no" }, values.map(([scheme, value]) => `${scheme} ${value}`).join(" · "))));
    stage.append(
      element("h4", {}, "The paper: Frechet distance, lower is better"), element("table", { class: "lesson-papers" }, element("tbody", {}, ...papers)),
      element("h4", {}, `Ours, small: loss beyond that of ${claims.against}, three seeds`), element("div", { class: "lesson-claims" }, ...bars));
  }

  /* 7: a guess, then the formulas. */
  function cost(stage, { cost: data }) {
    const { blockValue, crossing, mount } = window.zigdemoCost, sizes = { D: 224, N: 8 };
    const tokens = (place) => Math.round(2 ** (place / 4));
    const guess = slider("Your guess", 8, 56, 40, (place) => { guess.output.textContent = whole(tokens(place)); });
    const says = element("p", { class: "lesson-says", role: "status" }, "Drag to the number of patches from which attention costs more than the scan.");
    const room = element("div", { class: "cost" });
    const reveal = button("Reveal", () => {
      const { dit, zigma } = data.blocks, meets = crossing(dit, zigma, sizes, true), far = { ...sizes, M: 4096 };
      says.textContent = `You said ${whole(tokens(Number(guess.input.value)))}; it is ${whole(meets)}, four times the state. At 4,096 patches attention costs ${whole(blockValue(dit, far, true) / blockValue(zigma, far, true))} times as much.`;
      mount(room, data);
      room.zigdemoCost.set({ what: "mixing" });
    }, "lesson-play");
    guess.output.textContent = whole(tokens(40));
    stage.append(element("div", { class: "lesson-tools" }, guess.root, reveal), says, room);
  }

  /* 8: an ODE and an SDE from the same noise. */
  function paths(stage, { toy, ...rest }) {
    const room = element("div", { class: "toy-player" });
    stage.append(room);
    window.zigdemoTrajectories.mount(room, toy);
    drawYourself(stage, rest, "guidance");
  }

  /* 9: words that light up where they act. */
  function words(stage, { words: lit, ...rest }) {
    if (!lit) { stage.append(element("p", {}, "The network of this step is not installed.")); return; }
    const room = element("div", {});
    room.innerHTML = lit; // made by the page's own program, from the shipped model
    stage.append(room);
    drawYourself(stage, rest, "prompt");
  }

  window.zigdemoLessonStages = { tokens, order, race, reach, matrix, pays, cost, paths, words };
})();
