"use strict";
// The console works without this file, except for copy buttons, live progress and local times.

// Menus that unfold close on Escape and on a click elsewhere.
const menus = "details.person, details.filter, .bottom-bar details";
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(menus)) if (menu.open && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(menus)) {
    if (!menu.open) continue;
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Times are shown in the local time of the browser; a button shows UTC. The server writes UTC.
const utcButton = document.querySelector("[data-utc]");
const showTimes = (root = document) => {
  const isUtc = localStorage.getItem("utc") === "yes";
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.dataset.written ??= time.textContent;
    const moment = new Date(time.dateTime);
    if (isUtc) {
      time.textContent = time.dataset.written;
      continue;
    }
    const day = { day: "numeric", month: "short", year: "numeric" };
    const parts = "day" in time.dataset ? day : { ...day, hour: "2-digit", minute: "2-digit", hour12: false };
    if ("hour" in time.dataset) { delete parts.day; delete parts.month; delete parts.year; }
    time.textContent = new Intl.DateTimeFormat("en-GB", parts).format(moment);
  }
  const zone = document.querySelector("[data-zone]");
  if (!zone || !utcButton || !new Date().getTimezoneOffset()) return;
  zone.textContent = isUtc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
  utcButton.textContent = isUtc ? "Show local time" : "Show UTC";
  utcButton.hidden = false;
};
if (utcButton) {
  utcButton.addEventListener("click", () => {
    localStorage.setItem("utc", localStorage.getItem("utc") === "yes" ? "no" : "yes");
    showTimes();
  });
}
showTimes();

// A page with errors begins at them.
document.querySelector("[data-focus]")?.focus();

// A form with `data-once` is sent once, however often its button is clicked.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-once")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("[type=submit]")) button.classList.add("busy");
});
// The id of a form is added to the URL of its page, so that Back opens the same form, which the server knows was sent,
// and not a new one.
const once = document.querySelector("form:not([action]) input[name=once]");
if (once) {
  const address = new URL(location.href);
  address.searchParams.set("once", once.value);
  history.replaceState(history.state, "", address);
}
// After Back from the result page: the form may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll(".busy")) button.classList.remove("busy");
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS there is no clipboard: select the text, so that it can be copied with a key press.
    const range = document.createRange();
    range.selectNodeContents(document.getElementById(button.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = "Press Ctrl+C";
    return;
  }
  button.textContent = "Copied";
});

// A page with `data-poll` shows progress: it polls once a second, and reloads at the end.
const live = document.querySelector("[data-poll]");
if (live) {
  const look = async () => {
    try {
      const answer = await fetch(live.dataset.poll, { headers: { Accept: "application/json" } });
      const state = await answer.json();
      live.querySelector("[data-done]").textContent = state.text;
      const bar = live.querySelector("progress");
      if (state.share === null) bar.removeAttribute("value");
      else bar.value = state.share;
      if (!state.running) {
        location.reload();
        return;
      }
    } catch {
      // The server may be restarting: keep polling.
    }
    setTimeout(look, 1000);
  };
  setTimeout(look, 500);
}

// Search ----------------------------------------------------------------
// "/" leads to the search field from everywhere. In the results, the arrow keys go from hit to hit; Enter opens one.
const findField = document.querySelector("[data-find]");
const hits = [...document.querySelectorAll(".hit")];
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const writes = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  if (event.key === "/" && findField && !writes) {
    event.preventDefault();
    findField.focus();
    findField.select();
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const place = hits.indexOf(event.target);
  if (!hits.length || (place < 0 && event.target !== findField)) return;
  event.preventDefault();
  const next = place + (event.key === "ArrowDown" ? 1 : -1);
  (next < 0 ? findField : hits[next])?.focus();
});
hits[0]?.focus();
// end of Search


// Overview and inbox ----------------------------------------------------------------

// end of Overview and inbox


// Pool ----------------------------------------------------------------

// "Never expires" disables the number next to it.
for (const box of document.querySelectorAll("[data-turns-off]")) {
  const number = box.form.elements[box.name.replace(/never$/, box.dataset.turnsOff)];
  const update = () => { number.disabled = box.checked; };
  box.addEventListener("change", update);
  update();
}

