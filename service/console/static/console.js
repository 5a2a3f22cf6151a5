// Everything works without this: it keeps the overview fresh and shows times in the viewer's zone.
"use strict";

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const text = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    if ("exact" in time.dataset) time.textContent = text;
    time.title = `${text} (${time.dateTime})`;
  }
}

const live = document.getElementById("live");
localTimes(document);
if (live) {
  const source = new EventSource(live.dataset.live);
  source.addEventListener("overview", (event) => {
    // Where somebody reads or is about to press, nothing moves.
    if (live.contains(document.activeElement) || String(getSelection())) return;
    live.innerHTML = event.data; // made by our server, which shows all values as text
    localTimes(live);
  });
}
