/* What Gradio's controls lack for a keyboard and a screen reader. */
(() => {
  "use strict";
  const PASSING = ["Tab", "Shift", "Control", "Alt", "Meta"], OPENING = ["Enter", "ArrowDown", "ArrowUp"];
  const ERASING = ["Backspace", "Delete"];
  const asleep = new WeakSet(); // dropdowns that have the focus and do not know it yet
  let pointing = false, waking = false;

  const dropdown = (event) => event.target instanceof Element && event.target.matches('input[role="combobox"]') ? event.target : null;
  const closed = (box) => box.getAttribute("aria-expanded") !== "true";

  /* Gradio opens a dropdown when it gets the focus; it is told of the focus when it is to open. */
  function open(box) {
    asleep.delete(box);
    waking = true;
    box.dispatchEvent(new FocusEvent("focus"));
    waking = false;
  }

  function on(type, listener) { window.addEventListener(type, listener, true); }

  on("pointerdown", () => { pointing = true; });
  on("click", (event) => {
    const box = dropdown(event);
    if (box && !box.disabled && closed(box) && document.activeElement === box) open(box);
    if (box && box.selectionStart === box.selectionEnd) box.select(); // so that typing searches, not appends
    pointing = false;
  });
  on("focus", (event) => {
    const box = dropdown(event);
    if (!box || pointing || waking) return;
    asleep.add(box);
    box.select();
    event.stopImmediatePropagation();
  });
  on("blur", (event) => {
    const box = dropdown(event);
    if (box && asleep.delete(box)) event.stopImmediatePropagation(); // else it would report a change that nobody made
  });
  on("input", (event) => {
    const box = dropdown(event);
    if (box && asleep.has(box)) open(box);
  });
  on("keydown", (event) => {
    pointing = false;
    const box = dropdown(event);
    if (!box || box.disabled || event.isComposing) return;
    const typing = (event.key.length === 1 && !event.ctrlKey && !event.metaKey) || ERASING.includes(event.key);
    if (!closed(box) && !PASSING.includes(event.key)) {
      if (event.key === "Enter") setTimeout(() => keepFocus(box));
    } else if (OPENING.includes(event.key)) {
      open(box);
      event.preventDefault();
      event.stopPropagation();
    } else if (typing) open(box);
    else if (event.key !== "Escape") event.stopPropagation(); // Gradio opens on any other key
  });

  /* A choice takes the focus away: without it, Tab would start at the top of the page in some browsers. */
  function keepFocus(box) {
    if (document.activeElement === document.body && box.isConnected) box.focus();
  }

  /* Names and states that Gradio leaves out of its elements. */
  function mend() {
    for (const node of document.querySelectorAll("button.label-wrap")) {
      const state = String(node.classList.contains("open"));
      if (node.getAttribute("aria-expanded") !== state) node.setAttribute("aria-expanded", state);
    }
    for (const node of document.querySelectorAll("div.empty[aria-label]:not([role])")) node.setAttribute("role", "img");
    for (const node of document.querySelectorAll('[aria-label="common.upload"]')) {
      node.setAttribute("aria-label", "Upload");
      node.title = "Upload";
    }
  }
  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; mend(); });
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["class"] });
})();