// end of Pool


// Keys ----------------------------------------------------------------

// end of Keys


// Imports ----------------------------------------------------------------

// Files dropped on `data-drop` join those of its file field.
for (const zone of document.querySelectorAll("[data-drop]")) {
  const input = zone.querySelector("input[type=file]");
  const name = zone.querySelector("[data-name]");
  const show = () => { name.textContent = [...input.files].map((file) => file.name).join(", "); };
  input.addEventListener("change", show);
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const files = new DataTransfer();
    for (const file of [...input.files, ...event.dataTransfer.files]) files.items.add(file);
    input.files = files.files;
    show();
  });
}

const keysForm = document.querySelector("[data-keys-form]");
if (keysForm) {
  const text = keysForm.querySelector("textarea");
  const count = keysForm.querySelector("[data-count-of]");
  const input = keysForm.querySelector("input[type=file]");
  const countLines = () => {
    const lines = text.value.split("\n").filter((line) => line.trim()).length;
    count.textContent = lines ? `${lines.toLocaleString("en-US")} line${lines === 1 ? "" : "s"}` : "";
  };
  text.addEventListener("input", countLines);
  countLines();
  // The server limits the size of text, but not of files: a long pasted text is sent as a file.
  const isLong = () => text.value.length >= 900_000;
  keysForm.addEventListener("formdata", (event) => {
    if (!isLong()) return;
    event.formData.delete("keys");
    event.formData.append("file", new File([text.value], "pasted.txt", { type: "text/plain" }));
  });
  // After the end of a session, the server keeps a small text until the next sign-in. A large one stays in the page.
  keysForm.addEventListener("submit", async (event) => {
    const isLarge = isLong() || [...input.files].reduce((size, file) => size + file.size, text.value.length) > 900_000;
    if (!isLarge || keysForm.dataset.isSignedIn) return;
    event.preventDefault();
    event.stopPropagation();
    let isSignedIn = false;
    try {
      const page = await fetch(location.href, { method: "HEAD", redirect: "manual" });
      isSignedIn = page.ok;
    } catch {
      // The server may be restarting: nothing is sent.
    }
    keysForm.querySelector("[data-signed-out]").hidden = isSignedIn;
    if (!isSignedIn) return;
    keysForm.dataset.isSignedIn = "yes";
    keysForm.requestSubmit();
    delete keysForm.dataset.isSignedIn;
  });
}

// An action on many keys goes on by itself.
const unfinished = document.querySelector("form[data-continue]");
if (unfinished) setTimeout(() => unfinished.requestSubmit(), 500);
// end of Imports


// Activity ----------------------------------------------------------------

// The server groups entries by the days of UTC; the days that are shown are those of the times that are shown.
const activity = document.querySelector("table.activity:has(tr.day)");
const groupByDay = () => {
  const zone = localStorage.getItem("utc") === "yes" ? { timeZone: "UTC" } : {};
  const long = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", ...zone });
  const today = long.format(new Date());
  const yesterday = long.format(new Date(Date.now() - 86_400_000));
  const heading = activity.querySelector("tr.day");
  const bodies = [];
  let last = "";
  for (const row of activity.querySelectorAll("tr.entry")) {
    const day = long.format(new Date(row.querySelector("time").dateTime));
    if (day !== last) {
      const head = heading.cloneNode(true);
      head.firstElementChild.textContent = day === today ? "Today" : day === yesterday ? "Yesterday" : day;
      bodies.push(document.createElement("tbody"));
      bodies.at(-1).append(head);
      last = day;
    }
    bodies.at(-1).append(row);
  }
  for (const body of activity.querySelectorAll("tbody")) body.remove();
  activity.append(...bodies);
};
if (activity) {
  groupByDay();
  utcButton?.addEventListener("click", groupByDay);
}

// end of Activity


// Licenses and customers ----------------------------------------------------------------

// end of Licenses and customers


// Team, tokens, settings ----------------------------------------------------------------

// end of Team, tokens, settings


// Actions on many rows ----------------------------------------------------------------

// end of Actions on many rows

