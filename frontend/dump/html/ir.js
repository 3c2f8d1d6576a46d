// Text of a phase as elements: light highlighting, folded layers, and names that can be clicked.

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escapeHtml = text => text.replace(/[&<>"]/g, c => escapes[c]);

/** The name of a value without what makes it unique: %attention.q_12#1 is attention.q. */
const baseName = value => value.replace(/^%/, "").replace(/[#:]\d+$/, "").replace(/_\d+$/, "");

const tokens = new RegExp([
  /(?<comment>\/\/.*$|^#.*$)/, /(?<string>"(?:[^"\\]|\\.)*")/, /(?<value>%[\w.$-]+(?:#\d+)?)/, /(?<symbol>@(?:[\w.$-]+|"[^"]*"))/,
  /(?<type>\b(?:tensor|memref)<[^<>]*(?:<[^<>]*(?:<[^<>]*>)?[^<>]*>)?[^<>]*>)/,
  /(?<op>\b(?:graph|step|kernel|arith|scf|func|math|builtin)\.\w+|\b(?:module|return|attributes|private|instance|scratch|variable|offset)\b)/,
  /(?<number>\b\d[\d.e+-]*\b)/,
].map(part => part.source).join("|"), "g");

/** One line of IR as HTML. `needle` is a text in lower case whose places are marked, or "". */
function highlight(line, needle) {
  let html = "", end = 0;
  for (const match of line.matchAll(tokens)) {
    html += mark(line.slice(end, match.index), needle);
    end = match.index + match[0].length;
    const kind = Object.keys(match.groups).find(name => match.groups[name] !== undefined);
    const value = kind === "value" ? ` data-v="${escapeHtml(baseName(match[0]))}"` : "";
    html += `<span class="${kind}"${value}>${mark(match[0], needle)}</span>`;
  }
  return html + mark(line.slice(end), needle);
}

function mark(text, needle) {
  if (!needle) return escapeHtml(text);
  let html = "", at = 0;
  for (const lower = text.toLowerCase();;) {
    const found = lower.indexOf(needle, at);
    if (found < 0) return html + escapeHtml(text.slice(at));
    html += `${escapeHtml(text.slice(at, found))}<mark>${escapeHtml(text.slice(found, found + needle.length))}</mark>`;
    at = found + needle.length;
  }
}

/** A line without the numbers that make its names unique, to compare phases. */
const comparable = line => line.trim().replace(/(%[\w.$-]*?)_\d+\b/g, "$1");

/** All lines of a section, comparable. */
function lineSet(section) {
  const lines = new Set();
  for (const part of partsOf(section)) for (const line of textOf(part).split("\n")) lines.add(comparable(line));
  return lines;
}

/** What renderCode marks lines against: the other side's lines, or null where hardly one is the same. */
function linesToCompare(section, other) {
  const own = lineSet(section), others = lineSet(other);
  let common = 0;
  for (const line of own) common += others.has(line);
  return common * 5 < own.size ? null : others;
}

/** Lines of a section that hold the needle; a folded line counts once. */
function countMatches(section, needle) {
  if (!section || !needle) return 0;
  let count = 0;
  for (const part of partsOf(section))
    for (const line of textOf(part).toLowerCase().split("\n")) count += line.includes(needle);
  return count;
}

/**
 * The section's text. Lines that `other` (a set of comparable lines, or null) lacks get the class of `side`; with `only` lines without the needle
 * are left out.
 */
function renderCode(section, { needle = "", only = false, other = null, side = "" } = {}) {
  const lines = text => {
    const html = [];
    for (const line of text.split("\n")) {
      const matches = !needle || line.toLowerCase().includes(needle);
      if (only && !matches) continue;
      const differs = other && !other.has(comparable(line));
      html.push(`<span class="line${differs ? ` ${side}` : ""}">${highlight(line, matches ? needle : "") || " "}</span>`);
    }
    return html.join("");
  };
  const code = el("pre", { class: "code", tabindex: 0 });
  for (const part of partsOf(section)) {
    const inner = lines(prettyText(section, textOf(part)));
    if (!inner) continue;
    if (typeof part === "string") {
      const block = el("code");
      block.innerHTML = inner;
      code.append(block);
    } else {
      const block = el("details", { class: "fold", open: true },
        el("summary", {}, `× ${part.repeats} instances`, el("span", { class: "quiet" }, ` ${part.first} … ${part.last}; shown: ${part.first}`)));
      const body = el("code");
      body.innerHTML = inner;
      block.append(body);
      code.append(block);
    }
  }
  return code;
}

/** JSON is one line in the dump. */
function prettyText(section, text) {
  if (section.kind !== "text" || !text.startsWith("{")) return text.replace(/\n$/, "");
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Highlights a value's name wherever it is shown, in all code of the page. */
function showValue() {
  let sheet = document.getElementById("value-style");
  if (!sheet) document.head.append(sheet = el("style", { id: "value-style" }));
  const name = get("value");
  sheet.textContent = name ? `.value[data-v=${JSON.stringify(name)}] { background: var(--value-mark); outline: 1px solid var(--accent); }` : "";
}

/** Clicking a value's name highlights it, and again takes that back. */
function clickValue(event) {
  const value = event.target.closest(".value");
  if (!value) return;
  set({ value: get("value") === value.dataset.v ? null : value.dataset.v });
  showValue();
}
