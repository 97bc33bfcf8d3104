/* The Cost tab: what a block of every backbone takes, term by term, against the number of tokens; computed here from the
   terms that the server sends, and what was measured.
   zigdemoCost.mount(root, data) with data = {blocks: {name: {label, mixer, sizes, terms, paper}}, sizes: {letter: meaning}, presets: [{label, M, D, N}],
   measured: [{machine, of: operator | network | gpu, curves: {forward | training: {label: [{tokens, seconds, peak_kb}]}}}],
   colour_of: {label: name of a block}};
   a term is {name, formula, monomials: [[factor, {size: power}], ...]}. */
(() => {
  "use strict";
  const { clamp, download, element, pngOf, watch } = window.zigdemoParts;
  const LEAST = 4, MOST = 18, MOST_TOKENS = 2 ** 20; // the first two as log2 of the tokens
  const LIMITS = { M: [2 ** LEAST, 2 ** MOST], D: [64, 2048], N: [4, 64] };
  const MEASURED = {
    operator: "Measured: one operator, width 192",
    network: "Measured: a whole network of 8 to 11 M weights, one picture",
    gpu: "Measured: the largest networks published, one picture, on a GPU",
  };
  const START = { M: 64, D: 224, N: 8, what: "block", quantity: "seconds", mode: "forward", of: "operator" };
  const BETWEEN = { block: "the whole block", mixing: "the mixing of tokens" };
  const GROWTH = { 1: "grows with the tokens", 2: "grows with the square of the tokens" };

  /* Multiply-adds, exactly as zigdemo.explain.terms has them. */
  function termValue(term, sizes) {
    return term.monomials.reduce((sum, [factor, powers]) => sum + Object.entries(powers).reduce((value, [name, power]) => value * sizes[name] ** power, factor), 0);
  }
  function blockValue(block, sizes, mixing) {
    const all = { ...sizes, ...block.sizes }, terms = mixing ? [block.terms[block.mixer]] : block.terms;
    return terms.reduce((sum, term) => sum + termValue(term, all), 0);
  }
  /* The number of tokens from which `first` takes more than `second`, or null. */
  function crossing(first, second, sizes, mixing) {
    const difference = (M) => blockValue(first, { ...sizes, M }, mixing) - blockValue(second, { ...sizes, M }, mixing);
    let low = 1, high = MOST_TOKENS;
    if (difference(low) > 0 || difference(high) <= 0) return null;
    while (high / low > 1 + 1e-9) {
      const middle = Math.sqrt(low * high);
      if (difference(middle) > 0) high = middle; else low = middle;
    }
    return high;
  }

  const whole = (value) => Math.round(value).toLocaleString("en");
  function short(value) {
    for (const [size, name] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]]) if (value >= size) return (value / size).toPrecision(3) + name;
    return value.toPrecision(3);
  }
  function unit(value, quantity) {
    if (quantity === "peak_kb") return value >= 1024 ? `${(value / 1024).toPrecision(3)} MB` : `${value} kB`;
    return value >= 1 ? `${value.toPrecision(3)} s` : `${(value * 1000).toPrecision(3)} ms`;
  }
  const svgNode = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };

  /* A log-log plot. curves: [{name, label, points: [[x, y], ...], dots, thin}]; mark: an x that a line marks. */
  function plot(svg, { width, height, low, high, curves, mark, spots, yName, yText }) {
    const pad = { left: 72, right: 16, top: 28, bottom: 40 };
    const ys = curves.flatMap((curve) => curve.points.map((point) => point[1])).filter((y) => y > 0);
    const bottom = Math.floor(Math.log10(Math.min(...ys))), top = Math.ceil(Math.log10(Math.max(...ys)));
    const x = (value) => pad.left + (Math.log2(value) - low) / (high - low) * (width - pad.left - pad.right);
    const y = (value) => height - pad.bottom - (Math.log10(value) - bottom) / Math.max(1, top - bottom) * (height - pad.top - pad.bottom);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const nodes = [];
    const every = width < 480 ? 4 : 2;
    for (let power = Math.ceil(low); power <= high; power += every) {
      nodes.push(svgNode("line", { class: "grid", x1: x(2 ** power), x2: x(2 ** power), y1: pad.top, y2: height - pad.bottom }));
      nodes.push(svgNode("text", { x: x(2 ** power), y: height - pad.bottom + 18, "text-anchor": power > high - 1 ? "end" : "middle" }, whole(2 ** power)));
    }
    for (let power = bottom; power <= top; power += Math.max(1, Math.ceil((top - bottom) / 7))) {
      nodes.push(svgNode("line", { class: "grid", x1: pad.left, x2: width - pad.right, y1: y(10 ** power), y2: y(10 ** power) }));
      nodes.push(svgNode("text", { x: pad.left - 8, y: y(10 ** power) + 4, "text-anchor": "end" }, yText(10 ** power)));
    }
    nodes.push(svgNode("text", { x: (pad.left + width) / 2, y: height - 4, "text-anchor": "middle" }, "tokens"));
    nodes.push(svgNode("text", { x: 4, y: 12 }, yName));
    for (const curve of curves) {
      const path = curve.points.map(([px, py], i) => `${i ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
      const group = svgNode("g", { class: `curve of-${curve.name}${curve.thin ? " thin" : ""}`, "data-name": curve.name });
      group.append(svgNode("title", {}, curve.label), svgNode("path", { d: path }));
      if (curve.dots) for (const [px, py] of curve.points) group.append(svgNode("circle", { cx: x(px), cy: y(py), r: 4 }));
      nodes.push(group);
    }
    for (const spot of spots || []) {
      nodes.push(svgNode("circle", { class: "crossing", cx: x(spot.x), cy: y(spot.y), r: 6 }));
      nodes.push(svgNode("text", { class: "crossing", x: clamp(x(spot.x), pad.left + 30, width - 50), y: y(spot.y) - 12, "text-anchor": "middle" }, whole(spot.x)));
    }
    if (mark) nodes.push(svgNode("line", { class: "mark", x1: x(mark), x2: x(mark), y1: pad.top, y2: height - pad.bottom }));
    svg.replaceChildren(...nodes);
    return (px) => 2 ** clamp(low + (px - pad.left) / (width - pad.left - pad.right) * (high - low), low, high);
  }

  class Cost {
    constructor(root, data) {
      Object.assign(this, { root, data, state: { ...START }, hovered: null });
      const linked = new URL(window.location.href).searchParams;
      if (linked.get("place") === "cost") for (const [name, key] of [["M", "tokens"], ["D", "width"], ["N", "state"]]) {
        const value = Number(linked.get(key)), [least, most] = LIMITS[name];
        if (linked.has(key) && Number.isFinite(value)) this.state[name] = Math.round(clamp(value, least, most));
      }
      this.build();
      watch(root, () => this.draw(), () => this.draw());
    }
    build() {
      const slider = (name, label, least, most, step, toValue, toPlace) => {
        const output = element("output", {}), input = element("input", { type: "range", min: least, max: most, step, "aria-label": label });
        input.addEventListener("input", () => this.set({ [name]: toValue(Number(input.value)) }));
        this[`show${name}`] = () => { input.value = toPlace(this.state[name]); output.textContent = whole(this.state[name]); input.setAttribute("aria-valuetext", output.textContent); };
        return element("label", {}, element("span", {}, label), input, output);
      };
      const choice = (name, options) => {
        const buttons = Object.entries(options).map(([value, label]) => {
          const button = element("button", { type: "button", class: "cost-button" }, label);
          button.addEventListener("click", () => this.set({ [name]: value }));
          return [value, button];
        });
        this[`show${name}`] = () => buttons.forEach(([value, button]) => button.setAttribute("aria-pressed", String(this.state[name] === value)));
        return element("div", { class: "cost-choice", role: "group" }, ...buttons.map((pair) => pair[1]));
      };
      const presets = this.data.presets.map((preset) => {
        const button = element("button", { type: "button", class: "cost-button" }, preset.label);
        button.addEventListener("click", () => this.set({ M: preset.M, D: preset.D, N: preset.N }));
        return button;
      });
      const tool = (label, act) => { const button = element("button", { type: "button", class: "cost-button" }, label); button.addEventListener("click", act); return button; };
      this.lines = svgNode("svg", { class: "cost-plot", role: "img" });
      this.dots = svgNode("svg", { class: "cost-plot", role: "img" });
      this.bars = element("div", { class: "cost-bars" });
      this.term = element("p", { class: "cost-term", role: "status" });
      this.papers = element("p", { class: "cost-note" });
      this.letters = element("p", { class: "cost-note" });
      this.says = element("p", { class: "cost-says" });
      this.legend = element("div", { class: "cost-legend" });
      this.caption = element("figcaption", {});
      this.measuredTitle = element("h3", {});
      this.root.replaceChildren(
        element("div", { class: "cost-presets" }, ...presets),
        element("div", { class: "cost-sliders" },
          slider("M", "Tokens", LEAST, MOST, 0.25, (place) => Math.round(2 ** place), (value) => Math.log2(value)),
          slider("D", "Width", ...LIMITS.D, 32, (value) => value, (value) => value),
          slider("N", "State", ...LIMITS.N, 4, (value) => value, (value) => value)),
        element("div", { class: "cost-rooms" },
          element("section", {}, element("h3", {}, "By formula: multiply-adds of a block"), choice("what", { block: "Whole block", mixing: "Mixing of tokens alone" }), this.lines, this.says,
            element("div", { class: "cost-tools" }, tool("Save SVG", () => this.save("svg")), tool("Save PNG", () => this.save("png")), tool("Save CSV", () => this.saveTable()))),
          element("section", {}, element("h3", {}, "Term by term"), this.bars, this.term, this.letters, this.papers),
          element("section", { class: "cost-measured" }, this.measuredTitle,
            element("div", { class: "cost-choices" }, choice("of", { operator: "One operator", network: "Whole network", gpu: "On a GPU" }), choice("quantity", { seconds: "Time", peak_kb: "Memory" }), choice("mode", { forward: "Forward", training: "Training" })),
            element("figure", {}, this.dots, this.legend, this.caption))));
      const move = (event) => { if (event.buttons) { const box = this.lines.getBoundingClientRect(); this.set({ M: Math.round(this.toTokens(event.clientX - box.left)) }); } };
      this.lines.addEventListener("pointerdown", (event) => { this.lines.setPointerCapture(event.pointerId); move(event); });
      this.lines.addEventListener("pointermove", move);
    }
    get sizes() { return { M: this.state.M, D: this.state.D, N: this.state.N }; }
    set(changes) {
      Object.assign(this.state, changes);
      this.draw();
      window.zigdemoAddress?.showing("cost", new URLSearchParams({ tokens: this.state.M, width: this.state.D, state: this.state.N }).toString());
    }
    update(data) {
      if (data.measured.length > this.data.measured.length) this.state.of = "operator"; // what was measured here
      this.data = data;
      this.draw();
    }
    draw() {
      const width = Math.floor(this.lines.parentElement.clientWidth);
      if (width < 100) return;
      for (const name of ["M", "D", "N", "what", "quantity", "mode", "of"]) this[`show${name}`]();
      this.drawLines(width);
      this.drawBars();
      this.drawDots(Math.floor(this.dots.parentElement.clientWidth));
      this.say();
    }
    drawLines(width) {
      const { blocks } = this.data, mixing = this.state.what === "mixing", xs = [];
      for (let power = LEAST; power <= MOST; power += 0.25) xs.push(2 ** power);
      const curves = Object.entries(blocks).map(([name, block]) => ({ name, label: block.label, points: xs.map((M) => [M, blockValue(block, { ...this.sizes, M }, mixing)]) }));
      if (this.hovered) {
        const [name, place] = this.hovered, block = blocks[name];
        curves.push({ name, thin: true, label: block.terms[place].name, points: xs.map((M) => [M, termValue(block.terms[place], { ...this.sizes, ...block.sizes, M })]) });
      }
      const meets = crossing(blocks.dit, blocks.zigma, this.sizes, mixing);
      const spots = meets && meets >= 2 ** LEAST ? [{ x: meets, y: blockValue(blocks.zigma, { ...this.sizes, M: meets }, mixing) }] : [];
      this.toTokens = plot(this.lines, { width, height: 340, low: LEAST, high: MOST, curves, mark: this.state.M, spots, yName: "multiply-adds", yText: short });
      this.lines.setAttribute("aria-label", `Multiply-adds of ${BETWEEN[this.state.what]} against tokens, both logarithmic`);
    }
    drawBars() {
      const { blocks } = this.data, totals = Object.values(blocks).map((block) => blockValue(block, this.sizes)), most = Math.max(...totals);
      this.bars.replaceChildren(...Object.entries(blocks).map(([name, block], row) => {
        const sizes = { ...this.sizes, ...block.sizes };
        const parts = block.terms.map((term, place) => {
          const share = termValue(term, sizes) / totals[row];
          const part = element("span", { class: `part part-${place}${place === block.mixer ? " mixer" : ""}` });
          part.style.flexGrow = share;
          part.addEventListener("pointerenter", () => this.point([name, place]));
          part.addEventListener("pointerleave", () => this.point(null));
          return part;
        });
        const bar = element("div", { class: "bar", tabindex: "0", role: "group", "aria-label": `${block.label}: its terms, by left and right arrow` }, ...parts);
        bar.addEventListener("focus", () => this.point([name, block.mixer]));
        bar.addEventListener("blur", () => this.point(null));
        bar.addEventListener("keydown", (event) => {
          const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (!turn || !this.hovered) return;
          event.preventDefault();
          this.point([name, (this.hovered[1] + turn + parts.length) % parts.length]);
        });
        bar.style.width = `${Math.max(4, 100 * totals[row] / most)}%`;
        return element("div", { class: `cost-row of-${name}` }, element("b", {}, block.label), element("span", {}, short(totals[row])), bar);
      }));
      this.tell();
    }
    point(hovered) {
      this.hovered = hovered;
      this.tell();
      this.drawLines(Math.floor(this.lines.parentElement.clientWidth));
    }
    /* The line about the part that is pointed at, and what the papers count. */
    tell() {
      const { blocks } = this.data;
      this.term.textContent = this.hovered ? `${blocks[this.hovered[0]].label}: ${this.about(...this.hovered)}`
        : "Point at a part of a bar: what it is spent on, its formula, and how it grows. Dark: what mixes the tokens.";
      this.papers.textContent = "The papers count less of a block. " + Object.values(blocks).filter((block) => block.paper.length).map((block) => {
        const sizes = { ...this.sizes, ...block.sizes }, sum = block.paper.reduce((total, term) => total + termValue(term, sizes), 0);
        return `${block.label}: ${block.paper.map((term) => term.formula).join(" + ")} = ${short(sum)}`;
      }).join("; ") + ".";
      this.letters.textContent = Object.entries(this.data.sizes).map(([letter, meaning]) => `${letter} ${meaning}`).join(" · ");
    }
    about(name, place) {
      const block = this.data.blocks[name], term = block.terms[place], sizes = { ...this.sizes, ...block.sizes };
      const share = termValue(term, sizes) / blockValue(block, this.sizes), power = Math.max(...term.monomials.map(([, powers]) => powers.M || 0));
      return `${term.name}, ${term.formula} = ${short(termValue(term, sizes))}, ${(100 * share).toFixed(0)} % of the block; ${GROWTH[power]}`;
    }
    drawDots(width) {
      const { quantity, mode, of } = this.state, curves = [], names = {}, runs = this.data.measured.filter((run) => run.of === of);
      this.measuredTitle.textContent = MEASURED[of];
      runs.forEach((run, place) => {
        for (const [operator, points] of Object.entries(run.curves[mode] || {})) {
          const shown = points.filter((point) => point[quantity] > 0).map((point) => [point.tokens, point[quantity]]);
          if (!shown.length) continue;
          const name = this.data.colour_of[operator];
          names[name] = operator;
          curves.push({ name, label: `${operator}, ${run.machine}`, points: shown, dots: true, thin: place > 0 });
        }
      });
      this.legend.replaceChildren(...Object.entries(names).map(([name, operator]) => element("span", { class: `of-${name}` }, operator)));
      this.caption.replaceChildren(...(curves.length ? runs.map((run, place) => element("p", { class: place ? "dashed" : "" }, run.machine)) : [element("p", {}, "Not measured.")]));
      this.dots.setAttribute("aria-label", `${quantity === "seconds" ? "Time" : "Memory"} of one ${of === "operator" ? "operator" : "network"} against tokens, measured; both logarithmic`);
      if (!curves.length) { this.dots.replaceChildren(); return; }
      plot(this.dots, { width, height: 320, low: 8, high: 16, curves, mark: this.state.M >= 256 && this.state.M <= 65536 ? this.state.M : null, yName: quantity === "seconds" ? "seconds" : "memory over the inputs", yText: (value) => unit(value, quantity) });
    }
    say() {
      const { dit, zigma } = this.data.blocks, sizes = this.sizes, between = termValue(dit.terms[dit.mixer], sizes);
      const share = 100 * between / blockValue(dit, sizes), ratio = blockValue(dit, sizes) / blockValue(zigma, sizes);
      const meets = crossing(dit, zigma, sizes, true);
      this.says.textContent = `At ${whole(sizes.M)} tokens, ${share.toFixed(0)} % of a DiT block goes into every token looking at every other, and the block takes ${ratio.toFixed(1)} times a ZigMa block. `
        + (meets ? `Mixing by attention costs more than by the scan from ${whole(meets)} tokens on, and more than everything else in its block from ${whole(6 * sizes.D)}.` : "Mixing by attention costs more than by the scan at every size.");
    }
    async save(kind) {
      const copy = this.lines.cloneNode(true), from = [this.lines, ...this.lines.querySelectorAll("*")], { width, height } = this.lines.viewBox.baseVal;
      [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
        const style = getComputedStyle(from[i]);
        for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "font-weight"]) node.style.setProperty(name, style.getPropertyValue(name));
      });
      for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height })) copy.setAttribute(name, value);
      copy.prepend(svgNode("rect", { width, height, fill: getComputedStyle(this.root).getPropertyValue("--ground") }));
      const text = new XMLSerializer().serializeToString(copy);
      download(kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await pngOf(text, width, height), `cost-${this.state.what}.${kind}`);
    }
    saveTable() {
      const { blocks } = this.data, names = Object.keys(blocks), lines = [["tokens", ...names.flatMap((name) => [`${name} block`, `${name} mixing`])].join(",")];
      for (let power = LEAST; power <= MOST; power++) {
        const sizes = { ...this.sizes, M: 2 ** power };
        lines.push([sizes.M, ...names.flatMap((name) => [blockValue(blocks[name], sizes), blockValue(blocks[name], sizes, true)])].join(","));
      }
      download(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }), `cost-width-${this.state.D}.csv`);
    }
  }

  window.zigdemoCost = {
    blockValue, crossing, termValue,
    mount(root, data) {
      if (!data) return;
      if (root.zigdemoCost) root.zigdemoCost.update(data);
      else root.zigdemoCost = new Cost(root, data);
    },
  };
})();
