"use strict";
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const dark = matchMedia("(prefers-color-scheme: dark)");
const views = new Map(); // by element of a picture: its definition and Vega's view of it
const curves = {}; // from the files beside the page
const waiting = {};

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(one(`#${id}`).textContent), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}
const data = unpacked("data");
let details; // unpacked when the first bug is opened

// ---- pictures
function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, paper, rule] = ["--ink", "--paper", "--rule"].map(name => style.getPropertyValue(name).trim());
  const words = { labelColor: ink, titleColor: ink };
  return {
    background: paper, font: "system-ui, sans-serif", view: { stroke: rule },
    axis: { ...words, gridColor: rule, domainColor: rule, tickColor: rule }, legend: words, title: { color: ink },
  };
}
async function draw(element, spec) {
  views.get(element)?.view.finalize();
  const options = { actions: false, renderer: "svg", config: colours() };
  views.set(element, { spec, view: (await vegaEmbed(element, spec, options)).view });
}
dark.addEventListener("change", () => views.forEach(({ spec }, element) => element.isConnected && draw(element, spec)));

// ---- files
function saved(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
const quoted = value => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
const csv = rows => rows.map(row => row.map(value => quoted(String(value ?? ""))).join(",")).join("\n") + "\n";
function rowsOfTable(table) {
  const own = row => row.closest("table") === table && !row.hidden && row.className !== "open";
  const rows = all("tr", table).filter(own);
  return rows.map(row => [...row.cells].map(cell => cell.textContent.trim()));
}
function rowsOfChart(spec) {
  const rows = Object.values(spec.datasets ?? {})[0] ?? (spec.data ?? spec.layer[0].data).values;
  const names = [...new Set(rows.flatMap(Object.keys))];
  return [names, ...rows.map(row => names.map(name => row[name]))];
}
async function save(button) {
  const { csv: wanted, svg } = button.dataset;
  const id = wanted ?? svg, source = document.getElementById(id);
  const chart = source.tagName === "TABLE" ? null : one(".chart", source);
  if (svg) saved(`${id}.svg`, "image/svg+xml", await views.get(chart).view.toSVG());
  else saved(`${id}.csv`, "text/csv", csv(chart ? rowsOfChart(views.get(chart).spec) : rowsOfTable(source)));
}

// ---- tables
function sort(header) {
  const table = header.closest("table"), column = header.cellIndex;
  const way = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  all("th[aria-sort]", table).forEach(other => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
  all("tr.open", table).forEach(close);
  const text = row => row.cells[column].textContent.trim();
  const number = value => /^[-+]?[\d,.]+/.test(value) ? parseFloat(value.replaceAll(",", "")) : NaN;
  const keyed = [...table.tBodies[0].rows].map(row => [text(row), number(text(row)), row]);
  const numeric = keyed.some(([, value]) => !isNaN(value));
  keyed.sort(([a, x], [b, y]) => {
    if (!numeric) return way * a.localeCompare(b, "en", { numeric: true });
    return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : way * (x - y); // what has no number comes last
  });
  table.tBodies[0].append(...keyed.map(([, , row]) => row));
  const form = one(`form[data-table="${table.id}"]`);
  if (form) choose(form);
}
async function choose(form) {
  const table = document.getElementById(form.dataset.table), wanted = Object.fromEntries(new FormData(form));
  all("tr.open", table).forEach(close);
  const words = wanted.search.toLowerCase(), known = (await data).filters;
  delete wanted.search;
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const filters = known[one("[data-open]", row).dataset.open];
    const fits = Object.entries(wanted).every(([key, value]) => !value || filters[key].includes(value));
    row.hidden = !fits || !row.textContent.toLowerCase().includes(words);
    shown += !row.hidden;
    row.classList.toggle("later", shown > form.dataset.most);
  }
  one("output", form).textContent = `${shown} of ${table.tBodies[0].rows.length} bugs`;
}

function more(button) {
  const form = one(`form[data-table="${button.dataset.more}"]`);
  form.dataset.most = Infinity;
  button.remove();
  choose(form);
}

// ---- bugs and traces
function close(row) {
  one("[data-open]", row.previousElementSibling).setAttribute("aria-expanded", "false");
  row.remove();
}
async function open(button) {
  const row = button.closest("tr");
  if (button.getAttribute("aria-expanded") === "true") return close(row.nextElementSibling);
  button.setAttribute("aria-expanded", "true");
  const below = document.createElement("tr");
  below.className = "open";
  below.innerHTML = `<td colspan="${row.cells.length}"><section class="bug"></section></td>`;
  row.after(below);
  const section = one("section", below);
  section.setAttribute("aria-label", button.textContent);
  section.dataset.key = button.dataset.open;
  section.innerHTML = (await (details ??= unpacked("details")))[button.dataset.open];
}
async function trace(button) {
  const { trace: key } = button.dataset, section = button.closest(".bug");
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) return document.getElementById(`trace-${key}`).remove();
  const below = document.createElement("article");
  below.id = `trace-${key}`;
  section.append(below);
  below.innerHTML = (await details)[key];
  const place = one(".curves", below), known = await data;
  const found = known.curves[key] ?? curves[key] ?? await beside(known.beside[section.dataset.key], key);
  if (!found?.length) return void (place.textContent = found ? "It has none." : "Their file is not beside this page.");
  const values = found.flatMap(({ values, ...what }) => values.map((value, index) => ({ ...what, epoch: index + 1, value })));
  for (const [kind, spec] of Object.entries(known.trace)) {
    const id = `${kind}-${key}`, figure = place.appendChild(document.createElement("figure"));
    figure.id = id;
    figure.innerHTML = `<div class="chart"></div><p class="tools">
      <button type="button" data-svg="${id}">SVG<span class="hidden"> of the ${kind}</span></button>
      <button type="button" data-csv="${id}">CSV<span class="hidden"> of the ${kind}</span></button></p>`;
    await draw(figure.firstChild, { ...spec, datasets: { curves: values } });
  }
}
function beside(path, key) {
  waiting[path] ??= new Promise(done => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = script.onerror = done;
    document.head.append(script);
  });
  return waiting[path].then(() => curves[key]);
}
function netmendCurves(more) { Object.assign(curves, more); } // those files call it

document.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  const header = button.closest("table.sortable > thead th");
  if (header) sort(header);
  else if (button.dataset.open) open(button);
  else if (button.dataset.trace) trace(button);
  else if (button.dataset.more) more(button);
  else save(button);
});
all("form.filters").forEach(form => {
  form.addEventListener("input", () => choose(form));
  form.addEventListener("submit", event => event.preventDefault());
});
data.then(({ charts }) => all("[data-chart]").forEach(element => draw(element, charts[element.dataset.chart])));
