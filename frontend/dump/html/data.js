// The compilation's data, and what several views derive from it.

let data;

/** Reads the page's JSON. Phases get an index, sections their phase. */
function loadData() {
  data = JSON.parse(document.getElementById("data").textContent);
  data.phases.forEach((phase, index) => {
    phase.index = index;
    phase.figures = (data.report.phases || []).find(figures => figures.name === phase.name) || {};
    phase.seconds = (data.report.compile_seconds || {})[phase.name];
    for (const section of phase.sections) section.phase = phase;
  });
}

const hasMemory = () => data.memory !== null;
const hasKernels = () => data.kernels !== null;
const hasPipeline = () => data.pipeline !== null;

/** Texts of a section: parts, each a string or {repeats, first, last, text}. */
const partsOf = section => data.texts[section.text];

/** The part's text, whether it is repeated or not. */
const textOf = part => typeof part === "string" ? part : part.text;

/** Executed in a step: FLOPs of all calls of all functions of a phase. */
function stepFlops(phase) {
  let sum = 0;
  for (const section of phase.sections)
    if (section.kind === "function") sum += (section.flops || 0) * (section.calls || 0);
  return sum;
}

/** The arena's size: what report.json calls peak_bytes. */
function peakBytes() {
  const ranks = data.report.ranks;
  if (ranks && ranks.length) return Math.max(...ranks.map(rank => rank.peak_bytes));
  return hasMemory() ? Math.max(...data.memory.programs.map(program => program.arena)) : undefined;
}

/** Where a name ends in a number that an instance has, the name without it: layers.3 and layers.*. */
const foldInstance = name => name.replace(/\d+$/, "*");
