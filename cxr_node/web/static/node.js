"use strict";
/* Makes the pages live and quick to use. Every page works without it. */

document.documentElement.classList.remove("no-js");
const list = document.getElementById("list");
const study = document.querySelector("article[data-study]");
const news = document.getElementById("news");
const AT_MOST_EVERY = 250, AT_LEAST_EVERY = 30000, WAIT_FOR_HAND = 8000, COME_BACK = 3000;

/* ---- what stands here, anew ---- */

/* Answers may overtake each other; one to an older question never replaces what a newer one has brought. */
let asked = 0, shown = 0;
function isNewest(question) {
  if (question < shown) return false;
  shown = question;
  return true;
}

/* A node that is busy is asked again; who has been signed out, or has a form that is too old, gets a new page. */
function isUsable(answer) {
  if (!answer.ok && answer.status < 500) location.reload();
  return answer.ok;
}

/* What was asked for when the list was last put here. */
let shownFor = list && asksFor();
function asksFor() { return String(new URLSearchParams(new FormData(document.getElementById("wanted")))); }

async function freshList() {
  const question = ++asked;
  const fields = asksFor();
  const answer = await fetch("/worklist", { method: "POST", body: new URLSearchParams(fields), headers: { "X-Part": "rows" }, redirect: "manual" });
  if (!isUsable(answer)) return;
  const text = await answer.text();
  const until = Date.now() + WAIT_FOR_HAND;
  while (inHand() && Date.now() < until) await new Promise(done => setTimeout(done, 100));
  if (!isNewest(question)) return;
  replaceList(text, fields === shownFor);
  shownFor = fields;
}

/* A row is not taken away from under a pressed button or an open menu. */
let pressed = false;
addEventListener("pointerdown", () => { pressed = true; }, true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(() => { pressed = false; }), true);
function inHand() { return pressed || document.activeElement?.matches("#list select:not([data-chosen])"); }

/* `live`: it is what stood here before, as it stands now; else somebody has asked for something else. */
function replaceList(text, live) {
  const stood = new Map(rows().map(row => [row.dataset.study, row.dataset.position]));
  const focused = document.activeElement?.closest("tr[data-study]"), at = rows().indexOf(focused);
  const key = document.activeElement?.dataset.key ?? (document.activeElement?.matches(".open") ? "open" : null);
  list.innerHTML = text;
  let changed = false;
  for (const row of rows()) {
    const before = stood.get(row.dataset.study);
    if (live && (before === undefined || Number(before) > Number(row.dataset.position))) { row.classList.add("moved"); changed = true; }
  }
  if (focused) {
    const row = rowOf(focused.dataset.study);
    if (row) focusIn(row, key); else focusIn(rows()[Math.min(at, rows().length - 1)], "open");  // of one that left: the next
  }
  if (changed && stood.size) news.textContent = list.dataset.changed;
}

function rows() { return [...list.querySelectorAll("tr[data-study]")]; }

function rowOf(name) { return list.querySelector(`tr[data-study="${CSS.escape(name)}"]`); }

function focusIn(row, key) {
  (row?.querySelector(`[data-key="${key}"]`) ?? row?.querySelector(".open"))?.focus();
}

async function freshParts() {
  const question = ++asked;
  const answer = await fetch(location.href, { redirect: "manual" });
  if (!isUsable(answer)) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!isNewest(question)) return;
  const films = page => [...page.querySelectorAll("[data-film]")].map(one => one.dataset.film + one.querySelectorAll("img, .outputs").length).join();
  for (const part of document.querySelectorAll("[data-live][id]")) {
    const newer = page.getElementById(part.id);
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    if (!newer || inWork(part)) continue;
    part.replaceWith(newer);
    if (active) { newer.tabIndex = -1; (newer.querySelector(`[data-key="${active.dataset.key}"]`) ?? newer).focus(); }
  }
  if (study && films(page) !== films(document)) {
    document.getElementById("films").replaceWith(page.getElementById("films"));
    document.querySelectorAll(".film").forEach(viewer);
  }
}

