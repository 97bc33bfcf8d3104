/* Shared parts of the players; loaded before them. */
(() => {
  "use strict";
  const SHAPES = {
    first: "M5 5h2v14H5zM19 5v14L8.5 12z", back: "M16 5v14L6 12z", play: "M7 4v16l13-8z",
    pause: "M6 5h4v14H6zM14 5h4v14h-4z", forward: "M8 5v14l10-7z", last: "M17 5h2v14h-2zM5 5v14l10.5-7z",
  };

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  /* A shape of SHAPES as an inline SVG in the text colour. */
  function icon(name) {
    const holder = element("span", { class: "player-icon", "aria-hidden": "true" });
    holder.innerHTML = `<svg viewBox="0 0 24 24"><path d="${SHAPES[name]}"/></svg>`;
    return holder;
  }

  window.zigdemoParts = {
    CALM_MS: 250, // between two frames if the user prefers reduced motion
    clamp: (value, low, high) => Math.max(low, Math.min(high, value)),
    element, icon,

    /* Call act() once the page's elements are there; Gradio may run scripts of the head before or after that. */
    whenReady(act) {
      if (document.readyState === "loading") window.addEventListener("DOMContentLoaded", act);
      else act();
    },

    /* Offer a Blob as a download. */
    download(blob, name) {
      const url = URL.createObjectURL(blob);
      element("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    },

    /* SVG text, width x height, as a PNG with `scale` pixels per unit: a promise of its Blob. */
    async pngOf(text, width, height, scale = 2) {
      const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" })), image = element("img", { src: url });
      await image.decode();
      const canvas = element("canvas", { width: width * scale, height: height * scale });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(url);
      return new Promise((done) => canvas.toBlob(done, "image/png"));
    },

    /* Call layout() when the root's size changes and repaint() when the colours do; returns a function that stops this. */
    watch(root, layout, repaint) {
      const size = new ResizeObserver(layout), classes = new MutationObserver(repaint);
      const dark = window.matchMedia("(prefers-color-scheme: dark)");
      size.observe(root);
      for (const node of [document.documentElement, document.body]) classes.observe(node, { attributeFilter: ["class"] });
      dark.addEventListener("change", repaint);
      return () => { size.disconnect(); classes.disconnect(); dark.removeEventListener("change", repaint); };
    },
  };
})();
