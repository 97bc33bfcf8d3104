/* "Draw on this device" on the page: a fold whose panel comes from the exported folder that the page serves, and takes the
   settings of the address whenever it is opened. */
(() => {
  "use strict";
  document.addEventListener("toggle", async ({ target: fold }) => {
    if (!fold.matches?.(".device-fold") || !fold.open) return;
    const room = fold.querySelector(".device"), values = Object.fromEntries(new URL(window.location.href).searchParams);
    if (room.zigdemoPanel) { room.zigdemoPanel.take(values); return; }
    const { mount } = await import(new URL(fold.dataset.panel, document.baseURI).href);
    await mount(room, { beside: fold.dataset.beside, values });
  }, true); // as a toggle does not bubble
})();
