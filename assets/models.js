/* The cards of the Models tab: search and filters, samples enlarged, and "Draw with this" without loading the page anew. */
(() => {
  "use strict";
  const { element: node } = window.zigdemoParts;

  /* Show the cards that fit the search and the filters, and say how many. */
  function find(root) {
    const words = root.querySelector(".finder input").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = [...root.querySelectorAll(".finder select")].filter((select) => select.value);
    const cards = [...root.querySelectorAll(".models article")];
    const shown = cards.filter((card) => {
      const text = card.textContent.toLowerCase();
      card.hidden = !(words.every((word) => text.includes(word)) && wanted.every((one) => card.dataset[one.name] === one.value));
      return !card.hidden;
    });
    root.querySelector(".finder output").textContent = shown.length === cards.length ? `${cards.length} models` : `${shown.length} of ${cards.length} models`;
    root.querySelector(".nothing").hidden = shown.length > 0;
  }

  /* The samples of a card as large as the window allows, until a click or Escape. */
  function enlarge(root, samples) {
    const image = node("img", { alt: samples.dataset.caption, src: samples.querySelector("img").src });
    const dialog = node("dialog", { class: "enlarged", "aria-label": samples.dataset.caption }, image,
      node("p", {}, samples.dataset.caption), node("button", { type: "button" }, "Close"));
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    root.append(dialog);
    dialog.showModal();
  }

  window.zigdemoModels = {
    mount(root, trigger) {
      root.addEventListener("input", (event) => { if (event.target.closest(".finder")) find(root); });
      root.addEventListener("click", (event) => {
        const samples = event.target.closest(".samples[data-caption]"), draw = event.target.closest("[data-draw]");
        if (samples) enlarge(root, samples);
        if (!draw || event.ctrlKey || event.metaKey || event.shiftKey) return; // those open the link elsewhere
        event.preventDefault();
        trigger("select", { model: draw.dataset.draw });
        window.scrollTo({ top: 0 });
      });
    },
  };
})();
