/* CLIP's tokens of a prompt, as zigdemo.conditioning.Tokenizer makes them. What ftfy mends of a text is done in part:
   curly quotes, ligatures, wide letters and control characters, not letters that were decoded wrongly. */

const WORD = /<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/giu;
const END = "</w>", BYTES = 512, SPECIALS = ["<start_of_text>", "<end_of_text>"];
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/* A printable letter for each byte. */
const LETTERS = (() => {
  const printable = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let spare = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : spare++));
})();
const ROWS = (() => { // of the 256 letters in the order of CLIP's vocabulary: printable bytes first
  const order = [...LETTERS.keys()].sort((a, b) => LETTERS[a].charCodeAt(0) >= 256 === LETTERS[b].charCodeAt(0) >= 256 ? a - b : LETTERS[a].charCodeAt(0) - LETTERS[b].charCodeAt(0));
  return new Map(order.map((byte, row) => [LETTERS[byte], row]));
})();

const unescape = (text) => text.replace(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, name) => {
  if (name[0] !== "#") return ENTITIES[name] ?? whole;
  const code = name[1].toLowerCase() === "x" ? parseInt(name.slice(2), 16) : Number(name.slice(1));
  return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
});
const clean = (text) => unescape(unescape(text
  .replace(/[\u2018-\u201b\u02bc]/g, "'").replace(/[\u201c-\u201f]/g, '"')
  .replace(/[\ufb00-\ufb06\uff01-\uff5e\u0132\u0133\u0149\u01c7-\u01cc\u01f1-\u01f3\u3000]/g, (letter) => letter.normalize("NFKC"))
  .replace(/\u001b\[[0-?]*[ -/]*[@-~]/g, "").replace(/[\u0000-\u0008\u000b\u000e-\u001f\u007f\ufeff\u206a-\u206f\ufff9-\ufffb]/g, "")
  .normalize("NFC"))).split(/[\s\u001c-\u001f\u0085]+/u).filter(Boolean).join(" ").toLowerCase();

export class Tokenizer {
  /* context: positions of the tower; merges: pairs of pieces in the order of their rank, "left right" each; learned:
     words of the captions it learned from, and little ones that say nothing to draw; empty if it may know any word. */
  constructor({ context, merges, learned = [], little = [] }) {
    Object.assign(this, { context, learned: new Set(learned), little: new Set(little) });
    this.ranks = new Map(merges.map((pair, rank) => [pair, rank]));
    this.start = BYTES + merges.length;
    this.cache = new Map();
  }
  /* The pieces of a word of letters, by merging the pair of the lowest rank until there is none. */
  pieces(word) {
    const kept = this.cache.get(word);
    if (kept) return kept;
    let parts = [...word];
    parts[parts.length - 1] += END;
    while (parts.length > 1) {
      let best = Infinity, pair = "";
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`);
        if (rank < best) [best, pair] = [rank, `${parts[i]} ${parts[i + 1]}`];
      }
      if (best === Infinity) break;
      const merged = [];
      for (let i = 0; i < parts.length; i++) {
        if (i + 1 < parts.length && `${parts[i]} ${parts[i + 1]}` === pair) merged.push(parts[i] + parts[++i]);
        else merged.push(parts[i]);
      }
      parts = merged;
    }
    this.cache.set(word, parts);
    return parts;
  }
  row(piece) {
    const bare = piece.endsWith(END) ? piece.slice(0, -END.length) : null;
    if (ROWS.has(piece)) return ROWS.get(piece);
    if (bare !== null && ROWS.has(bare)) return 256 + ROWS.get(bare);
    return this.merged.get(piece);
  }
  get merged() {
    this._merged ||= new Map([...this.ranks].map(([pair, rank]) => [pair.replace(" ", ""), BYTES + rank]));
    return this._merged;
  }
  /* {ids, words, cut}: ids is an Int32Array of `context` rows, padded with end tokens; words that do not fit are cut. */
  encode(text) {
    const ids = [this.start], words = [], cut = [], encoder = new TextEncoder();
    for (const [word] of clean(text).matchAll(WORD)) {
      const special = SPECIALS.indexOf(word);
      const rows = special >= 0 ? [this.start + special]
        : this.pieces([...encoder.encode(word)].map((byte) => LETTERS[byte]).join("")).map((piece) => this.row(piece));
      if (cut.length || ids.length + rows.length > this.context - 1) { cut.push(word); continue; }
      ids.push(...rows);
      words.push(word);
    }
    const padded = new Int32Array(this.context).fill(this.start + 1);
    padded.set(ids);
    return { ids: padded, words, cut };
  }
  /* The words of a text that the tower never learned. */
  unknown(text) {
    if (!this.learned.size) return [];
    const words = this.encode(text).words.filter((word) => /^\p{L}{3,}$/u.test(word));
    return [...new Set(words)].filter((word) => !this.learned.has(word) && !this.little.has(word));
  }
}
