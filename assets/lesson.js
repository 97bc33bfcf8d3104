/* The lesson: one step at a time, words beside a stage that is touched; speaker notes, a clock, arrow keys and clicker.
   zigdemoLesson.mount(root, data) with data as zigdemo.ui.lesson.data has it; the stages stand in lesson_stages.js. */
(() => {
  "use strict";
  const { element } = window.zigdemoParts;
  const TURNS = { ArrowRight: 1, ArrowLeft: -1, PageDown: 1, PageUp: -1 }; // a clicker sends the last two
  const CLOCK_KEY = "zigdemo-lesson-clock";
  const typing = (node) => node.closest?.("input:not([type=range]), textarea, select, [contenteditable=true]");
  const steering = (node) => node.closest?.("input[type=range], .cells, .lesson-tape"); // what has arrows of its own

  class Lesson {
    constructor(root, data) {
      Object.assign(this, { root, data, at: -1, ...this.keptClock() });
      this.build();
      this.go(this.linked() ?? 0, false);
      document.addEventListener("keydown", (event) => this.key(event));
      window.addEventListener("popstate", () => { const at = this.linked(); if (at !== null && at !== this.at) this.go(at, false); });
      window.setInterval(() => this.tick(), 1000);
    }
    /* The step in the address, from 0, or null. */
    linked() {
      const text = this.data.exported ? window.location.hash.slice(1) : new URL(window.location.href).searchParams.get("lesson");
      const number = Number(text);
      return text && Number.isInteger(number) && number >= 1 && number <= this.data.steps.length ? number - 1 : null;
    }
    build() {
      const button = (label, title, act, kind = "") => { const node = element("button", { type: "button", title, class: kind }, label); node.addEventListener("click", act); return node; };
      this.dots = this.data.steps.map((step, at) => button(String(at + 1), step.title, () => this.go(at)));
      this.clock = button("", "Start and stop the clock", () => this.toggleClock(), "lesson-clock");
      this.title = element("h3", { tabindex: "-1" });
      this.text = element("p", { class: "lesson-text" });
      this.question = element("p", { class: "lesson-question" });
      this.notes = element("aside", { class: "lesson-notes", "aria-label": "Notes for the speaker" });
      this.notes.hidden = true;
      this.back = button("Back", "The step before (left arrow)", () => this.go(this.at - 1));
      this.next = button("Next", "The next step (right arrow)", () => this.go(this.at + 1), "lesson-next");
      this.live = button("Open this live", "The same in the page itself, with your own settings", () => this.open());
      this.stage = element("div", { class: "lesson-stage" });
      const tools = [button("Notes", "Notes for the speaker (N)", () => this.showNotes()), this.clock];
      if (!this.data.exported) tools.unshift(this.live);
      tools.push(window.zigdemoLanguage.menu()); // on the page only where its header is hidden
      this.root.replaceChildren(
        element("nav", { class: "lesson-steps", "aria-label": "Steps of the lesson" }, ...this.dots, ...tools),
        element("div", { class: "lesson-room" },
          element("div", { class: "lesson-words" }, this.title, this.text, this.question, this.notes, element("div", { class: "lesson-turn" }, this.back, this.next)),
          this.stage));
      if (this.data.exported) this.root.append(this.handout());
      this.tick();
    }
    /* All steps in words, which a print shows in place of the open one. */
    handout() {
      return element("section", { class: "lesson-handout" }, ...this.data.steps.map((step, at) => element("article", {},
        element("h4", {}, element("span", {}, `${at + 1}. `), element("span", {}, step.title)),
        ...[step.text, step.question, step.notes].map((text, place) => element("p", { class: ["", "lesson-question", ""][place] }, text)))));
    }
    go(at, pushed = true) {
      if (at < 0 || at >= this.data.steps.length) return;
      this.leave?.();
      this.at = at;
      const step = this.data.steps[at];
      this.dots.forEach((dot, place) => dot.toggleAttribute("aria-current", place === at));
      this.title.replaceChildren(element("span", {}, `${at + 1}. `), element("span", {}, step.title));
      this.text.textContent = step.text;
      this.question.textContent = step.question;
      this.notes.textContent = step.notes;
      this.back.disabled = at === 0;
      this.next.disabled = at === this.data.steps.length - 1;
      this.stage.replaceChildren();
      this.stage.dataset.stage = step.stage;
      this.leave = window.zigdemoLessonStages[step.stage](this.stage, this.data) || null;
      if (!pushed) return;
      this.title.focus({ preventScroll: true });
      if (this.data.exported) { window.location.hash = String(at + 1); return; }
      const url = new URL(window.location.href);
      url.searchParams.set("place", "lesson");
      url.searchParams.set("lesson", String(at + 1));
      window.history.pushState(null, "", url);
    }
    /* The tab of the page that shows the same, with the settings of the step. */
    open() {
      const url = new URL(window.location.href), { place, settings } = this.data.steps[this.at];
      if (!settings) {
        url.searchParams.set("place", place);
        window.history.pushState(null, "", url);
        window.dispatchEvent(new PopStateEvent("popstate"));
        return;
      }
      url.searchParams.delete("lesson");
      for (const [name, value] of [["place", place], ...new URLSearchParams(settings)]) url.searchParams.set(name, value);
      window.location.assign(url); // as any link with settings
    }
    showNotes() { this.notes.hidden = !this.notes.hidden; }
    /* The clock goes on over a reload, which a link to a place with settings is. */
    keptClock() {
      try { return { started: null, spent: 0, ...JSON.parse(window.sessionStorage.getItem(CLOCK_KEY)) }; } catch { return { started: null, spent: 0 }; }
    }
    keepClock() {
      try { window.sessionStorage.setItem(CLOCK_KEY, JSON.stringify({ started: this.started, spent: this.spent })); } catch { /* storage refused: it starts anew */ }
    }
    toggleClock() {
      if (this.started === null) this.started = Date.now();
      else { this.spent += Date.now() - this.started; this.started = null; }
      this.keepClock();
      this.tick();
    }
    tick() {
      const spent = this.spent + (this.started === null ? 0 : Date.now() - this.started);
      const left = Math.round(this.data.minutes * 60 - spent / 1000), size = Math.abs(left);
      this.clock.textContent = `${left < 0 ? "−" : ""}${Math.floor(size / 60)}:${String(size % 60).padStart(2, "0")}`;
      this.clock.classList.toggle("running", this.started !== null);
    }
    key(event) {
      if (!this.root.offsetParent || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (typing(event.target)) return;
      if (event.key.toLowerCase() === "n") this.showNotes();
      else if (TURNS[event.key] && !(event.key.startsWith("Arrow") && steering(event.target))) this.go(this.at + TURNS[event.key]);
      else return;
      event.preventDefault();
    }
  }

  window.zigdemoLesson = {
    mount(root, data) {
      if (data && !root.zigdemoLesson) root.zigdemoLesson = new Lesson(root, data);
    },
  };
})();
