"use strict";
const box = document.getElementById("filter"), buttons = [...document.querySelectorAll(".filter button")], shown = document.getElementById("shown");
const rows = [...document.querySelectorAll("tr[data-verdict]")], groups = [...document.querySelectorAll("section.ns")];
const texts = rows.map(r => (r.closest("section").firstElementChild.firstChild.data + r.textContent).toLowerCase());
function apply() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean), on = buttons.filter(b => b.getAttribute("aria-pressed") === "true").map(b => b.dataset.verdict);
  let n = 0;
  rows.forEach((r, i) => {
    const hit = (!on.length || on.includes(r.dataset.verdict)) && words.every(w => texts[i].includes(w));
    r.hidden = !hit;
    if (hit) n++;
  });
  for (const g of groups) g.hidden = !g.querySelector("tr[data-verdict]:not([hidden])");
  shown.textContent = n + " of " + rows.length + " workloads";
}
function changed() { apply(); document.getElementById("workloads").scrollIntoView(); }
box.addEventListener("input", changed);
for (const b of buttons) b.addEventListener("click", () => { b.setAttribute("aria-pressed", b.getAttribute("aria-pressed") !== "true"); changed(); });
for (const b of document.querySelectorAll("button.copy")) b.addEventListener("click", () => navigator.clipboard.writeText(b.previousElementSibling.textContent).then(() => { b.textContent = "copied"; }));
apply();
if (document.documentElement.dataset.live) {
  let version = "";
  setInterval(() => fetch("/version" + location.search).then(r => r.ok ? r.text() : "").then(v => { if (v && version && v !== version) location.reload(); version = v || version; }).catch(() => {}), 5000);
}
