// SPDX-License-Identifier: Apache-2.0
"use strict";
// The page works without this. It adds Airflow's theme, links out of Airflow's frame, and a refresh.

const REFRESH_SECONDS = 15;
const THEME_KEY = "theme"; // as Airflow's UI keeps it

function applyTheme() {
  let theme = null;
  try {
    theme = localStorage.getItem(THEME_KEY);
  } catch {
    // No storage: the browser's preference stays.
  }
  const root = document.documentElement;
  root.classList.toggle("dark", theme === "dark");
  root.classList.toggle("light", theme === "light");
}

// Airflow shows the page in a sandboxed frame, which may not navigate the window. A link of the window may.
function followInTopWindow(event) {
  const link = event.target.closest("a[target='_top'], a[target='_blank']");
  if (!link || window.top === window || event.defaultPrevented || event.button === 2) return;
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  let outside;
  try {
    outside = window.top.document;
  } catch {
    return; // shown by another site
  }
  event.preventDefault();
  const twin = outside.createElement("a");
  twin.href = link.href;
  twin.rel = link.rel;
  twin.target = isPlain && link.target === "_top" ? "_self" : "_blank";
  twin.hidden = true;
  outside.body.append(twin);
  twin.click();
  twin.remove();
}

let isPaused = false;
let isLoading = false;

async function refresh() {
  if (isPaused || isLoading || document.hidden) return;
  isLoading = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    // A session that has ended leads to the login page, which is no error.
    if (!fresh.getElementById("refreshed")) say("refreshed", "Not refreshed: log in to Airflow again.");
    else if (!isPaused) replaceParts(fresh);
  } catch {
    say("refreshed", "The last refresh failed.");
  } finally {
    isLoading = false;
  }
}

function replaceParts(fresh) {
  const before = document.getElementById("jobs-count")?.textContent;
  let isWhole = true;
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const next = fresh.getElementById(part.id);
    if (!next || next.innerHTML === part.innerHTML) continue;
    // A part with the keyboard's focus, or with marked text, stays as it is.
    if (isInUse(part)) isWhole = false;
    else part.replaceChildren(...next.childNodes);
  }
  if (isWhole) document.getElementById("refreshed")?.replaceChildren(...fresh.getElementById("refreshed").childNodes);
  const after = document.getElementById("jobs-count")?.textContent;
  // Only what matters is read out: not each refresh, but that the list has changed.
  if (after !== undefined && after !== before) say("announcement", after);
}

function isInUse(part) {
  const selection = document.getSelection();
  const isMarked = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  return Boolean(isMarked) || (part.contains(document.activeElement) && document.activeElement !== document.body);
}

function say(id, text) {
  const place = document.getElementById(id);
  if (place) place.textContent = text;
}

function startRefresh() {
  const toggle = document.getElementById("refresh-toggle");
  if (!toggle || !document.querySelector("[data-refresh]")) return;
  document.getElementById("refresh").hidden = false;
  toggle.addEventListener("click", () => {
    isPaused = !isPaused;
    toggle.setAttribute("aria-pressed", String(isPaused));
    if (!isPaused) refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, REFRESH_SECONDS * 1000);
}

applyTheme();
window.addEventListener("storage", (event) => {
  if (event.key === THEME_KEY || event.key === null) applyTheme();
});
document.addEventListener("click", followInTopWindow);
document.addEventListener("auxclick", followInTopWindow);
startRefresh();
