/* Draws pictures away from the page, so that it stays quick. Messages in: {id, kind, ...}, with kind "load" {index,
   model, backend}, "draw" {request}, "stop" or "free". Messages out: {id, kind, ...}, with kind "progress", "step",
   "done" or "failed". The page's side is device.js. */

import { bytesOf } from "./files.js";
import { normals } from "./noise.js";
import { SOLVERS, guide, times } from "./solvers.js";
import { Tokenizer } from "./tokens.js";

const MOST_THREADS = 4; // more do not help a network of this size
const MOST_FEATURES = 16; // prompts whose features are kept
let ort = null, loaded = null, stopping = false, aborting = null;

const say = (id, kind, more = {}, moved = []) => self.postMessage({ id, kind, ...more }, moved);
const now = () => performance.now() / 1000;
const dims = (tensor) => [...tensor.dims];

class Stopped extends Error {}
/* Let messages in, such as a stop: a network call of WASM holds the worker until it is done. */
const breathe = () => new Promise((done) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = () => { port1.close(); done(); }; port2.postMessage(0); });
async function checked() {
  await breathe();
  if (stopping) throw new Stopped();
}

const here = (path) => new URL(path, self.location.href).href;
const fetched = (path, progress) => bytesOf(here(path), progress, aborting.signal);
async function startRuntime(index, backend, progress) {
  const { module, binary } = index.runtime[backend];
  if (ort?.backend === backend) { progress(index.files[binary]); return; }
  if (ort) throw new Error("another runtime is loaded; open a new worker");
  const wasm = await fetched(binary, progress);
  const runtime = await import(here(module));
  runtime.env.wasm.wasmBinary = wasm;
  runtime.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
  ort = { ...runtime, backend, env: runtime.env };
}

async function load(id, { index, model, backend }) {
  await free();
  aborting = new AbortController();
  const started = now(), entry = index.models[model];
  let come = 0;
  const progress = (bytes) => say(id, "progress", { bytes: (come += bytes) });
  await startRuntime(index, backend, progress);
  const sessions = {}, providers = [backend === "webgpu" ? "webgpu" : "wasm"];
  for (const part of ["tower", "network", "decoder"]) {
    const graph = new Uint8Array(await fetched(entry.parts[part], progress));
    sessions[part] = await ort.InferenceSession.create(graph, { executionProviders: providers, graphOptimizationLevel: "all" });
  }
  const json = async (path) => JSON.parse(new TextDecoder().decode(await fetched(path, progress)));
  loaded = { entry, sessions, tokenizer: new Tokenizer(await json(entry.tokenizer)), features: new Map(),
    scans: entry.scans ? await json(entry.scans) : null };
  return { seconds: now() - started, threads: ort.env.wasm.numThreads, backend };
}

async function free() {
  for (const session of Object.values(loaded?.sessions || {})) await session.release();
  loaded = null;
}

/* Run a session and give its only output as a Float32Array; tensors are freed. */
async function run(session, feeds) {
  const outputs = await session.run(feeds), tensor = outputs[session.outputNames[0]];
  const data = tensor.location === "cpu" ? tensor.data : await tensor.getData();
  const result = { data: new Float32Array(data), dims: dims(tensor) };
  tensor.dispose();
  for (const feed of Object.values(feeds)) feed.dispose();
  return result;
}

async function featuresOf(prompt) {
  const { features, tokenizer, sessions } = loaded;
  if (!features.has(prompt)) {
    const { ids } = tokenizer.encode(prompt);
    features.set(prompt, await run(sessions.tower, { ids: new ort.Tensor("int32", ids, [1, ids.length]) }));
    if (features.size > MOST_FEATURES) features.delete(features.keys().next().value);
  }
  return features.get(prompt);
}

const joined = (parts) => {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => { all.set(part, at); return at + part.length; }, 0);
  return all;
};

