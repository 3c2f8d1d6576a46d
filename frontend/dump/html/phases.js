// Two phases side by side: one row per function, program and kernel, by name.

/** The two phases that the state names; by default the last two with text. */
function chosenPhases() {
  const withText = data.phases.filter(phase => phase.sections.length);
  const find = (name, fallback) => withText.find(phase => phase.name === name) || fallback;
  const right = find(get("right"), withText[withText.length - 1]);
  return [find(get("left"), before(right)), right];
}

/** Which rows were opened (true) or closed by hand. */
const openRows = new Map();
const keyOf = ({ kind, name }) => kind === "text" || kind === "module" ? kind : `${kind} ${name}`;

const order = { text: 0, program: 1, function: 2, state: 3, module: 4, kernel: 5 };

/** Sections of both phases by kind and name: {kind, name, left, right}, in the order of the right phase. */
function pairSections(left, right) {
  const rows = new Map();
  for (const section of right.sections) rows.set(keyOf(section), { kind: section.kind, name: section.name, right: section });
  for (const section of left.sections) {
    const row = rows.get(keyOf(section));
    if (row) row.left = section;
    else rows.set(keyOf(section), { kind: section.kind, name: section.name, left: section });
  }
  // The step itself first, then what it calls.
  const rank = row => order[row.kind] + (row.name === "train_step" ? -0.5 : 0);
  return [...rows.values()].sort((a, b) => rank(a) - rank(b));
}

function showPhases(main) {
  const [left, right] = chosenPhases();
  const needle = get("search").trim().toLowerCase();
  const rows = pairSections(left, right).filter(row => {
    if (get("changes") && row.left && row.right && row.left.text === row.right.text) return false;
    return !needle || countMatches(row.left, needle) + countMatches(row.right, needle) > 0;
  });
  main.append(phaseToolbar(left, right), ...phaseMatches(needle),
    el("div", { class: "pair heads" }, phaseHead(left, "left"), phaseHead(right, "right")));
  const list = el("div", { id: "sections", onclick: clickValue });
  const first = rows.find(row => row.name === get("function")) || defaultRow(rows);
  let kernels = null;
  for (const row of rows) {
    let target = list;
    if (row.kind === "kernel") {
      if (!kernels) {
        const count = rows.filter(other => other.kind === "kernel").length;
        kernels = el("details", { class: "kernel-group", open: needle !== "" || first.kind === "kernel" }, el("summary", {}, `${count} kernels`));
        list.append(kernels);
      }
      target = kernels;
    }
    const open = needle ? rows.indexOf(row) < 40 : openRows.get(keyOf(row)) ?? row === first;
    target.append(sectionRow(row, needle, open));
  }
  if (!rows.length) list.append(el("p", { class: "quiet" }, needle ? `“${needle}” occurs in neither phase.` : "These phases do not differ."));
  main.append(list);
  showValue();
  // A link to a function leads to it.
  if (get("function") && !needle && document.activeElement === document.body)
    list.querySelector(`[data-name=${JSON.stringify(get("function"))}]`)?.scrollIntoView();
  for (const code of list.querySelectorAll(".code")) {
    const found = needle && code.querySelector("mark");
    if (found) code.scrollTop = found.offsetTop - code.offsetTop - 60;
  }
}

/** What is open without a search: the forward pass of the layer that runs most often. */
function defaultRow(rows) {
  const calls = row => ((row.right || row.left).calls || 0) + (row.name.endsWith(".forward") ? 0.5 : 0);
  const functions = rows.filter(row => row.kind === "function");
  return functions.reduce((best, row) => calls(row) > calls(best) ? row : best, functions[0] || rows[0]);
}

function phaseToolbar(left, right) {
  const select = (side, present) => el("label", {}, `${side} `,
    el("select", { id: `select-${side}`, onchange: event => openView("phases", { left: left.name, right: right.name, [side]: event.target.value }) },
      data.phases.filter(phase => phase.sections.length)
        .map(phase => el("option", { value: phase.name, selected: phase === present }, phase.name))));
  const check = (name, title) => el("label", {}, el("input", {
    type: "checkbox", id: `check-${name}`, checked: get(name) !== "", onchange: event => openView("phases", { [name]: event.target.checked ? "1" : null }),
  }), ` ${title}`);
  return el("div", { class: "toolbar" },
    select("left", left),
    el("button", { id: "swap", title: "Swap the phases", "aria-label": "Swap the phases", onclick: () => openView("phases", { left: right.name, right: left.name }) }, "⇄"),
    select("right", right),
    searchBox("phases", "find a value, an op, a type…"),
    check("matches", "only matching lines"), check("changes", "only what differs"));
}

