/* Gradio asks a picture for its size to tell where in it a click was, and drops the click while the picture is loading:
   on a slow line, all but the first of quick ones. Such a click is repeated once the picture is there. */
(() => {
  "use strict";
  let waiting; // the picture of the last click that Gradio has dropped, and where it was

  document.addEventListener("click", ({ target, clientX, clientY }) => {
    const picture = target.closest?.(".image-container")?.querySelector("img");
    waiting = picture && !picture.naturalWidth ? { picture, place: { clientX, clientY } } : undefined;
  }, true);

  document.addEventListener("load", ({ target }) => {
    if (target !== waiting?.picture) return;
    const { place } = waiting;
    waiting = undefined;
    target.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ...place }));
  }, true);
})();
