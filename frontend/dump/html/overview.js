// The first view: the figures that matter, facts of the experiment, and the table of phases.

function card(title, value, note) {
  return el("div", { class: "card" }, el("h3", {}, title), el("p", { class: "figure" }, value), note ? el("p", { class: "quiet" }, note) : null);
}

function showOverview(main) {
  const report = data.report, cards = [];
  if (report.parameters !== undefined)
    cards.push(card("Parameters", formatParameters(report.parameters), formatCount(report.parameters)));
  if (data.flops_per_step)
    cards.push(card("Model FLOPs per step", formatFlops(data.flops_per_step), "causal halved, recomputation apart"));
  const peak = peakBytes();
  if (peak !== undefined)
    cards.push(card("Peak memory", formatBytes(peak), `${formatCount(peak)} bytes, one arena per rank`));
  if (hasKernels()) {
    const launches = data.kernels.reduce((sum, kernel) => sum + kernel.launches, 0);
    cards.push(card("Kernels", formatCount(data.kernels.length), `${formatCount(launches)} launches per step`));
  }
  const seconds = Object.values(report.compile_seconds || {});
  if (seconds.length)
    cards.push(card("Compilation", formatSeconds(seconds.reduce((a, b) => a + b, 0)), `${seconds.length} phases`));
  main.append(el("section", { class: "cards" }, cards));

  const facts = Object.entries(data.facts).filter(([name]) => name !== "model");
  main.append(el("section", {}, el("h2", {}, "Experiment"),
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))))));
  main.append(el("section", {}, el("h2", {}, "Phases"), el("div", { class: "scroll" }, phaseTable())));
  if (hasMemory()) main.append(el("section", {}, el("h2", {}, "Memory"), memoryBar()));
}

/** One row per phase; what changed against the phase before stands beside each figure. */
function phaseTable() {
  const columns = [
    { title: "Phase", of: phase => phase.name },
    { title: "What it holds", of: phase => phase.summary },
    { title: "Ops", number: true, figure: "ops", format: formatCount },
    { title: "Functions", number: true, figure: "functions", format: formatCount },
    { title: "FLOPs per step", number: true, figure: "flops", format: formatFlops },
    { title: "Bytes per step", number: true, figure: "bytes", format: formatBytes },
    { title: "Peak memory", number: true, figure: "peak_bytes", format: formatBytes },
    { title: "Time", number: true, of: phase => formatSeconds(phase.seconds) },
  ].filter(column => !column.figure || data.phases.some(phase => phase.figures[column.figure]));
  const cell = (phase, column) => {
    if (column.of) return column.of(phase);
    const value = phase.figures[column.figure];
    if (value === undefined || (value === 0 && column.figure !== "ops")) return "";
    return [column.format(value), el("span", { class: "change" }, describeChange(phase, column.figure, column.format))];
  };
  const rows = data.phases.map(phase => columns.map((column, index) => index > 0 || !phase.sections.length ? cell(phase, column)
    : el("button", { class: "link", onclick: () => openView("phases", { left: before(phase).name, right: phase.name }) }, phase.name)));
  return table(columns, rows, { id: "phase-table", class: "wide" });
}

/** The phase with text before this one, or itself. */
function before(phase) {
  return data.phases.slice(0, phase.index).reverse().find(other => other.sections.length) || phase;
}

/** By how much a figure differs from the phase before. */
function describeChange(phase, figure, format) {
  const value = phase.figures[figure], old = before(phase).figures[figure];
  if (!old || value === undefined || value === old || before(phase) === phase) return "";
  const change = value / old - 1;
  if (Math.abs(change) < 0.0005) return `${value > old ? "+" : "−"}${format(Math.abs(value - old))}`;
  if (change >= 1) return `×${(value / old).toPrecision(3)}`;
  return `${change > 0 ? "+" : "−"}${formatPercent(Math.abs(change))}`;
}

/** Memory by purpose at the moment with most live bytes. */
function memoryBar() {
  const program = mainProgram(), point = pointAt(program, program.peakPoint);
  const total = program.arena, parts = [];
  data.memory.purposes.forEach((purpose, index) => {
    if (point.live[index]) parts.push([purpose, point.live[index], `var(--purpose-${index})`]);
  });
  parts.push(["free at that moment", total - point.sum, "var(--gap)"]);
  return el("div", {},
    el("p", { class: "quiet" }, "Where most bytes are live, of ", formatBytes(total), ": ", describePoint(program, point), ". ",
      el("button", { class: "link", onclick: () => openView("memory") }, "Over the whole step")),
    el("div", { class: "bar", role: "img", "aria-label": "Memory by purpose" },
      parts.map(([purpose, bytes, color]) => el("span", { style: `flex-grow:${bytes};background:${color}`, title: `${purpose}: ${formatBytes(bytes)}` }))),
    el("ul", { class: "legend" }, parts.map(([purpose, bytes, color]) =>
      el("li", {}, el("span", { class: "swatch", style: `background:${color}` }), `${purpose} ${formatBytes(bytes)}`))));
}