/** The search's text is part of the state; typing shows results after a moment. */
function searchBox(view, placeholder) {
  let timer;
  return el("input", {
    type: "search", id: "search", placeholder, "aria-label": "Search", value: get("search"), spellcheck: "false",
    oninput: event => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const { value, selectionStart } = event.target;
        openView(view, { search: value });
        const box = document.getElementById("search");
        box.focus();
        box.setSelectionRange(selectionStart, selectionStart);
      }, 250);
    },
  });
}

/** How many lines of each phase match; a click shows that phase on the right. */
function phaseMatches(needle) {
  if (!needle) return [];
  return [el("p", { id: "matches", class: "chips" }, "Matching lines: ", data.phases.filter(phase => phase.sections.length).map(phase => {
    const count = phase.sections.reduce((sum, section) => sum + countMatches(section, needle), 0);
    return el("button", { "data-phase": phase.name, "data-count": count, onclick: () => openView("phases", { left: before(phase).name, right: phase.name }) },
      `${phase.name} ${formatCount(count)}`);
  }))];
}

/** Name, summary and figures of a phase, with their change against the phase before. */
function phaseHead(phase, side) {
  const figures = [["ops", formatCount], ["functions", formatCount], ["kernels", formatCount], ["flops", formatFlops], ["bytes", formatBytes], ["peak_bytes", formatBytes]]
    .filter(([name]) => phase.figures[name]);
  const titles = { flops: "FLOPs per step", bytes: "bytes per step", peak_bytes: "peak memory" };
  return el("div", { id: `head-${side}`, "data-phase": phase.name },
    el("h2", {}, phase.name, " ", el("a", { class: "file", href: phase.file }, phase.file)),
    el("p", { class: "quiet" }, phase.summary),
    el("ul", { class: "figures" }, figures.map(([name, format]) => el("li", {}, el("b", {}, format(phase.figures[name])), ` ${titles[name] || name} `,
      el("span", { class: "change" }, describeChange(phase, name, format))))));
}

/** A row: its head opens and closes both sides, which are rendered when first opened. */
function sectionRow(row, needle, open) {
  const present = row.right || row.left, same = row.left && row.right && row.left.text === row.right.text;
  const body = el("div", { class: "pair" });
  const fill = () => {
    if (body.firstChild) return;
    const sides = [["left", "gone"], ["right", "new"]].map(([side, mark]) => {
      const other = row[side === "left" ? "right" : "left"];
      if (!row[side]) return el("div", { class: "absent quiet" }, "not in this phase");
      const options = { needle, only: get("matches") !== "", side: mark, other: same || !other || row.kind === "text" ? null : linesToCompare(row[side], other) };
      return el("div", { class: "side", "data-side": side }, renderCode(row[side], options));
    });
    body.append(...sides);
  };
  const facts = [];
  if (present.calls > 1 && present.first !== present.last) facts.push(`× ${present.calls} calls per step (${present.first} … ${present.last})`);
  else if (present.calls > 1) facts.push(`× ${present.calls} calls per step`);
  for (const [name, format, unit] of [["ops", formatCount, "ops"], ["flops", formatFlops, "FLOPs"]]) {
    const values = [row.left, row.right].map(section => section && section[name]).map(value => value ? format(value) : "–");
    if (values.some(value => value !== "–")) facts.push(values[0] === values[1] ? `${values[0]} ${unit}` : `${values[0]} → ${values[1]} ${unit}`);
  }
  const matches = needle ? countMatches(row.left, needle) + countMatches(row.right, needle) : 0;
  const details = el("details", { class: "section", "data-name": row.name, "data-kind": row.kind, open },
    el("summary", {}, el("span", { class: `kind ${row.kind}` }, row.kind), el("b", {}, row.name),
      same ? el("span", { class: "badge" }, "same in both") : null,
      matches ? el("span", { class: "badge hit" }, `${matches} matches`) : null,
      el("span", { class: "quiet" }, facts.join(" · "))),
    body);
  details.addEventListener("toggle", () => {
    if (details.open) fill();
    if (needle || details.open === (openRows.get(keyOf(row)) ?? open)) return;
    openRows.set(keyOf(row), details.open);
    set({ function: details.open ? row.name : null });
  });
  if (open) fill();
  return details;
}
