/* The film strip: thumbnails of what was drawn in this browser, newest first, kept in its storage over a reload.
   zigdemoStrip.mount(root, items) adds items = [{thumbnail, caption, words, query}, ...]; a click sends
   the query to the server, which restores the settings. */
(() => {
  "use strict";
  const { element } = window.zigdemoParts;
  const KEY = "zigdemo-strip", MOST = 40;

  const known = (item) => item && ["thumbnail", "caption", "words", "query"].every((name) => typeof item[name] === "string") && item.thumbnail.startsWith("data:image/");

  function load() {
    try {
      const items = JSON.parse(window.localStorage.getItem(KEY) || "[]");
      return Array.isArray(items) ? items.filter(known).slice(0, MOST) : [];
    } catch { return []; }
  }
  function save(items) {
    for (let count = Math.min(items.length, MOST); count >= 0; count -= 8) {
      try { window.localStorage.setItem(KEY, JSON.stringify(items.slice(0, count))); return; } catch { /* full: keep fewer */ }
    }
  }
  function restore(root, query) {
    root.dispatchEvent(new CustomEvent("zigdemo-restore", { bubbles: true, detail: query }));
    window.scrollTo({ top: 0, behavior: "smooth" });
  }
  function show(root, items) {
    const cells = items.map((item) => {
      const button = element("button", { type: "button", title: `${item.words}\n${item.caption}` },
        element("img", { src: item.thumbnail, alt: item.words }), element("span", {}, item.caption));
      button.addEventListener("click", () => restore(root, item.query));
      return element("li", {}, button);
    });
    const clear = element("button", { type: "button", class: "strip-clear" }, "Clear");
    clear.addEventListener("click", () => { save([]); show(root, []); });
    root.replaceChildren(...(items.length ? [element("div", { class: "strip-head" }, "Drawn in this browser; a click restores the settings.", clear), element("ol", {}, ...cells)] : []));
  }
  window.zigdemoStrip = {
    mount(root, fresh) {
      const added = (Array.isArray(fresh) ? fresh : []).filter(known);
      const queries = new Set(added.map((item) => item.query));
      const items = [...added, ...load().filter((item) => !queries.has(item.query))].slice(0, MOST);
      if (added.length) save(items);
      show(root, items);
    },
  };
})();