/* A menu that is open, or a field that somebody writes in or has written in, stays until it is sent. */
function inWork(part) {
  return [...part.querySelectorAll("select, input:not([type=hidden])")].some(one =>
    !("sent" in one.form.dataset) && (one === document.activeElement || one.matches("input") && one.value));
}

let due = null, last = 0;
function refresh() {
  if (due !== null || document.hidden) return;
  due = setTimeout(async () => {
    due = null; last = Date.now();
    try { await (list ? freshList() : freshParts()); } catch { /* the stream tells when the node is back */ }
  }, Math.max(0, AT_MOST_EVERY - (Date.now() - last)));
}

/* ---- what the node tells ---- */

function watch() {
  const stream = new EventSource("/api/events");
  stream.onmessage = message => {
    const told = JSON.parse(message.data);
    if (!study || told.study === study.dataset.study || told.event === "missed") refresh();
  };
  stream.onerror = () => {
    lost(true);
    if (stream.readyState === EventSource.CLOSED) setTimeout(watch, COME_BACK);  // a proxy answered in the node's place
  };
  stream.onopen = () => { lost(false); refresh(); };
}

function lost(is) {
  const shown = document.querySelector(".lost:not(.said)");
  if (!is) { shown?.remove(); return; }
  if (!shown) document.querySelector(".head").after(alerting("lost", document.getElementById("main").dataset.lost));
}

function alerting(kind, text) {
  const said = document.createElement("p");
  said.className = kind; said.setAttribute("role", "alert"); said.textContent = text;
  return said;
}

if (list || document.querySelector("[data-live]")) {
  watch();
  setInterval(refresh, AT_LEAST_EVERY);
  document.addEventListener("visibilitychange", refresh);
}

/* ---- forms without a new page ---- */

async function send(form, submitter) {
  form.dataset.sent = "";
  const fields = new URLSearchParams(new FormData(form, submitter));
  let answer = null;
  try {
    answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json" } });
  } catch {
    delete form.dataset.sent;
    alertOnce(document.getElementById("main").dataset.lost);
    return;
  }
  if (!answer.ok) {
    delete form.dataset.sent;
    const said = await answer.json().catch(() => ({ message: answer.statusText }));
    alertOnce(said.message);
  }
  refresh();
}

function alertOnce(text) {
  document.querySelector(".said")?.remove();
  const said = alerting("lost said", text);
  document.querySelector(".head").after(said);
  setTimeout(() => said.remove(), 8000);
}

document.addEventListener("submit", event => {
  const form = event.target;
  if (form.id === "wanted") {
    event.preventDefault();
    turnTo(form, event.submitter?.name === "page" ? event.submitter.value : 1);
    if (event.submitter?.name === "page") freshList().then(() => document.getElementById("count").scrollIntoView());
    else freshList();
  } else if (form.action.includes("/studies/")) {
    event.preventDefault();
    send(form, event.submitter);
  }
});
document.addEventListener("change", event => {
  if (event.target.matches("[data-submit]")) { event.target.dataset.chosen = ""; event.target.form.requestSubmit(); }
  if (event.target.form?.id === "wanted") { turnTo(event.target.form, 1); freshList(); }
});
/* The buttons below the list have the same name as the field. */
function turnTo(form, page) { form.querySelector("input[name=page]").value = page; }
let typing = null;
document.addEventListener("input", event => {
  if (event.target.name !== "text") return;
  clearTimeout(typing);
  typing = setTimeout(() => { turnTo(event.target.form, 1); freshList(); }, 200);
});

/* ---- keys ---- */

document.addEventListener("keydown", event => {
  if (list && event.key === "Escape" && event.target.matches("[name=text]")) list.querySelector(".open")?.focus();
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (list) listKeys(event); else if (study) event.target.closest(".controls") ?? filmKeys(event, document.querySelector(".film"));
});

