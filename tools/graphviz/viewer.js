// A picture of backpropagation to look around in: zoom and pan, search, steps, and the facts of each card.
// `data` is written beside this: records by key (title, find, facts), the keys of each card, and the numbers of the steps.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const data = JSON.parse(by("data").textContent);
  const stage = by("stage"), svg = stage.querySelector("svg");
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

  // ---- zoom and pan: the part of the picture that is seen -----------------------------------------------------------

  const whole = svg.viewBox.baseVal;
  const all = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
  let seen = { ...all };

  function look(at) {
    seen = at;
    svg.setAttribute("viewBox", `${at.x} ${at.y} ${at.width} ${at.height}`);
  }
  // What a point of the window shows, and how long one of its pixels is there.
  function place(x, y) {
    const box = stage.getBoundingClientRect();
    const unit = Math.max(seen.width / box.width, seen.height / box.height);
    return {
      x: seen.x + seen.width / 2 + (x - box.left - box.width / 2) * unit,
      y: seen.y + seen.height / 2 + (y - box.top - box.height / 2) * unit,
      unit,
    };
  }
  // The point under the pointer stays there.
  function zoom(factor, x, y) {
    const box = stage.getBoundingClientRect();
    const at = place(x ?? box.left + box.width / 2, y ?? box.top + box.height / 2);
    const width = clamp(seen.width / factor, all.width / 60, all.width * 3);
    const scale = width / seen.width;
    look({ x: at.x + (seen.x - at.x) * scale, y: at.y + (seen.y - at.y) * scale, width, height: seen.height * scale });
  }
  function show(card) {
    const box = card.getBoundingClientRect();
    const at = place(box.left + box.width / 2, box.top + box.height / 2);
    const width = Math.min(seen.width, 700), height = width * seen.height / seen.width;
    look({ x: at.x - width / 2, y: at.y - height / 2, width, height });
  }
  function fit() { look({ ...all }); }
  // A long picture begins at its beginning, so that its words can be read.
  function open() {
    const box = stage.getBoundingClientRect(), long = 2.5;
    const height = all.width * box.height / box.width, width = all.height * box.width / box.height;
    if (all.height > long * height) look({ ...all, height });
    else if (all.width > long * width) look({ ...all, width });
    else fit();
  }

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoom(Math.exp(-event.deltaY * lines * 0.0016), event.clientX, event.clientY);
  }, { passive: false });

  const fingers = new Map();
  let moved = 0;
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (fingers.size === 0) moved = 0;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  window.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger || fingers.size > 2) return;
    const before = fingers.size === 2 ? spread() : { ...finger };
    moved += Math.abs(event.clientX - finger.x) + Math.abs(event.clientY - finger.y);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = fingers.size === 2 ? spread() : fingers.get(event.pointerId);
    const { unit } = place(0, 0);
    look({ ...seen, x: seen.x - (after.x - before.x) * unit, y: seen.y - (after.y - before.y) * unit });
    if (fingers.size === 2) zoom(after.apart / before.apart, after.x, after.y);
    stage.classList.toggle("dragged", moved > 4);
  });
  for (const end of ["pointerup", "pointercancel"])
    window.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size === 0) stage.classList.remove("dragged");
    });
  stage.addEventListener("click", () => { moved = 0; });  // what follows without a pointer was not dragged
  by("in").addEventListener("click", () => zoom(1.3));
  by("out").addEventListener("click", () => zoom(1 / 1.3));
  by("fit").addEventListener("click", fit);

  // ---- steps of the backward pass -----------------------------------------------------------------------------------

  const last = data.steps.length;
  const painted = [...svg.querySelectorAll(".back")].map((element) =>
    ({ element, rank: Number(/(?:^| )at(\d+)/.exec(element.getAttribute("class"))[1]) }));
  let position = last, clock = 0;

  // The steps before `to` have run, and `to` - 1 runs.
  function go(to) {
    position = clamp(to, 0, last);
    for (const { element, rank } of painted) {
      element.classList.toggle("later", rank >= position);
      element.classList.toggle("now", rank === position - 1);
    }
    tell();
  }
  function tell() {
    by("step").value = position;
    const words = position === 0 ? "before backward" : `step ${data.steps[position - 1]} of ${data.steps[last - 1]}`;
    by("where").textContent = words;
    by("step").setAttribute("aria-valuetext", words);
  }
  function play(on) {
    clearInterval(clock);
    clock = 0;
    if (on && position === last) go(0);
    if (on) clock = setInterval(() => position === last ? play(false) : go(position + 1), clamp(17000 / last, 40, 550));
    by("play").textContent = on ? "❚❚" : "▶";
    by("play").setAttribute("aria-label", on ? "Pause" : "Play");
    svg.classList.toggle("flowing", on);
  }
  function step(to) {
    play(false);
    go(to);
  }
  if (last === 0) {
    by("steps").hidden = true;
  } else {
    by("step").max = last;
    by("step").addEventListener("input", () => step(Number(by("step").value)));
    by("back").addEventListener("click", () => step(position - 1));
    by("next").addEventListener("click", () => step(position + 1));
    by("play").addEventListener("click", () => play(clock === 0));
    tell();
    if (data.play && !calm.matches) play(true);
  }

  // ---- the facts of a card ------------------------------------------------------------------------------------------

  const cards = Object.keys(data.cards).map(by).filter((card) => card !== null);
  let chosen = null;

  function make(name, text) {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  }
  function choose(card) {
    chosen?.classList.remove("chosen");
    chosen = card;
    by("facts").hidden = card === null;
    if (card === null) return;
    card.classList.add("chosen");
    by("list").replaceChildren(...data.cards[card.id].map((key) => {
      const record = data.records[key], section = document.createElement("section"), list = document.createElement("dl");
      for (const [name, value] of record.facts) list.append(make("dt", name), make("dd", value));
      section.append(make("h2", record.title), list);
      return section;
    }));
  }
  for (const card of cards) {
    card.setAttribute("tabindex", "0");
    card.setAttribute("role", "button");
    card.setAttribute("aria-label", data.cards[card.id].map((key) => data.records[key].title).join(", "));
    card.addEventListener("click", () => { if (moved <= 4) choose(card); });
  }
  by("close").addEventListener("click", () => choose(null));

  // ---- search -------------------------------------------------------------------------------------------------------

  // Several cards may tell of one op: all are marked, and one of them is where the search stops.
  let hits = [], stops = [], stop = -1;
  function search() {
    const words = by("search").value.trim().toLowerCase();
    const found = (card) => data.cards[card.id].some((key) => data.records[key].find.toLowerCase().includes(words));
    for (const card of hits) card.classList.remove("hit", "here");
    hits = words === "" ? [] : cards.filter(found);
    const told = (card) => data.cards[card.id].join();
    stops = hits.filter((card, i) => hits.findIndex((other) => told(other) === told(card)) === i);
    stop = -1;
    for (const card of hits) card.classList.add("hit");
    by("hits").textContent = words === "" ? "" : stops.length === 0 ? "not found" : `${stops.length} found`;
  }
  function next(by_how_many) {
    if (stops.length === 0) return;
    stops[stop]?.classList.remove("here");
    stop = stop < 0 && by_how_many < 0 ? stops.length - 1 : (stop + by_how_many + stops.length) % stops.length;
    stops[stop].classList.add("here");
    choose(stops[stop]);  // first: what it opens takes room from the picture
    show(stops[stop]);
    by("hits").textContent = `${stop + 1} of ${stops.length}`;
  }
  by("search").addEventListener("input", search);
  by("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") stage.focus();
    event.stopPropagation();
  });

  // ---- light and dark -----------------------------------------------------------------------------------------------

  const dark = by("dark");
  if (dark === null) {
    by("theme").hidden = true;
  } else {
    const themes = [["as the system", "(prefers-color-scheme: dark)"], ["dark", "all"], ["light", "not all"]];
    let theme = 0;
    by("theme").addEventListener("click", () => {
      theme = (theme + 1) % themes.length;
      dark.media = themes[theme][1];
      by("theme").setAttribute("aria-label", `Theme: ${themes[theme][0]}`);
      by("theme").title = `Theme: ${themes[theme][0]}`;
    });
  }

  // ---- keys ---------------------------------------------------------------------------------------------------------

  const keys = {
    ArrowRight: () => step(position + 1),
    ArrowLeft: () => step(position - 1),
    Home: () => step(0),
    End: () => step(last),
    " ": () => play(clock === 0),
    "+": () => zoom(1.3),
    "=": () => zoom(1.3),
    "-": () => zoom(1 / 1.3),
    0: fit,
    "/": () => by("search").focus(),
    Escape: () => choose(null),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const of_steps = ["ArrowRight", "ArrowLeft", "Home", "End", " "].includes(event.key);
    if (of_steps && last === 0) return;
    const card = document.activeElement;
    if (event.key === "Enter" && cards.includes(card)) choose(card);
    // A button in focus takes the space bar for itself.
    if (!(event.key in keys) || (event.key === " " && card.tagName === "BUTTON")) return;
    event.preventDefault();
    keys[event.key]();
  });

  document.title = data.title;
  open();
})();
