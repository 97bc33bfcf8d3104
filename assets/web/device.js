/* Drawing on this device, for a page: what it can do, what it would fetch, and a drawer that runs in a worker. */

import { kept } from "./files.js";

/* The one thing that a device lacks to draw, as a sentence, or null. */
export function refusal() {
  if (typeof Worker === "undefined" || typeof WebAssembly === "undefined" || typeof BigInt === "undefined") return "This browser cannot draw: it has no WebAssembly; try a current Chrome, Edge, Firefox or Safari.";
  if (!WebAssembly.validate(SIMD)) return "This browser cannot draw: its WebAssembly has no SIMD; update it, or try another one.";
  if (location.protocol === "file:") return "A browser lets no page from a file draw: serve the folder, with python -m zigdemo.web serve FOLDER.";
  return null;
}
/* The smallest module with a SIMD instruction: i32.const 0, i8x16.splat, i8x16.popcnt in a function that returns v128. */
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

const address = (path) => new URL(path, import.meta.url).href; // of a file of the export, which this one is part of

/* The contents of the export. */
export async function readIndex() {
  const response = await fetch(address("index.json"));
  if (!response.ok) throw new Error("There is no index.json here; export the folder again.");
  return response.json();
}

/* "webgpu" where there is an adapter, else "wasm". */
export async function bestBackend() {
  try { return (await navigator.gpu?.requestAdapter()) ? "webgpu" : "wasm"; } catch { return "wasm"; }
}

/* What a model needs: {bytes, missing}, all of it and what is not kept here yet. */
export async function needs(index, model, backend) {
  const entry = index.models[model], paths = [index.runtime[backend].binary, ...Object.values(entry.parts), entry.tokenizer, ...(entry.scans ? [entry.scans] : [])];
  const here = await kept(paths.map((path) => address(path)));
  const sum = (wanted) => wanted.reduce((bytes, path) => bytes + index.files[path], 0);
  return { bytes: sum(paths), missing: sum(paths.filter((path) => !here.has(address(path)))) };
}

const IDLE_MS = 5 * 60 * 1000; // after which the worker and its memory are given back

/* One worker with at most one model in memory, which it gives back when it has rested for IDLE_MS. load and draw give promises; a later call waits for the earlier one. */
export class Drawer {
  constructor(index) {
    Object.assign(this, { index, calls: new Map(), next: 0, loaded: null, worker: null, idle: 0 });
  }
  start() {
    if (this.worker) return;
    this.worker = new Worker(address("worker.js"), { type: "module" });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.end(event.message || "The worker that draws could not start; reload the page.", false);
    };
  }
  hear({ id, kind, ...more }) {
    const call = this.calls.get(id);
    if (!call) return;
    if (kind === "progress" || kind === "step") { call.watch?.(more); return; }
    this.calls.delete(id);
    window.clearTimeout(this.idle);
    this.idle = window.setTimeout(() => { if (!this.calls.size) this.end(); }, IDLE_MS);
    if (kind === "done") call.done(more);
    else call.failed(Object.assign(new Error(more.message || "stopped"), { stopped: more.stopped }));
  }
  ask(kind, more, watch) {
    this.start();
    const id = this.next++;
    return new Promise((done, failed) => {
      this.calls.set(id, { done, failed, watch });
      this.worker.postMessage({ id, kind, ...more });
    });
  }
  /* Fetch and open a model, unless it is open; watch({bytes}): what has come so far. Returns {seconds, threads, backend},
     seconds 0 if it was open. Where a graphics card refuses, it is opened on the processor. */
  async load(model, backend, watch) {
    const key = `${model} ${backend}`;
    if (this.loaded?.key === key) return { ...this.loaded.result, seconds: 0 };
    if (this.loaded && !this.loaded.key.endsWith(` ${backend}`)) this.end("another runtime is loaded");
    this.loaded = null;
    try {
      const result = await this.ask("load", { index: this.index, model, backend }, watch);
      this.loaded = { key, result };
      return result;
    } catch (fault) {
      if (backend !== "webgpu" || fault.stopped || /download|export the folder/.test(fault.message)) throw fault;
      this.end("the graphics card refused");
      return { ...(await this.load(model, "wasm", watch)), refused: fault.message };
    }
  }
  /* request: {prompt, negative, seed, scan, solver, steps, guidance}; watch({index, total, sketch, secondsLeft}) after
     each step. Returns {picture: {width, height, rgba}, calls, seconds: {words, network, decoder}}. */
  draw(request, watch) { return this.ask("draw", { request }, watch); }
  stop() { this.worker?.postMessage({ kind: "stop" }); }
  /* End the worker: all its memory is free at once. */
  end(reason = "the model was put away", stopped = true) {
    this.worker?.terminate();
    for (const call of this.calls.values()) call.failed(Object.assign(new Error(reason), { stopped }));
    Object.assign(this, { worker: null, loaded: null, calls: new Map() });
  }
}

/* A picture or sketch on a canvas of its size. */
export function paint(canvas, { width, height, rgba }) {
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
}
