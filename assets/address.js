/* The open place stands in the page's address as place=..., so that a link, a reload, back and forward return to it. */
(() => {
  "use strict";
  const OF_A_PLACE = { compare: ["matrix"] }; // parameters that belong to one place alone
  let first = null, popping = false;

  const tabs = () => [...document.querySelectorAll('[role="tab"][data-tab-id]')];
  const wanted = () => new URL(window.location.href).searchParams.get("place");
  const open = () => tabs().find((tab) => tab.getAttribute("aria-selected") === "true")?.dataset.tabId;

  function remember() {
    const place = open();
    if (!place || popping) return;
    const url = new URL(window.location.href);
    if (place === (wanted() || first)) return;
    for (const [owner, names] of Object.entries(OF_A_PLACE)) if (owner !== place) names.forEach((name) => url.searchParams.delete(name));
    url.searchParams.set("place", place);
    window.history.pushState(null, "", url);
  }

  /* Open the place of the address; again until it is open, as a page that is still loading loses clicks. */
  function go(tries = 100) {
    const place = wanted() || first;
    popping = place !== open() && tries > 0 && tabs().some((tab) => tab.dataset.tabId === place);
    if (!popping) return;
    tabs().find((tab) => tab.dataset.tabId === place).click();
    setTimeout(() => go(tries - 1), 100);
  }

  function start(tries) {
    if (!tabs().length) { if (tries) setTimeout(() => start(tries - 1), 100); return; }
    first = open();
    if (wanted()) go();
    new MutationObserver(remember).observe(tabs()[0].parentElement, { subtree: true, attributes: true, attributeFilter: ["aria-selected"] });
    window.addEventListener("popstate", () => go());
  }
  window.zigdemoParts.whenReady(() => start(300));
})();
