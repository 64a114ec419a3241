"use strict";
// The console works without this file, except for copy buttons and live progress.

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
const once = document.querySelector("form input[name=once]");
if (once) {
  const address = new URL(location.href);
  address.searchParams.set("once", once.value);
  history.replaceState(history.state, "", address);
}
// The server limits the size of text, but not of files: a long pasted text is sent as a file.
document.addEventListener("submit", (event) => {
  const text = event.target.querySelector("textarea[data-long]");
  if (!text || text.value.length < 1_000_000) return;
  const files = new DataTransfer();
  files.items.add(new File([text.value], "pasted.txt", { type: "text/plain" }));
  event.target.querySelector("input[type=file]").files = files.files;
  text.value = "";
});
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

// A file dropped on `data-drop` is set in its file field.
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
    input.files = event.dataTransfer.files;
    show();
  });
}

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
