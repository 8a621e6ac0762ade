// What the pages do besides links and forms: come in by a link, hear of changes, keys.
"use strict";
(() => {
  const enter = document.getElementById("enter");
  if (enter && location.hash.length > 20) {
    enter.elements.key.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname + location.search);
    enter.submit();
    return;
  }
  document.getElementById("away")?.click();
  const back = document.getElementById("back");
  if (back) {
    history.replaceState(null, "", location.pathname);
    back.submit();
    return;
  }

  // Live: parts marked data-live are fetched again when something changed, unless somebody is
  // writing in them.
  const parts = () => [...document.querySelectorAll("[data-live][id]")];
  const busy = (part) => {
    const field = document.activeElement;
    const typed = [...part.querySelectorAll("input:not([type=hidden]),textarea")];
    return part.contains(field) || typed.some((one) => one.value !== one.defaultValue)
      || part.querySelector("details[open]:not([data-open])") !== null;
  };
  // Details that come open are not somebody's doing.
  const opened = (root) => root.querySelectorAll("details[open]").forEach(
    (one) => { one.dataset.open = ""; });
  opened(document);
  const say = (text) => {
    const live = document.getElementById("live");
    if (live) live.textContent = text;
  };
  let fetching = false;
  let again = false;
  const refresh = async () => {
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      const answer = await fetch(location.pathname + location.search, {
        headers: { "HX-Request": "true" }, redirect: "error", credentials: "same-origin",
      });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts()) {
        const other = fresh.getElementById(part.id);
        if (!other || busy(part)) continue;
        const next = document.importNode(other, true);
        opened(next);
        if (part.innerHTML === next.innerHTML) continue;
        part.replaceWith(next);
        htmx.process(next);
      }
      document.title = fresh.title;
      say("Changed at " + new Date().toISOString().slice(11, 19) + ".");
      document.body.dispatchEvent(new CustomEvent("changed"));
    } finally {
      fetching = false;
      if (again) { again = false; refresh(); }
    }
  };
  if (parts().length) {
    let mark = null;
    const source = new EventSource("/live");
    source.addEventListener("changed", (event) => {
      if (mark !== null && mark !== event.data) refresh();
      mark = event.data;
      document.documentElement.dataset.live = "yes";
    });
    source.addEventListener("over", () => { source.close(); location.reload(); });
    source.onerror = () => say("Not connected: this page may be old.");
    source.onopen = () => say("");
    addEventListener("pagehide", () => source.close());
  }

  // Keys.
  const keys = document.getElementById("keys");
  const opener = document.getElementById("keys-open");
  if (opener) opener.addEventListener("click", () => keys.showModal());
  let before = "";
  const pick = (step) => {
    const all = [...document.querySelectorAll(".pick > li")].map(
      (one) => one.querySelector("a.whole, button, a")).filter(Boolean);
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input,textarea,select,dialog")) return;
    if (before === "g") {
      const place = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
      before = "";
      if (place) { event.preventDefault(); place.click(); }
      return;
    }
    before = event.key === "g" ? "g" : "";
    if (event.key === "/") { event.preventDefault(); document.getElementById("q")?.focus(); }
    if (event.key === "?") keys?.showModal();
    if (event.key === "j") pick(1);
    if (event.key === "k") pick(-1);
  });
})();
