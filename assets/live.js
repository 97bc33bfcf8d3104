/* What is live asks the server by itself. Gradio's own event first goes over every control of the page, twice; that takes
   longer than the picture, and on two cores it takes the time from the picture.
   A page counts the changes, as answers may overtake each other. */
(() => {
  "use strict";
  const UNCHANGED = { __type__: "update" };
  const asked = {}, moved = new Set(); // by handler: what was asked last; the first values of controls that have moved
  let changes = 0, touched = 0, ended = -1, open;
  const opened = new Promise((done) => { open = done; }); // with what Gradio knows the page by

  const unchanged = ({ outputs }) => Array(outputs).fill(UNCHANGED);

  /* The values of the outputs by a handler, for a change; all unchanged where there is no answer, or it is not wanted any
     more. event: see follow. */
  async function answer(event, handler, change, values) {
    try {
      const body = JSON.stringify({ fn_index: handler, session_hash: await opened, data: [change, ...values] });
      const headers = { "Content-Type": "application/json" };
      const response = change === changes ? await fetch("gradio_api/run/predict", { method: "POST", headers, body }) : null;
      const data = response?.ok ? (await response.json()).data : null;
      if (data && change === changes) return data.map((value, place) => (event.states.includes(place) ? UNCHANGED : value));
    } catch { /* no answer: what is shown stays */ }
    return unchanged(event);
  }

  // When a hand was last on the page: what was changed before a run was asked for must not be drawn after it.
  for (const kind of ["input", "change", "click", "keydown"]) document.addEventListener(kind, () => { touched = performance.now(); }, true);

  window.zigdemoLive = {
    open,
    /* A run is asked for: what is on its way is not wanted any more. */
    end() { ended = performance.now(); changes += 1; },
    /* A control has changed. event: {quick, refined, first, outputs, states}: the handlers, the values that the controls
       have at first, as one that is shown for the first time reports a change too, how many outputs there are, and the
       places of those that stay on the server. */
    async follow(event, on, values) {
      const key = JSON.stringify(event.first);
      const isFirst = event.first.every((value, place) => (value ?? "") === (values[place] ?? ""));
      if ((isFirst && !moved.has(key)) || !on || touched < ended) return unchanged(event);
      moved.add(key);
      const last = asked[event.quick] = { change: (changes += 1), values, isAnswered: false };
      const updates = await answer(event, event.quick, last.change, values);
      last.isAnswered = true;
      return updates;
    },
    /* Nothing has changed for a moment: the same at full quality, once the quick answer was painted. */
    async refine(event, milliseconds) {
      const last = asked[event.quick];
      if (!last?.isAnswered) return unchanged(event);
      last.isAnswered = false;
      await new Promise((done) => setTimeout(done, milliseconds));
      return answer(event, event.refined, last.change, last.values);
    },
  };
})();
