// The table of kernels; a row opens to the launch and the tile program.

/** A figure of all launches as a share of the step's; the bar is relative to the largest share. */
function shareCell(kernel, name, totals) {
  if (!totals[name]) return "";
  const value = kernel[name] * kernel.launches;
  return el("span", { class: "share", style: `--share:${value / totals.largest[name]}` }, formatPercent(value / totals[name]));
}

/** The graph function that a kernel comes from, beside what became of it. */
const openFunction = name => openView("phases", { left: "fused", right: "step", function: name, search: null });

/** Columns: `value` sorts, `cell` shows. */
function kernelColumns(totals) {
  const perStep = (kernel, name) => kernel[name] * kernel.launches;
  return [
    { name: "name", title: "Kernel", value: kernel => kernel.name },
    { name: "family", title: "Family", value: kernel => kernel.family },
    { name: "function", title: "Function", value: kernel => kernel.defined_by,
      cell: kernel => el("button", { class: "link", title: "Show the function in the phases", onclick: () => openFunction(kernel.defined_by) }, kernel.defined_by) },
    { name: "launches", title: "Launches", number: true, value: kernel => kernel.launches, cell: kernel => formatCount(kernel.launches) },
    { name: "grid", title: "Grid", number: true, value: kernel => kernel.grid.reduce((a, b) => a * b, 1), cell: kernel => kernel.grid.join(" × ") },
    { name: "flops", title: "FLOPs", number: true, value: kernel => kernel.flops, cell: kernel => formatFlops(kernel.flops) },
    { name: "bytes", title: "Bytes", number: true, value: kernel => kernel.bytes, cell: kernel => formatBytes(kernel.bytes) },
    { name: "intensity", title: "FLOPs / byte", number: true, value: kernel => kernel.bytes ? kernel.flops / kernel.bytes : 0,
      cell: kernel => kernel.bytes ? (kernel.flops / kernel.bytes).toFixed(1) : "" },
    { name: "flops-share", title: "Share of FLOPs", number: true, value: kernel => perStep(kernel, "flops"),
      cell: kernel => shareCell(kernel, "flops", totals) },
    { name: "bytes-share", title: "Share of bytes", number: true, value: kernel => perStep(kernel, "bytes"),
      cell: kernel => shareCell(kernel, "bytes", totals) },
  ];
}

function showKernels(main) {
  const totals = { flops: 0, bytes: 0, launches: 0, largest: { flops: 1, bytes: 1 } };
  for (const kernel of data.kernels) {
    totals.launches += kernel.launches;
    for (const name of ["flops", "bytes"]) {
      const value = kernel[name] * kernel.launches;
      totals[name] += value;
      totals.largest[name] = Math.max(totals.largest[name], value);
    }
  }
  const needle = get("search").trim().toLowerCase();
  const columns = kernelColumns(totals);
  const [sortName, direction] = get("sort", "flops-share.down").split(".");
  const column = columns.find(candidate => candidate.name === sortName) || columns[0];
  const sign = direction === "down" ? -1 : 1;
  const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  const kernels = data.kernels.filter(kernel => !needle || [kernel.name, kernel.family, kernel.defined_by].some(text => text.toLowerCase().includes(needle)))
    .sort((a, b) => sign * compare(column.value(a), column.value(b)) || compare(a.name, b.name));

  const model = data.flops_per_step;
  main.append(el("div", { class: "toolbar" }, searchBox("kernels", "find a kernel, family or function…"),
    el("span", { id: "kernel-totals", class: "quiet" }, `${formatCount(kernels.length)} kernels, ${formatCount(totals.launches)} launches, ` +
      `${formatFlops(totals.flops)} FLOPs and ${formatBytes(totals.bytes)} per step` +
      (model ? `; the model's own FLOPs are ${formatPercent(model / totals.flops)} of them` : ""))));

  const head = columns.map(candidate => {
    const sorted = candidate === column;
    const next = sorted ? (direction === "down" ? "up" : "down") : candidate.number ? "down" : "up";
    return el("th", { scope: "col", class: candidate.number ? "number" : null, "aria-sort": sorted ? (sign < 0 ? "descending" : "ascending") : "none" },
      el("button", { class: "sort", id: `sort-${candidate.name}`, onclick: () => openView("kernels", { sort: `${candidate.name}.${next}` }) },
        candidate.title, sorted ? (sign < 0 ? " ▾" : " ▴") : ""));
  });
  const body = el("tbody");
  for (const kernel of kernels) {
    const open = kernel.name === get("kernel");
    const toggle = () => openView("kernels", { kernel: open ? null : kernel.name });
    body.append(el("tr", { class: open ? "kernel open" : "kernel", "data-name": kernel.name }, columns.map((candidate, index) =>
      el("td", { class: candidate.number ? "number" : null }, index === 0
        ? el("button", { class: "link", id: `kernel-${kernel.name}`, "aria-expanded": open ? "true" : "false", onclick: toggle }, kernel.name)
        : candidate.cell ? candidate.cell(kernel) : candidate.value(kernel)))));
    if (open) body.append(el("tr", { class: "detail" }, el("td", { colspan: columns.length }, kernelDetail(kernel))));
  }
  main.append(el("div", { class: "scroll" }, el("table", { id: "kernel-table", class: "wide" }, el("thead", {}, el("tr", {}, head)), body)));
  if (!kernels.length) main.append(el("p", { class: "quiet" }, `No kernel's name, family or function holds “${needle}”.`));
  showValue();
  // A link that opens a kernel leads to it.
  if (document.activeElement === document.body) document.querySelector("tr.open")?.scrollIntoView({ block: "center" });
}

/** The launch, where it is made, and the tile program. */
function kernelDetail(kernel) {
  const section = data.phases.flatMap(phase => phase.sections).find(candidate => candidate.kind === "kernel" && candidate.name === kernel.name);
  const callers = data.memory.functions.filter(caller => caller.launches.some(launch => data.memory.strings[launch] === kernel.name)).map(caller => caller.name);
  const base = `kernels/${encodeURIComponent(kernel.name)}`;
  const compiled = data.phases.some(phase => phase.name === "objects");
  return el("div", { class: "kernel-detail", onclick: clickValue },
    el("div", {},
      el("h3", {}, "Launch"),
      el("p", {}, `grid ${kernel.grid.join(" × ")}, ${formatCount(kernel.launches)} launches per step, ${formatCount(kernel.flops)} FLOPs and ` +
        `${formatCount(kernel.bytes)} bytes each`),
      callers.length ? el("p", {}, "launched by ", callers.flatMap((name, index) => [index ? ", " : "", el("button", { class: "link", onclick: () => openFunction(name) }, name)])) : null,
      table([{ title: "Argument" }, { title: "Type" }, { title: "Access" }],
        kernel.arguments.map(([name, type, access], index) => [name || String(index), el("code", {}, type), { r: "read", w: "written", rw: "read and written" }[access]])),
      compiled ? el("p", {}, "Files: ", ["mlir", "ll", "s", "json"].flatMap(extension => [el("a", { href: `${base}.${extension}` }, extension), " "])) : null),
    section ? el("div", {}, el("h3", {}, "Tile program"), renderCode(section)) : null);
}
