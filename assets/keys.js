/* Keys of the whole page and their sheet, Present mode for a projector, and what an address with embed=1 or hide=...
   leaves out. No single letter acts while a text field has the focus. */
(() => {
  "use strict";
  const { element, whenReady } = window.zigdemoParts, language = window.zigdemoLanguage;
  const KEYS = [
    ["Ctrl + Enter", "draw"], ["Esc", "stop the run, close this sheet, or leave Present"], ["P", "Present: large, without controls"],
    ["?", "this sheet"], ["Space, ← →", "play and step, in a player"], ["← → ↑ ↓, Enter", "move and pin, in Compare"], ["B, D, S", "blink, difference, side by side, in Compare"], ["← →, N", "turn a step, and notes, in the Lesson"],
  ];
  const HIDEABLE = ["header", "controls", "strip", "footer"];
  const seen = (node) => node.offsetParent !== null && !node.disabled;
  const button = (...names) => [...document.querySelectorAll(".tabitem button")].find((node) => seen(node) && names.includes(language.english(node)));
  const typing = (node) => node.closest?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]");

  function present(on) {
    document.body.classList.toggle("present", on);
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
    window.dispatchEvent(new Event("resize"));
  }

  function sheet() {
    const rows = KEYS.map(([keys, what]) => element("tr", {}, element("th", { scope: "row" }, keys), element("td", {}, what)));
    const close = element("button", { type: "button" }, "Close");
    const dialog = element("dialog", { class: "keys-sheet", "aria-label": "Keys" }, element("h2", {}, "Keys"), element("table", {}, ...rows), close);
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  function build() {
    const params = new URL(window.location.href).searchParams;
    const hidden = new Set((params.get("hide") || "").split(","));
    if (params.get("embed") === "1") ["header", "strip", "footer"].forEach((name) => hidden.add(name));
    for (const name of HIDEABLE) document.body.classList.toggle(`hide-${name}`, hidden.has(name));

    const tool = (label, title, act) => {
      const node = element("button", { type: "button", title }, label);
      node.addEventListener("click", act);
      return node;
    };
    document.body.append(element("div", { class: "page-tools", style: "position: absolute" }, // else it jumps when the style sheet comes
      language.menu(),
      tool("Present", "Large, without controls (P)", () => present(!document.body.classList.contains("present"))),
      tool("Keys", "All keys (?)", sheet)));

    // A class, as Gradio drops rules of a media query for what stands outside its container, as the tools do.
    const narrow = window.matchMedia("(max-width: 640px)"), fit = () => document.body.classList.toggle("narrow", narrow.matches);
    narrow.addEventListener("change", fit);
    fit();

    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) button("Draw", "Start")?.click();
      else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
        const stop = button("Stop");
        if (stop) stop.click();
        else present(false);
      } else if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
      else if (event.key === "p" || event.key === "P") present(!document.body.classList.contains("present"));
      else if (event.key === "?" && !document.querySelector("dialog[open]")) sheet();
    });
    document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement) document.body.classList.remove("present"); });
  }
  whenReady(build);
})();
