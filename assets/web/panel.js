/* A panel that draws on this device: mount(root, options). What it says is English, which language.js translates. */

import { Drawer, bestBackend, needs, paint, readIndex, refusal } from "./device.js";
import { forget } from "./files.js";
import { SOLVERS } from "./solvers.js";

const { element } = window.zigdemoParts;
const MOST_SEED = 2 ** 32 - 1, MOST_SHOWN = 12, MOST_GUIDANCE = 10;
const BESIDE = { none: "nothing", scan: "another scan", guidance: "another guidance", prompt: "other words" };
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 1 : 0)} MB`;
const short = (seconds) => `${seconds.toFixed(1)} s`;
const options = (pairs) => pairs.map(([value, label, named]) => element("option", { value, ...(named ? { translate: "no" } : {}) }, label));
const style = new URL("web.css", import.meta.url).href; // a lesson or page around the panel has the colours, not its layout
let shared = null; // one worker for all panels of a page, so that a model is in memory once

class Panel {
  /* beside: what a second picture differs in at first, of BESIDE; fixed: whether that is all it may; values: of the
     controls; address: whether the address fills them and is kept up to date. */
  constructor(root, index, backend, { beside = "none", fixed = false, values = {}, address = false }) {
    Object.assign(this, { root, index, backend, fixed, address });
    shared ||= new Drawer(index);
    this.drawer = shared;
    this.build();
    this.root.addEventListener("input", () => this.sayNeeds());
    this.take({ beside, ...values, ...(address ? Object.fromEntries(new URLSearchParams(location.search)) : {}) });
  }
  get entry() { return this.index.models[this.model.value]; }

  build() {
    const control = (label, node, ...more) => {
      node.setAttribute("aria-label", label); // else the value that stands beside a slider would be part of its name
      return element("label", { class: "device-field" }, element("span", {}, label), node, ...more);
    };
    const range = (label, least, most, step) => {
      const input = element("input", { type: "range", min: least, max: most, step }), output = element("output", {});
      input.show = () => { output.textContent = input.value; };
      input.addEventListener("input", input.show);
      return [input, control(label, input, output)];
    };
    const button = (label, act, kind = "") => { const node = element("button", { type: "button", class: kind }, label); node.addEventListener("click", act); return node; };
    const models = Object.keys(this.index.models);
    this.model = element("select", { translate: "no" }, ...options(models.map((id) => [id, id])));
    this.model.addEventListener("change", () => this.modelChanged());
    this.prompt = element("textarea", { rows: "2", maxlength: "1000", spellcheck: "false" });
    this.prompt2 = element("textarea", { rows: "2", maxlength: "1000", spellcheck: "false" });
    this.examples = element("div", { class: "device-examples", translate: "no" });
    this.scan = element("select", {});
    this.scan2 = element("select", {});
    this.solver = element("select", { translate: "no" }, ...options(Object.entries(SOLVERS).map(([name, { label }]) => [name, label])));
    [this.steps, this.stepsField] = range("Steps", 1, this.index.most_steps, 1);
    [this.guidance, this.guidanceField] = range("Guidance", 1, MOST_GUIDANCE, 0.5);
    [this.guidance2, this.guidance2Field] = range("Guidance beside it", 1, MOST_GUIDANCE, 0.5);
    this.seed = element("input", { type: "number", min: 0, max: MOST_SEED, step: 1, inputmode: "numeric" });
    this.beside = element("select", {});
    this.beside.addEventListener("change", () => this.showBeside());
    this.drawButton = button("Draw", () => this.draw(), "device-draw");
    this.stopButton = button("Stop", () => { this.stopped = true; this.drawer.stop(); });
    this.stopButton.disabled = true;
    this.bar = element("progress", { max: 1, value: 0, "aria-label": "Progress" });
    this.bar.hidden = true;
    this.says = element("p", { class: "device-says", role: "status" });
    this.needs = element("p", { class: "device-needs" });
    this.remove = button("Remove what is kept", async () => { this.drawer.end(); await forget(); this.sayNeeds(); }, "device-remove");
    this.shown = element("div", { class: "device-pictures" });
    const scanField = control("Scan scheme", this.scan), second = control("Scan beside it", this.scan2), words = control("Words beside it", this.prompt2);
    Object.assign(this, { scanField, seconds: { scan: second, guidance: this.guidance2Field, prompt: words } });
    const model = control("Model", this.model);
    model.hidden = models.length < 2;
    this.besideField = control("Beside it, with the same seed", this.beside);
    this.besideField.hidden = this.fixed;
    const row = (...nodes) => element("div", { class: "device-row" }, ...nodes);
    const another = button("Another seed", () => { this.seed.value = Math.floor(Math.random() * 10000); });
    const form = element("form", { class: "device-form" },
      element("div", { class: "device-main" }, control("Prompt", this.prompt), this.examples, row(this.drawButton, this.stopButton), this.bar, this.says, this.needs),
      this.shown,
      element("div", { class: "device-settings" }, model, scanField, this.besideField, second, this.guidance2Field, words, row(control("Solver", this.solver), this.stepsField), this.guidanceField, row(control("Seed", this.seed), another)));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.draw(); });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.draw();
      if (event.key === "Escape" && !this.stopButton.disabled) this.stopButton.click();
    });
    this.root.replaceChildren(form);
    this.seed.value = 0;
  }
  /* Fill the controls: values by the names that the address has, of which any may be missing. */
  take(values) {
    if (Object.hasOwn(this.index.models, values.model ?? "")) this.model.value = values.model;
    for (const name of ["prompt", "prompt2", "seed"]) if (values[name] !== undefined) this[name].value = values[name];
    this.modelChanged(values);
  }

  /* The controls of another model: its scans and defaults, and what is given. */
  modelChanged(given = {}) {
    const { schemes, learned, defaults, examples, guided } = this.entry;
    const scans = schemes.map((name) => [name, learned.includes(name) ? `${name}, which it learned` : name, !learned.includes(name)]);
    for (const list of [this.scan, this.scan2]) list.replaceChildren(...options(scans));
    this.scan2.value = schemes.find((name) => name !== this.scan.value) ?? "";
    for (const name of ["scan", "scan2"]) if (schemes.includes(given[name])) this[name].value = given[name];
    this.solver.value = Object.hasOwn(SOLVERS, given.solver ?? "") ? given.solver : defaults.solver;
    this.steps.value = given.steps ?? defaults.steps;
    this.guidance.value = given.guidance ?? defaults.guidance;
    this.guidance2.value = given.guidance2 ?? 1;
    [this.steps, this.guidance, this.guidance2].forEach((input) => input.show());
    this.prompt.value ||= examples[0] ?? "";
    this.prompt2.value ||= examples[1] ?? "";
    this.examples.replaceChildren(...examples.slice(1, 5).map((text) => { // the first one is the prompt
      const node = element("button", { type: "button", title: text }, text);
      node.addEventListener("click", () => { this.prompt.value = text; this.draw(); });
      return node;
    }));
    this.scanField.hidden = !schemes.length;
    this.guidanceField.hidden = !guided;
    const kinds = Object.keys(BESIDE).filter((kind) => (kind !== "scan" || schemes.length > 1) && (kind !== "guidance" || guided));
    const before = given.beside ?? this.beside.value;
    this.beside.replaceChildren(...options(kinds.map((kind) => [kind, BESIDE[kind]])));
    this.beside.value = kinds.includes(before) ? before : "none";
    this.showBeside();
    this.sayNeeds();
  }
  showBeside() {
    for (const [kind, field] of Object.entries(this.seconds)) field.hidden = kind !== this.beside.value;
  }
  async sayNeeds() {
    const { bytes, missing } = await needs(this.index, this.model.value, this.backend);
    const by = this.backend === "webgpu" ? "The graphics card computes." : window.crossOriginIsolated ? "The processor computes, with several threads." : "The processor computes, with one thread.";
    this.needs.replaceChildren(element("span", {}, missing ? `The first drawing fetches ${megabytes(missing)}, which this browser then keeps.` : `All ${megabytes(bytes)} are kept by this browser.`), " ", element("span", {}, by));
    if (missing < bytes) this.needs.append(" ", this.remove);
  }

  /* The requests of the controls, one or two; or a sentence about what is wrong. */
  requests() {
    const prompt = this.prompt.value.trim(), seed = Number(this.seed.value);
    if (!prompt) return "Write a prompt first.";
    if (this.seed.value === "" || !Number.isInteger(seed) || seed < 0 || seed > MOST_SEED) return `The seed must be a whole number from 0 to ${MOST_SEED}.`;
    const guided = this.entry.guided, first = { prompt, seed, scan: this.scan.value || null, solver: this.solver.value, steps: Number(this.steps.value), guidance: guided ? Number(this.guidance.value) : 1 };
    const second = { scan: { scan: this.scan2.value }, guidance: { guidance: Number(this.guidance2.value) }, prompt: { prompt: this.prompt2.value.trim() } }[this.beside.value];
    if (second && second.prompt === "") return "Write the words beside it first.";
    return second ? [first, { ...first, ...second }] : [first];
  }
  keepAddress() {
    if (!this.address) return;
    const url = new URL(location.href), besides = { scan: "scan2", guidance: "guidance2", prompt: "prompt2" };
    for (const name of ["model", "prompt", "seed", "scan", "solver", "steps", "guidance", "beside"]) url.searchParams.set(name, this[name].value);
    for (const [kind, name] of Object.entries(besides)) { if (this.beside.value === kind) url.searchParams.set(name, this[name].value); else url.searchParams.delete(name); }
    history.replaceState(null, "", url);
  }

  async draw() {
    if (this.drawButton.disabled) return;
    const wanted = this.requests();
    if (typeof wanted === "string") { this.says.textContent = wanted; return; }
    this.keepAddress();
    this.stopped = false;
    this.busy(true);
    try {
      const total = (await needs(this.index, this.model.value, this.backend)).bytes;
      if (!this.stopped) await this.open(total);
      const figures = wanted.map((request) => this.figure(request));
      this.shown.prepend(element("div", { class: "device-set" }, ...figures.map(({ node }) => node)));
      while (this.shown.childElementCount > MOST_SHOWN) this.shown.lastElementChild.remove();
      for (const [place, request] of wanted.entries()) await this.one(request, figures[place], place, wanted.length);
      this.says.textContent = "Done.";
    } catch (fault) {
      this.says.textContent = fault.stopped || this.stopped ? "Stopped." : fault.message;
      this.shown.querySelectorAll("figure:not(.done)").forEach((node) => node.remove());
    }
    this.busy(false);
    this.sayNeeds();
  }
  async open(total) {
    this.says.textContent = "Opening the model ...";
    const result = await this.drawer.load(this.model.value, this.backend, ({ bytes }) => {
      this.bar.value = bytes / total;
      this.says.textContent = bytes < total ? `${megabytes(bytes)} of ${megabytes(total)} fetched` : "Opening the model ...";
    });
    if (result.backend !== this.backend) this.backend = result.backend;
    this.opened = result;
  }
  async one(request, { node, canvas, caption }, place, count) {
    if (this.stopped) throw Object.assign(new Error(), { stopped: true });
    const result = await this.drawer.draw(request, ({ index, total, sketch, secondsLeft }) => {
      this.bar.value = (place + (index + 1) / (total + 1)) / count;
      this.says.textContent = `Step ${index + 1} of ${total}, ${short(secondsLeft)} left`;
      paint(canvas, sketch);
    });
    paint(canvas, result.picture);
    node.classList.add("done");
    const { words, network, decoder } = result.seconds;
    caption.append(element("span", {}, `${short(words + network + decoder)}: words ${short(words)}, network ${short(network)}, decoder ${short(decoder)}`));
    node.zigdemoResult = { ...result, request, opened: this.opened };
  }
  figure(request) {
    const [, height, width] = this.entry.latents.shape, factor = this.entry.latents.factor;
    const canvas = element("canvas", { width: width * factor, height: height * factor, role: "img", "aria-label": request.prompt, translate: "no" });
    const settings = [request.scan, SOLVERS[request.solver].label, `${request.steps}`, `× ${request.guidance}`].filter(Boolean).join(" · ");
    const caption = element("figcaption", {}, element("b", { translate: "no" }, request.prompt), element("span", { translate: "no" }, `${settings} · #${request.seed}`));
    return { canvas, caption, node: element("figure", {}, canvas, caption) };
  }
  busy(on) {
    this.drawButton.disabled = on;
    this.stopButton.disabled = !on;
    this.remove.disabled = on;
    this.bar.hidden = !on;
    this.bar.value = 0;
  }
}

/* Fill an element with a panel, or with the one sentence that says why this device cannot draw. Options: see Panel. */
export async function mount(root, options = {}) {
  if (![...document.styleSheets].some(({ href }) => href === style)) document.head.append(element("link", { rel: "stylesheet", href: style }));
  let sentence = refusal();
  try {
    if (!sentence) {
      const index = await readIndex(), wanted = new URLSearchParams(location.search).get("device");
      root.zigdemoPanel = new Panel(root, index, ["wasm", "webgpu"].includes(wanted) ? wanted : await bestBackend(), options);
      return;
    }
  } catch (fault) { sentence = fault.message; }
  root.replaceChildren(element("p", { class: "device-says", role: "alert" }, sentence));
}
