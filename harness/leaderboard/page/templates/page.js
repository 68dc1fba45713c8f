"use strict";
// Sorting, filtering and choosing whose images are shown. Without script the page is complete, in table order.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function sorted(rows, column, direction) {
  const key = (row) => row.cells[column].dataset.v;
  const compare = (one, two) =>
    Number.isNaN(Number(one)) || Number.isNaN(Number(two)) ? one.localeCompare(two, "en") : one - two;
  return [...rows].sort((one, two) => {
    const [a, b] = [key(one), key(two)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return direction === "ascending" ? compare(a, b) : compare(b, a);
  });
}

for (const table of all("table[data-sortable]")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const opposite = { ascending: "descending", descending: "ascending" };
      const direction = opposite[head.getAttribute("aria-sort")] ?? button.dataset.first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction);
      const body = table.tBodies[0];
      body.append(...sorted(body.rows, column, direction));
    });
  });
}

const form = document.getElementById("filters");
const rows = all(".results tbody tr");

function shows(row, wanted) {
  return (
    row.dataset.method.toLowerCase().includes(wanted.text.value.trim().toLowerCase()) &&
    (wanted.references.checked || !("reference" in row.dataset)) &&
    all("select", form).every((select) => !select.value || row.getAttribute(`data-${select.name}`) === select.value)
  );
}

function filter() {
  const kept = new Set(rows.filter((row) => shows(row, form.elements)).map((row) => row.dataset.row));
  for (const part of all("[data-row]")) part.toggleAttribute("hidden", !kept.has(part.dataset.row));
  document.getElementById("count").value = `${kept.size} of ${rows.length} rows`;
}

form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());

const shown = document.getElementById("shown");
shown?.addEventListener("change", () => {
  for (const cell of all("[data-shows]")) cell.hidden = cell.dataset.shows !== shown.value;
});
