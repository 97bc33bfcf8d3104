/* The open tab, as place=..., and the settings that all places share stand in the page's address, so that a link, a
   reload, back and forward return to them. A tab opened is a step of the history, a setting changed is not.
   window.zigdemoPlaceOf: the id of the place of every tab. */
(() => {
  "use strict";
  const OF_A_TAB = { // parameters that belong to one tab alone
    lesson: ["lesson"], compare: ["matrix"], cost: ["tokens", "width", "state"], influence: ["step", "frame", "row", "column", "layer"],
    attention: ["words", "kind", "layer_from", "layer_to", "step_from", "step_to", "head"],
  };
  let first = null, popping = false;

  // Those of places that are open; the rows themselves may be left out of the page.
  const tabs = () => [...document.querySelectorAll('[role="tab"][data-tab-id]')].filter((tab) => tab.closest(".tabitem")?.checkVisibility() ?? true);
  const EARLIER = { generate: "pictures", video: "clips" }; // ids that links of before still have
  function wanted() {
    const place = new URL(window.location.href).searchParams.get("place"), tab = EARLIER[place] ?? place;
    return tab in window.zigdemoPlaceOf || Object.values(window.zigdemoPlaceOf).includes(tab) ? tab : null;
  }
  const open = () => tabs().filter((tab) => tab.getAttribute("aria-selected") === "true").pop()?.dataset.tabId;
  const replace = (url) => { if (url.href !== window.location.href) window.history.replaceState(null, "", url); };
  const text = (value) => (value === null || value === undefined ? "" : String(value));

  function remember() {
    const place = open();
    if (place && !(place in window.zigdemoPlaceOf)) { setTimeout(remember, 50); return; } // its own tabs are not there yet
    if (!place || popping || place === (wanted() || first)) return;
    const url = new URL(window.location.href);
    for (const [owner, names] of Object.entries(OF_A_TAB)) if (owner !== place) names.forEach((name) => url.searchParams.delete(name));
    url.searchParams.set("place", place);
    window.history.pushState(null, "", url);
  }

  /* Open the tab of the address, in its place; again until it is open, as a page that is still loading loses clicks. */
  function go(tries = 100) {
    const place = wanted() || first, shown = tabs();
    const button = shown.find((tab) => tab.dataset.tabId === place) || shown.find((tab) => tab.dataset.tabId === window.zigdemoPlaceOf[place]);
    popping = tries > 0 && Boolean(button) && place !== open() && button.dataset.tabId !== open();
    if (button && button.dataset.tabId === place && button.getAttribute("aria-selected") === "true") popping = false;
    if (!popping) return;
    button.click();
    setTimeout(() => go(tries - 1), 100);
  }

  function start(tries) {
    if (!open()) { if (tries) setTimeout(() => start(tries - 1), 100); return; }
    first = open();
    if (wanted()) go();
    new MutationObserver(remember).observe(document.getElementById("places"), { subtree: true, attributes: true, attributeFilter: ["aria-selected"] });
    window.addEventListener("popstate", () => go());
  }

  window.zigdemoAddress = {
    /* A tab's settings have changed: returns the choice, JSON or nothing yet, with them, and puts it into the address.
       names, values: of the settings; usual: those the tab starts with; omitted: those that a link leaves out. */
    changed(tab, names, usual, omitted, choice, values) {
      if (open() !== tab || (wanted() ?? tab) !== tab) return choice; // a link to another tab is still being opened
      const own = Object.fromEntries(names.map((name, place) => [name, values[place] ?? null]));
      if (!choice && names.every((name) => text(own[name]) === text(usual[name]))) return choice;
      const before = JSON.parse(choice || "{}"), url = new URL(window.location.href);
      const whole = "model" in own && before.model !== own.model ? own : { ...before, ...own }; // settings of one model are not another's
      for (const name of Object.keys(before)) url.searchParams.delete(name);
      for (const [name, value] of Object.entries(whole)) {
        if (name in omitted && text(value) === text(omitted[name])) url.searchParams.delete(name);
        else url.searchParams.set(name, text(value));
      }
      url.searchParams.set("place", tab);
      replace(url);
      return JSON.stringify(whole);
    },

    /* The choice that a tab follows when it is opened: none if another one was opened; before anything is chosen, the
       settings of the address, whose names are given. */
    async choiceFor(tab, names, choice) {
      await new Promise((done) => setTimeout(done, 0)); // until the page shows the tab
      if (open() !== tab) return "";
      if (choice || wanted() !== tab) return choice;
      const query = [...new URL(window.location.href).searchParams].filter(([name]) => names.includes(name));
      return query.length ? JSON.stringify(Object.fromEntries(query)) : "";
    },

    /* What a tab shows of a drawing has changed: query, as in a link. */
    showing(tab, query) {
      if (open() !== tab) return;
      const url = new URL(window.location.href);
      OF_A_TAB[tab].forEach((name) => url.searchParams.delete(name));
      new URLSearchParams(query).forEach((value, name) => url.searchParams.set(name, value));
      replace(url);
    },
  };
  window.zigdemoParts.whenReady(() => start(300));
})();
