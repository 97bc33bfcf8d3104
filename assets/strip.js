/* The film strip: thumbnails of what was drawn in this browser, newest first, kept in its storage over a reload.
   zigdemoStrip.mount(root, items) adds items = [{thumbnail, caption, words, query}, ...]; a click sends the query to the
   server, which restores the settings; two ticked ones are compared; all can be saved as one page with their links. */
(() => {
  "use strict";
  const { element, download } = window.zigdemoParts;
  const KEY = "zigdemo-strip", MOST = 40, PAIR = 2;

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
  function tell(root, name, detail) {
    root.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
    window.scrollTo({ top: 0, behavior: "smooth" });
  }

  /* One file that shows everything in the strip; every picture is a link that draws it again. */
  function savePage(items) {
    const page = document.implementation.createHTMLDocument("zigdemo: drawn here");
    const { origin, pathname } = window.location;
    for (const item of items) {
      const link = element("a", { href: `${origin}${pathname}?${item.query}` }, element("img", { src: item.thumbnail, alt: item.words, width: "72" }));
      page.body.append(element("p", {}, link, ` ${item.words} · ${item.caption}`));
    }
    download(new Blob(["<!doctype html>", page.documentElement.outerHTML], { type: "text/html" }), "zigdemo-strip.html");
  }

  function show(root, items) {
    const ticked = [];
    const compare = element("button", { type: "button", class: "strip-tool" }, "Compare the two");
    compare.hidden = true;
    compare.addEventListener("click", () => tell(root, "zigdemo-pair", ticked.map((box) => box.value)));

    const cells = items.map((item) => {
      const button = element("button", { type: "button", title: `${item.words}\n${item.caption}`, translate: "no" },
        element("img", { src: item.thumbnail, alt: item.words }), element("span", {}, item.caption));
      button.addEventListener("click", () => tell(root, "zigdemo-restore", item.query));
      const box = element("input", { type: "checkbox", value: item.query, "aria-label": `compare: ${item.words}, ${item.caption}`, translate: "no" });
      box.addEventListener("change", () => {
        if (box.checked) ticked.push(box); else ticked.splice(ticked.indexOf(box), 1);
        while (ticked.length > PAIR) ticked.shift().checked = false;
        compare.hidden = ticked.length < PAIR;
      });
      return element("li", {}, button, element("label", {}, box, "compare"));
    });
    const all = element("button", { type: "button", class: "strip-tool" }, "Save all");
    all.addEventListener("click", () => savePage(items));
    const clear = element("button", { type: "button", class: "strip-tool" }, "Clear");
    clear.addEventListener("click", () => { save([]); show(root, []); });
    root.replaceChildren(...(items.length ? [element("div", { class: "strip-head" }, "Drawn in this browser; a click restores the settings.", compare, all, clear), element("ol", {}, ...cells)] : []));
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
