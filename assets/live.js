/* What is live asks the server by itself. Gradio's own event first goes over every control of the page, twice; that takes
   longer than the picture, and on two cores it takes the time from the picture.
   A page counts the changes, as answers may overtake each other. */
(() => {
  "use strict";
  const UNCHANGED = { __type__: "update" };
  const asked = {}, moved = new Set(); // by handler: what was asked last; the first values of controls that have moved
  let changes = 0, touched = 0, ended = -1, open;
  const opened = new Promise((done) => { open = done; }); // with what Gradio knows the page by

  /* The values of a handler's outputs; all unchanged where there is no answer. states: outputs that stay on the server. */
  async function answer({ handler, data, outputs, states }) {
    const unchanged = Array(outputs).fill(UNCHANGED);
    try {
      const response = await fetch("gradio_api/run/predict", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ fn_index: handler, session_hash: await opened, data }),
      });
      if (!response.ok) return unchanged;
      return (await response.json()).data.map((value, place) => (states.includes(place) ? UNCHANGED : value));
    } catch {
      return unchanged;
    }
  }

  // When a hand was last on the page: what was changed before a run was asked for must not be drawn after it.
  for (const kind of ["input", "change", "click", "keydown"]) document.addEventListener(kind, () => { touched = performance.now(); }, true);

  window.zigdemoLive = {
    open,
    /* A run is asked for: what is on its way is not wanted any more. */
    end() { ended = performance.now(); changes += 1; },
    /* A control has changed. event: {quick, refined, first, outputs, states}: the handlers, and the values that the
       controls have at first; a control that is shown for the first time reports a change too. */
    async follow(event, on, values) {
      const { quick, first, outputs, states } = event, key = JSON.stringify(first);
      const isFirst = first.every((value, place) => (value ?? "") === (values[place] ?? ""));
      if ((isFirst && !moved.has(key)) || !on || touched < ended) return Array(outputs).fill(UNCHANGED);
      moved.add(key);
      const mine = (changes += 1);
      asked[quick] = { change: mine, values, isAnswered: false };
      const updates = await answer({ handler: quick, data: [mine, ...values], outputs, states });
      if (mine !== changes) return Array(outputs).fill(UNCHANGED);
      asked[quick].isAnswered = true;
      return updates;
    },
    /* Nothing has changed for a moment: the same at full quality, once the quick answer was painted. */
    async refine(event, milliseconds) {
      const { quick, refined, outputs, states } = event, last = asked[quick];
      if (!last?.isAnswered || last.change !== changes) return Array(outputs).fill(UNCHANGED);
      last.isAnswered = false;
      await new Promise((done) => setTimeout(done, milliseconds));
      const updates = last.change === changes ? await answer({ handler: refined, data: [last.change, ...last.values], outputs, states }) : [];
      return last.change === changes ? updates : Array(outputs).fill(UNCHANGED);
    },
  };
})();
