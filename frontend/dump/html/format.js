// Numbers and elements.

function scaled(value, units, base, digits = 3) {
  let unit = 0;
  while (Math.abs(value) >= base && unit + 1 < units.length) {
    value /= base;
    ++unit;
  }
  const text = unit === 0 ? String(value) : value.toPrecision(Math.max(digits, Math.trunc(Math.log10(Math.abs(value))) + 1));
  return units[unit] ? `${text} ${units[unit]}` : text;
}

const formatBytes = value => value === undefined ? "" : scaled(value, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
const formatFlops = value => value === undefined ? "" : scaled(value, ["", "k", "M", "G", "T", "P", "E"], 1000);
const formatParameters = value => scaled(value, ["", "k", "M", "B", "T"], 1000);
const formatCount = value => value === undefined ? "" : value.toLocaleString("en-US");
const formatPercent = share => share >= 0.0995 ? `${(100 * share).toFixed(0)} %` : `${(100 * share).toFixed(1)} %`;

function formatSeconds(value) {
  if (value === undefined) return "";
  return value < 1 ? `${(1000 * value).toPrecision(value < 0.001 ? 2 : 3)} ms` : `${value.toFixed(2)} s`;
}

/** An element: attributes by name, `on...` listeners, then children (elements or texts; null is left out). */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children.flat().filter(child => child !== null && child !== undefined));
  return element;
}

/** An element of a drawing. */
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children.flat().filter(child => child !== null && child !== undefined));
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** A table; columns are {title, number: right-aligned}, rows are lists of cells. */
function table(columns, rows, attributes = {}) {
  const cell = (content, column) => el("td", { class: column.number ? "number" : null }, content);
  return el("table", attributes,
    el("thead", {}, el("tr", {}, columns.map(column => el("th", { scope: "col", class: column.number ? "number" : null }, column.title)))),
    el("tbody", {}, rows.map(row => el("tr", {}, row.map((content, index) => cell(content, columns[index]))))));
}
