// Everything works without this: it keeps the overview fresh, shows times in the viewer's zone, and
// presses the button of a link that signs in.
"use strict";

const STALE_SECONDS = 15;

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) localTime(time);
}

function localTime(time) {
  const at = new Date(time.dateTime);
  const text = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  if ("exact" in time.dataset) time.textContent = text;
  time.title = `${text} (${time.dateTime})`;
}

function follow(live, at, stale) {
  let waiting = null; // what came while somebody was about to press something
  let source = null;
  let hasEnded = false;
  const show = () => {
    // Where somebody reads or is about to press, nothing moves.
    const isBusy = live.querySelector(":is(a, button, summary, textarea):focus, details[open]");
    if (waiting === null || isBusy || String(getSelection())) return;
    live.innerHTML = waiting; // made by our server, which shows all values as text
    waiting = null;
    localTimes(live);
  };
  const connect = () => {
    source = new EventSource(live.dataset.live);
    source.addEventListener("part", (event) => {
      waiting = event.data;
      show();
    });
    source.addEventListener("at", (event) => {
      at.dateTime = event.data;
      localTime(at);
      show();
    });
    source.addEventListener("end", () => {
      hasEnded = true;
      source.close();
    });
  };
  connect();
  setInterval(() => {
    show();
    if (hasEnded) return;
    if (at) {
      const isStale = Date.now() - new Date(at.dateTime) > STALE_SECONDS * 1000;
      stale.textContent = isStale ? " – not fresh: the API does not answer, or you are signed out." : "";
    }
    if (source.readyState === EventSource.CLOSED) connect();
  }, 5000);
}

// A box that chooses all the boxes of a form.
function chooseAll(all) {
  const boxes = document.querySelectorAll(`input[type="checkbox"][form="${all.dataset.all}"]`);
  all.hidden = false;
  all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
}

// A part of a page that takes longer. Without this script its link leads to it.
async function load(part) {
  try {
    const answer = await fetch(part.dataset.part);
    if (!answer.ok) return;
    part.innerHTML = await answer.text(); // made by our server, which shows all values as text
    localTimes(part);
  } catch {
    // the link stays
  }
}

// What may stand in a field is asked for once somebody comes to it.
function suggest(input) {
  const ask = async () => {
    try {
      const answer = await fetch(input.dataset.suggest);
      const found = answer.ok ? await answer.json() : [];
      input.list.replaceChildren(...found.map((value) => new Option(value, value)));
    } catch {
      // then there are no suggestions
    }
  };
  input.addEventListener("focus", ask, { once: true });
}

localTimes(document);
document.querySelectorAll("input[data-suggest]").forEach(suggest);
document.querySelectorAll("[data-part]").forEach(load);
const live = document.getElementById("live");
if (live) follow(live, document.getElementById("at"), document.getElementById("stale"));
document.querySelectorAll("input[data-all]").forEach(chooseAll);
document.querySelector("form[data-press]")?.submit();
