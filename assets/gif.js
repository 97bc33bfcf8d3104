/* Animated GIFs made in the browser: zigdemoGif(frames, delays) with frames an array of ImageData of one size and
   delays in hundredths of a second returns the bytes of the file, which plays for ever. */
(() => {
  "use strict";
  const COLOURS = 256, MOST_CODES = 4096;

  /* Colours by their upper five bits. */
  const bucket = (data, i) => ((data[i] >> 3) << 10) | ((data[i + 1] >> 3) << 5) | (data[i + 2] >> 3);

  /* At most 256 colours by median cut: [[r, g, b], ...], each the mean of the pixels it stands for. */
  function palette(frames) {
    const sums = new Map();
    for (const { data } of frames) for (let i = 0; i < data.length; i += 4) {
      const key = bucket(data, i), sum = sums.get(key);
      if (!sum) sums.set(key, [data[i], data[i + 1], data[i + 2], 1]);
      else { for (let j = 0; j < 3; j++) sum[j] += data[i + j]; sum[3] += 1; }
    }
    const boxed = (colours) => {
      const spans = [0, 1, 2].map((j) => Math.max(...colours.map((colour) => colour[j])) - Math.min(...colours.map((colour) => colour[j])));
      return { colours, axis: spans.indexOf(Math.max(...spans)), span: Math.max(...spans) };
    };
    const boxes = [boxed([...sums.values()].map(([r, g, b, n]) => [r / n, g / n, b / n, n]))];
    while (boxes.length < COLOURS) {
      const widest = boxes.reduce((best, box, i) => (box.span > boxes[best].span ? i : best), 0), { colours, axis, span } = boxes[widest];
      if (span === 0) break;
      colours.sort((a, b) => a[axis] - b[axis]);
      const middle = (colours[0][axis] + colours.at(-1)[axis]) / 2, cut = Math.max(1, colours.findIndex((colour) => colour[axis] > middle));
      boxes.splice(widest, 1, boxed(colours.slice(0, cut)), boxed(colours.slice(cut)));
    }
    return boxes.map(({ colours }) => {
      const n = colours.reduce((sum, colour) => sum + colour[3], 0);
      return [0, 1, 2].map((j) => Math.round(colours.reduce((sum, colour) => sum + colour[j] * colour[3], 0) / n));
    });
  }

  /* The number of the nearest colour for each pixel. */
  function numbered({ data }, colours, known) {
    const pixels = new Uint8Array(data.length / 4);
    for (let i = 0, p = 0; i < data.length; i += 4, p++) {
      const key = bucket(data, i);
      if (known[key] < 0) {
        let least = Infinity;
        colours.forEach(([r, g, b], number) => {
          const away = (r - data[i]) ** 2 + (g - data[i + 1]) ** 2 + (b - data[i + 2]) ** 2;
          if (away < least) [least, known[key]] = [away, number];
        });
      }
      pixels[p] = known[key];
    }
    return pixels;
  }

  /* The smallest rectangle that holds all pixels that differ, [x, y, width, height]; one pixel if none does. */
  function changed(before, after, width) {
    let [left, top, right, bottom] = [width, Infinity, -1, -1];
    for (let i = 0; i < after.length; i++) {
      if (before[i] === after[i]) continue;
      const x = i % width, y = (i - x) / width;
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), y];
    }
    return right < 0 ? [0, 0, 1, 1] : [left, top, right - left + 1, bottom - top + 1];
  }

  /* LZW codes of 8-bit pixels, packed from the lowest bit. */
  function compressed(pixels) {
    const clear = 256, end = 257, bytes = [];
    let size = 9, next = 258, codes = new Map(), word = 0, bits = 0;
    const put = (code) => {
      word |= code << bits;
      for (bits += size; bits >= 8; bits -= 8, word >>>= 8) bytes.push(word & 255);
    };
    put(clear);
    let prefix = pixels[0];
    for (let i = 1; i < pixels.length; i++) {
      const key = (prefix << 8) | pixels[i], code = codes.get(key);
      if (code !== undefined) { prefix = code; continue; }
      put(prefix);
      if (next < MOST_CODES) {
        if (next === 1 << size) size += 1; // the reader learns this code one step later, and widens with it
        codes.set(key, next++);
      } else {
        put(clear);
        [size, next, codes] = [9, 258, new Map()];
      }
      prefix = pixels[i];
    }
    put(prefix);
    if (next === 1 << size && size < 12) size += 1;
    put(end);
    if (bits > 0) bytes.push(word & 255);
    return bytes;
  }

  function zigdemoGif(frames, delays) {
    const { width, height } = frames[0], bytes = [], middle = frames[frames.length >> 1];
    const colours = palette([frames[0], middle, frames.at(-1)]), known = new Int16Array(2 ** 15).fill(-1);
    const short = (...values) => values.forEach((value) => bytes.push(value & 255, value >> 8));
    bytes.push(...[..."GIF89a"].map((letter) => letter.charCodeAt(0)));
    short(width, height);
    bytes.push(0xf7, 0, 0, ...colours.flat(), ...Array(3 * (COLOURS - colours.length)).fill(0));
    bytes.push(0x21, 0xff, 11, ...[..."NETSCAPE2.0"].map((letter) => letter.charCodeAt(0)), 3, 1, 0, 0, 0);
    let before = null;
    frames.forEach((frame, i) => {
      const pixels = numbered(frame, colours, known), [x, y, wide, high] = before ? changed(before, pixels, width) : [0, 0, width, height];
      const part = new Uint8Array(wide * high);
      for (let row = 0; row < high; row++) part.set(pixels.subarray((y + row) * width + x, (y + row) * width + x + wide), row * wide);
      bytes.push(0x21, 0xf9, 4, 4);
      short(delays[i]);
      bytes.push(0, 0, 0x2c);
      short(x, y, wide, high);
      bytes.push(0, 8);
      const data = compressed(part);
      for (let at = 0; at < data.length; at += 255) bytes.push(Math.min(255, data.length - at), ...data.slice(at, at + 255));
      bytes.push(0);
      before = pixels;
    });
    bytes.push(0x3b);
    return new Uint8Array(bytes);
  }

  window.zigdemoGif = zigdemoGif;
})();