function listKeys(event) {
  const links = [...list.querySelectorAll(".open")];
  const row = document.activeElement?.closest("tr[data-study]");
  const at = links.findIndex(link => row?.contains(link));
  const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  if (step !== undefined) {
    event.preventDefault();
    links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + step))]?.focus();
  } else if (event.key === "/") {
    event.preventDefault();
    document.querySelector("[name=text]").focus();
  } else if (event.repeat) return;  // a key that is held down moves through the list, and does nothing to it
  else if (event.key === "c") (row?.querySelector("[data-key=claim]") ?? row?.querySelector("[data-key=release]"))?.click();
  else if (event.key === "r") row?.querySelector("[data-key=read]")?.click();
}

function filmKeys(event, film) {
  const names = { i: "invert", "0": "reset", "+": "closer", "-": "farther" };
  const focused = document.activeElement?.closest(".film") ?? film;
  if (names[event.key]) focused?.querySelector(`[data-control=${names[event.key]}]`)?.click();
  else if (event.key === "h") focused?.querySelector("[data-control=heat]")?.dispatchEvent(new Event("toggle-heat"));
}

/* ---- a film: heat map, window and level, inversion, zoom ---- */

function viewer(film) {
  const stage = film.querySelector(".stage"), sheet = film.querySelector(".sheet"), heat = film.querySelector(".heat");
  if (!sheet) return;
  const picture = film.querySelector(".picture"), control = name => film.querySelector(`[data-control=${name}]`);
  const functions = film.querySelectorAll("feFuncR, feFuncG, feFuncB"), filter = film.querySelector("filter").id;
  const now = { zoom: 1, x: 0, y: 0, inverted: false };
  let shownBefore = 45;

  function draw() {
    const width = control("window").value / 100, start = control("level").value / 100 - width / 2;
    let slope = 1 / width, intercept = -start / width;
    if (now.inverted) { slope = -slope; intercept = 1 - intercept; }
    functions.forEach(one => { one.setAttribute("slope", slope); one.setAttribute("intercept", intercept); });
    picture.style.filter = `url(#${filter})`;
    if (heat) heat.style.opacity = control("heat").value / 100;
    sheet.style.transform = `translate(${now.x}px, ${now.y}px) scale(${now.zoom})`;
    control("invert").setAttribute("aria-pressed", now.inverted);
  }
  function zoom(factor, at) {
    const to = Math.min(12, Math.max(1, now.zoom * factor)), by = to / now.zoom;
    now.x = at.x - (at.x - now.x) * by; now.y = at.y - (at.y - now.y) * by; now.zoom = to;
    if (to === 1) now.x = now.y = 0;
    draw();
  }
  function slide(name, by) { const one = control(name); one.value = Number(one.value) + by; }
  const middle = { x: 0, y: 0 };

  control("closer").onclick = () => zoom(1.4, middle);
  control("farther").onclick = () => zoom(1 / 1.4, middle);
  control("invert").onclick = () => { now.inverted = !now.inverted; draw(); };
  control("reset").onclick = () => {
    Object.assign(now, { zoom: 1, x: 0, y: 0, inverted: false });
    control("level").value = 50; control("window").value = 100; draw();
  };
  control("heat")?.addEventListener("toggle-heat", () => {
    const one = control("heat");
    if (Number(one.value)) { shownBefore = one.value; one.value = 0; } else one.value = shownBefore;
    draw();
  });
  film.addEventListener("input", draw);
  stage.addEventListener("wheel", event => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 });
  }, { passive: false });
  stage.addEventListener("pointerdown", event => stage.setPointerCapture(event.pointerId));
  stage.addEventListener("pointermove", event => {
    if (!stage.hasPointerCapture(event.pointerId)) return;
    if (event.shiftKey || event.buttons === 4) { now.x += event.movementX; now.y += event.movementY; }
    else { slide("window", event.movementX / 2); slide("level", event.movementY / 4); }
    draw();
  });
  stage.addEventListener("keydown", event => {
    const move = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    if (!move || now.zoom === 1) return;
    event.preventDefault();
    now.x += move[0]; now.y += move[1]; draw();
  });
  draw();
}
document.querySelectorAll(".film").forEach(viewer);
