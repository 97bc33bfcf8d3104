/* The page in other languages. A sentence is looked up whole by its English text, wherever it stands and whoever put it
   there, and put back when another language is chosen. {#} in a table stands for a number or several, {} for a name or a
   phrase; in a translation both are {}, or {2} before {1} where the order differs. **bold**, *emphasis* and `code` are
   one sentence with the text around them.
   window.zigdemoTables: by code, {English: translation}; window.zigdemoNames: what is the same in every language. What
   SKIPPED names is left alone: prompts, names of models, the lists of choices, which show one again as typed text.
   "zigdemo-language" on the window says that the language has changed, to what draws texts on a canvas. */
(() => {
  "use strict";
  const NAMES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", zh: "中文" };
  const ATTRIBUTES = ["title", "aria-label", "aria-valuetext", "placeholder", "alt"];
  const MARKS = { STRONG: "**", B: "**", EM: "*", I: "*", CODE: "`" };
  const WHOLE = "p, li, h1, h2, h3, h4, summary, td, th, figcaption, span.md, dd, dt";
  const SKIPPED = "script, style, textarea, [translate=no], .prompts, .lit p, #footer, [role=listbox], .meta-text, .meta-text-center, .progress-text, [contenteditable=true]";
  const KEPT_KEY = "zigdemo-language", MOST_KEPT = 5000;
  const NUMBER = "([−+-]?[\\d.,]+(?: [\\d.,]+)*)";
  const shown = new WeakMap(); // node -> {what: {original, text, code}}, what: "text", "html" or the name of an attribute
  const missing = new Set(); // what the table lacks, for the tests
  let title = "", code = "en", exact = {}, patterns = [], cache = new Map(), touched = false; // touched: whether it was ever another language than English

  const tables = () => window.zigdemoTables || {};
  const has = (one) => one === "en" || (Object.hasOwn(NAMES, one) && Object.hasOwn(tables(), one));
  const plain = (text) => text.replace(/\s+/g, " ").trim();
  /* Numbers with their units, names of models and schemes, and other words that are the same everywhere. */
  const isName = (text) => !/\p{L}{2}/u.test(text) || window.zigdemoNames?.includes(text) || /^[\d.,]+ ?(ms|[kKM]B)$/.test(text)
    || (!text.includes(" ") && /[\d_/.:\-]/.test(text.slice(0, -1)));

  function pattern(key) {
    const parts = key.split(/(\{#?\})/).map((part) => (part === "{}" ? "(.+?)" : part === "{#}" ? NUMBER : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
    return new RegExp(`^${parts.join("")}$`, "s");
  }
  /* A count or a name in a sentence may be in the table too; what is not stays as it is. */
  function fill(template, values) {
    let next = 0;
    return template.replace(/\{(\d*)\}/g, (_, place) => translate(values[place ? Number(place) - 1 : next++] ?? "", true));
  }
  function translate(text, quiet = false) {
    if (code === "en") return text;
    if (Object.hasOwn(exact, text)) return exact[text];
    if (cache.has(text)) return cache.get(text);
    let match = null;
    const known = patterns.find(([regex]) => (match = regex.exec(text)));
    if (!known && !quiet && !isName(text)) missing.add(text);
    const result = known ? fill(exact[known[1]], match.slice(1)) : text;
    if (quiet && !known) return text;
    if (cache.size >= MOST_KEPT) cache.clear();
    cache.set(text, result);
    return result;
  }

  /* An element's text with marks, or null if it has other elements in it or none at all. */
  function marked(element) {
    if (!element.children.length || ![...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && plain(node.data))) return null;
    let text = "";
    for (const node of element.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) text += node.data;
      else if (node.nodeType === Node.ELEMENT_NODE && MARKS[node.tagName] && !node.children.length) text += `${MARKS[node.tagName]}${node.textContent}${MARKS[node.tagName]}`;
      else if (node.nodeType === Node.ELEMENT_NODE) return null;
    }
    return plain(text);
  }
  function markup(text) {
    const holder = document.createElement("div");
    holder.textContent = text;
    return holder.innerHTML.replace(/\*\*(.+?)\*\*/g, "<strong>$1</strong>").replace(/\*(.+?)\*/g, "<em>$1</em>").replace(/`(.+?)`/g, "<code>$1</code>");
  }

  /* Show what `original` is in the language of the page; read() and write(text) reach what the page shows. */
  function put(node, what, read, write, key = plain) {
    const all = shown.get(node) || {}, mine = all[what], now = read();
    if (mine && mine.text === now && mine.code === code) return;
    const original = mine && mine.text === now ? mine.original : now;
    const english = key(original), next = english ? translate(english) : english;
    const text = next === english ? original : what === "html" ? markup(next) : original.replace(/\S[\s\S]*\S|\S/, () => next);
    if (text !== now) write(text);
    if (text === original && !mine) return;
    shown.set(node, { ...all, [what]: { original, text: read(), code } });
  }
  function putText(node) {
    const parent = node.parentElement;
    if (!plain(node.data) || !parent || parent.closest(SKIPPED)) return;
    const whole = parent.closest(WHOLE);
    if (whole && (whole === parent || MARKS[parent.tagName]) && (shown.get(whole)?.html || marked(whole))) return putWhole(whole);
    put(node, "text", () => node.data, (text) => { node.data = text; });
  }
  function putWhole(element) {
    const original = document.createElement("div");
    put(element, "html", () => element.innerHTML, (html) => { element.innerHTML = html; }, (html) => {
      original.innerHTML = html;
      return marked(original) ?? plain(original.textContent);
    });
  }
  function putAttributes(element) {
    if (element.closest(SKIPPED) && !element.matches("textarea")) return;
    for (const name of ATTRIBUTES) {
      if (element.hasAttribute(name)) put(element, name, () => element.getAttribute(name) ?? "", (text) => element.setAttribute(name, text));
    }
  }
  function visit(root) {
    if (root.nodeType === Node.TEXT_NODE) return putText(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    putAttributes(root);
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT), nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    for (const node of nodes) if (node.isConnected) node.nodeType === Node.TEXT_NODE ? putText(node) : putAttributes(node);
  }

  function follow(records) {
    if (!touched) return;
    for (const record of records) {
      if (record.type === "attributes") putAttributes(record.target);
      else if (record.type === "characterData") putText(record.target);
      else record.addedNodes.forEach((node) => { if (node.isConnected) visit(node); });
    }
  }

  function choose(next, kept = true) {
    if (!has(next)) next = "en";
    code = next;
    exact = tables()[code] || {};
    patterns = Object.keys(exact).filter((key) => /\{#?\}/.test(key)).sort((a, b) => b.length - a.length).map((key) => [pattern(key), key]);
    cache = new Map();
    missing.clear();
    document.documentElement.lang = code;
    title ||= document.title; // Gradio gives the page its own after the scripts of its head have run
    if (title) document.title = translate(title, true);
    if (kept) {
      try { window.localStorage.setItem(KEPT_KEY, code); } catch { /* a file, or storage refused: for this page alone */ }
      const url = new URL(window.location.href);
      if (url.searchParams.has("lang")) { url.searchParams.set("lang", code); window.history.replaceState(null, "", url); }
    }
    touched ||= code !== "en";
    if (!touched) return;
    visit(document.body);
    for (const menu of document.querySelectorAll(".language-menu")) {
      menu.value = code;
      menu.setAttribute("aria-label", translate("Language"));
    }
    window.dispatchEvent(new Event("zigdemo-language"));
  }
  /* The language of the address, else the given one, else the one chosen here before, else the browser's. */
  function first(given) {
    let kept = null;
    try { kept = window.localStorage.getItem(KEPT_KEY); } catch { /* storage refused */ }
    const asked = new URL(window.location.href).searchParams.get("lang");
    const wanted = [asked, given, kept, ...(navigator.languages || [])].filter(Boolean).map((one) => one.toLowerCase().split("-")[0]);
    return wanted.find(has) || "en";
  }
  function menu() {
    const { element } = window.zigdemoParts;
    const options = Object.entries(NAMES).filter(([one]) => has(one)).map(([one, name]) => element("option", { value: one, lang: one }, name));
    const node = element("select", { class: "language-menu", "aria-label": translate("Language"), translate: "no" }, ...options);
    node.value = code;
    node.addEventListener("change", () => choose(node.value));
    return node;
  }

  window.zigdemoLanguage = {
    menu, choose, missing, translate: (text) => translate(text, true),
    get code() { return code; },
    /* The English text of an element, whatever the page shows. */
    english(node) {
      const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT), texts = [];
      while (walker.nextNode()) texts.push(shown.get(walker.currentNode)?.text?.original ?? walker.currentNode.data);
      return plain(texts.join(""));
    },
    start(given = null) {
      new MutationObserver(follow).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
      choose(first(given), new URL(window.location.href).searchParams.has("lang"));
    },
  };
  if (window.zigdemoPlaceOf) window.zigdemoParts.whenReady(() => window.zigdemoLanguage.start()); // the lesson in a file starts it itself
})();
