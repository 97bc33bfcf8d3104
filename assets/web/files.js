/* Files of the export: fetched once, then kept by the browser (Cache API), as their names change with their content. */

const CACHE = "zigdemo-web";

/* The browser's store, or null where it has none: a page without https, or storage refused. */
const store = async () => {
  try { return await globalThis.caches.open(CACHE); } catch { return null; }
};

/* Which of these addresses are here already. */
export async function kept(urls) {
  const cache = await store(), found = new Set();
  for (const url of cache ? urls : []) if (await cache.match(url)) found.add(url);
  return found;
}

/* The bytes of a file. progress(bytes) is called with what came since the last call; signal stops it. Throws an Error of
   one sentence if the file is not there. */
export async function bytesOf(url, progress, signal) {
  const cache = await store(), here = await cache?.match(url);
  if (here) {
    const buffer = await here.arrayBuffer();
    progress(buffer.byteLength);
    return buffer;
  }
  let response = null;
  const parts = [];
  try {
    response = await fetch(url, { signal });
    const reader = response.ok ? response.body.getReader() : null;
    while (reader) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      progress(value.length);
    }
  } catch (fault) {
    if (signal?.aborted) throw fault;
    throw new Error("The download broke off; check the connection and press Draw again.");
  }
  if (!response.ok) throw new Error(`${new URL(url).pathname} is not there (${response.status}); export the folder again.`);
  const blob = new Blob(parts, { type: response.headers.get("content-type") || "" });
  try { await cache?.put(url, new Response(blob)); } catch { /* no room: it is fetched again next time */ }
  return blob.arrayBuffer();
}

/* Remove all that is kept. */
export const forget = async () => { try { await globalThis.caches.delete(CACHE); } catch { /* storage refused: nothing is kept */ } };
