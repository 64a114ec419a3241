// Adds to the page of the API at /docs what HTML alone cannot do: search, buttons that copy, and the current place in
// the contents. Without it everything else works.
"use strict";

const form = document.querySelector("form[role=search]");
const input = document.getElementById("search");
const output = form.querySelector("output");
const groups = [...document.querySelectorAll("nav details")];
const wasOpen = new Map(groups.map((group) => [group, group.open]));
const narrow = matchMedia("(max-width: 50rem)");

// What can be found: an operation, a resource, a chapter of the guide. Each with the links to it in the contents.
const parts = [...document.querySelectorAll("section[id]")].map((section) => ({
  element: section,
  link: document.querySelector(`nav a[href="#${CSS.escape(section.id)}"]`),
  text: section.textContent.toLowerCase(),
}));
const chapters = [...document.querySelectorAll(".chapter")];
const codes = [...document.querySelectorAll("#error-codes ~ dl dt")].map((dt) => ({
  dt,
  dd: dt.nextElementSibling,
  text: `${dt.textContent} ${dt.nextElementSibling.textContent}`.toLowerCase(),
}));

function search() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const searching = words.length > 0;
  const fits = (text) => words.every((word) => text.includes(word));
  let found = 0;
  for (const { element, link, text } of parts) {
    const shown = fits(text);
    element.hidden = !shown;
    if (link) link.parentElement.hidden = !shown;
    found += shown;
  }
  for (const { dt, dd, text } of codes) {
    dt.hidden = dd.hidden = !fits(text);
    found += !dt.hidden;
  }
  for (const chapter of chapters) {
    chapter.hidden = searching && !chapter.querySelector("section:not([hidden]), dt[id]:not([hidden])");
  }
  for (const group of groups) {
    const links = [...group.querySelectorAll("li")];
    for (const item of links) {
      const target = document.getElementById(item.firstElementChild.hash.slice(1));
      if (!target.matches("section")) item.hidden = searching;
    }
    group.hidden = searching && links.every((item) => item.hidden);
    group.open = searching || wasOpen.get(group);
  }
  document.querySelector(".guide").hidden = searching;
  document.querySelector(".nothing").hidden = !searching || found > 0;
  output.textContent = searching ? `${found} found` : "";
  if (searching) scrollTo({ top: 0 });
}

form.hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  document.querySelector("main section:not([hidden]), main dt[id]:not([hidden])")?.scrollIntoView();
});
input.addEventListener("input", search);
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    input.focus();
  } else if (event.key === "Escape" && event.target === input) {
    input.value = "";
    search();
  }
});

// A link to something that the search has hidden shows everything again.
addEventListener("hashchange", () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && input.value && !target.offsetParent) {
    input.value = "";
    search();
    target.scrollIntoView();
  }
});

if (navigator.clipboard) {
  for (const pre of document.querySelectorAll("pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(pre.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    pre.prepend(button);
  }
}

// On a phone the contents would push the page away: they are closed at first.
if (narrow.matches) {
  for (const group of groups) {
    group.open = false;
    wasOpen.set(group, false);
  }
}

// Marks the part of the page that is in sight.
const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const link = parts.find((part) => part.element === entry.target)?.link;
      if (!link || !entry.isIntersecting) continue;
      document.querySelector("nav a[aria-current]")?.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      if (!narrow.matches) link.closest("details").open = true;
    }
  },
  { rootMargin: "-20% 0px -70% 0px" },
);
for (const { element } of parts) observer.observe(element);