/* The orders of a scan scheme as inputs of the network; none for a network without scans. */
function orderFeeds(scan) {
  if (!loaded.scans) return {};
  const rows = loaded.scans.orders[scan ?? loaded.entry.scan], flat = Int32Array.from(rows.flat()), tokens = rows[0].length;
  const inverse = new Int32Array(flat.length);
  flat.forEach((cell, place) => { inverse[Math.floor(place / tokens) * tokens + cell] = place % tokens; });
  const tensor = (values) => new ort.Tensor("int32", values.slice(), [rows.length, tokens]);
  return { perm: tensor(flat), inverse: tensor(inverse) };
}

async function draw(id, { request }) {
  const { entry, sessions } = loaded, { prompt, negative = "", seed, scan, solver, steps, guidance } = request;
  const shape = entry.latents.shape, size = shape.reduce((a, b) => a * b, 1), spent = { words: 0, network: 0, decoder: 0 };
  let mark = now(), calls = 0, first = null;
  const lap = (part) => { const t = now(); spent[part] += t - mark; mark = t; };
  const guided = guidance !== 1;
  const words = [await featuresOf(prompt), ...(guided ? [await featuresOf(negative)] : [])];
  lap("words");
  const context = joined(words.map((one) => one.data)), wide = words[0].dims.slice(1);
  async function velocity(x, t) {
    await checked();
    const batch = words.length;
    const out = await run(sessions.network, {
      x: new ort.Tensor("float32", guided ? joined([x, x]) : x.slice(), [batch, ...shape]),
      t: new ort.Tensor("float32", new Float32Array(batch).fill(t), [batch]),
      words: new ort.Tensor("float32", context.slice(), [batch, ...wide]), ...orderFeeds(scan),
    });
    calls += 1;
    const slope = guided ? guide(out.data, guidance) : out.data;
    first ||= { x, t, slope };
    return slope;
  }
  let x = normals(seed, size);
  const grid = times(steps);
  for (let i = 0; i < steps; i++) {
    first = null;
    x = await SOLVERS[solver].step(velocity, x, grid[i], grid[i + 1]);
    lap("network");
    const clean = first.x.map((value, k) => value + (1 - first.t) * first.slope[k]);
    say(id, "step", { index: i, total: steps, sketch: sketch(clean), secondsLeft: (spent.network / (i + 1)) * (steps - i - 1) });
  }
  await checked();
  const pixels = await run(sessions.decoder, { latents: new ort.Tensor("float32", x.slice(), [1, ...shape]) });
  lap("decoder");
  const picture = toBytes(pixels.data, pixels.dims[2], pixels.dims[3]);
  return { picture, latents: request.latents ? x : undefined, calls, seconds: spent };
}

/* A colour for each latent by a linear map: {width, height, rgba}. */
function sketch(latents) {
  const [channels, height, width] = loaded.entry.latents.shape, { matrix, offset } = loaded.entry.latents.colours, area = height * width;
  const planes = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < area; i++) {
      let sum = offset[c];
      for (let k = 0; k < channels; k++) sum += matrix[c][k] * latents[k * area + i];
      planes[c * area + i] = sum;
    }
  }
  return toBytes(planes, height, width);
}
/* Planes of numbers in [-1, 1] as bytes, rounded as the pipeline does. */
function toBytes(planes, height, width) {
  const area = height * width, rgba = new Uint8ClampedArray(4 * area).fill(255);
  for (let c = 0; c < 3; c++) for (let i = 0; i < area; i++) rgba[4 * i + c] = Math.floor(Math.max(0, Math.min(255, 127.5 * planes[c * area + i] + 128)));
  return { width, height, rgba };
}

const ACTS = { load, draw, free };
let waiting = Promise.resolve();
self.onmessage = ({ data }) => {
  if (data.kind === "stop") { stopping = true; aborting?.abort(); return; }
  waiting = waiting.then(async () => {
    stopping = false;
    try { say(data.id, "done", await ACTS[data.kind](data.id, data) || {}); } catch (fault) {
      say(data.id, "failed", { stopped: fault instanceof Stopped || fault?.name === "AbortError", message: String(fault?.message || fault) });
    }
  });
};
