// Memory over a step: what is live at each launch, and which tensors are the largest.

/** The program that trains, or else the one with the largest peak. */
function mainProgram() {
  const programs = data.memory.programs;
  return programs.find(program => program.name === "train_step") || programs.reduce((a, b) => b.peak.bytes > a.peak.bytes ? b : a);
}

const string = index => data.memory.strings[index];

/** The function that an action calls, or undefined. */
function calleeOf(action) {
  const [kind, callee] = action;
  return string(kind) === "call" ? data.memory.functions.find(candidate => candidate.name === string(callee)) : undefined;
}

/** All moments of a program: {action, launch}, and its `peakPoint`, the number of the one with most live bytes. */
function pointsOf(program) {
  if (program.points) return program.points;
  program.points = [];
  program.actions.forEach((action, index) => {
    const callee = calleeOf(action), launches = Math.max(callee ? callee.launches.length : 1, 1);
    for (let launch = 0; launch < launches; ++launch) {
      if (index === program.peak.action && launch === program.peak.launch) program.peakPoint = program.points.length;
      program.points.push({ action: index, launch });
    }
  });
  return program.points;
}

/** A moment with its bytes by purpose and their sum. */
function pointAt(program, index) {
  const points = pointsOf(program);
  const { action, launch } = points[index ?? program.peakPoint];
  const callee = calleeOf(program.actions[action]), live = program.live[action].slice();
  if (callee && callee.scratch.length) live[data.memory.purposes.indexOf("scratch")] += callee.scratch[launch];
  return { action, launch, live, sum: live.reduce((a, b) => a + b, 0) };
}

/** block.backward of layers.3, launch 12 of 40 */
function describePoint(program, point) {
  const action = program.actions[point.action], [kind, callee, instance] = action.map(string), called = calleeOf(action);
  if (!called) return [kind, callee].filter(Boolean).join(" ");
  return `${callee} of ${instance}` + (called.launches.length ? `, launch ${point.launch + 1} of ${called.launches.length} (${string(called.launches[point.launch])})` : "");
}

function readBuffer([instance, name, type, purpose, bytes, offset, first, last]) {
  return { instance: string(instance), name: string(name), type: string(type), purpose: data.memory.purposes[purpose], color: purpose, bytes, offset, first, last };
}

/** Purposes of variables, which outlive the step: those before the inputs. */
const isVariable = purpose => purpose < data.memory.purposes.indexOf("inputs and outputs");

/** Bytes of variables that the view leaves out. */
function hiddenBytes(program) {
  if (get("variables") !== "no") return 0;
  return pointAt(program, 0).live.reduce((sum, bytes, purpose) => sum + (isVariable(purpose) ? bytes : 0), 0);
}

/** What is live at a moment; offsets are those in the arena, lifetimes are actions of the program (none: always). */
function liveTensors(program, point) {
  const action = program.actions[point.action], callee = calleeOf(action);
  const result = data.memory.variables.map(variable => ({ ...readBuffer(variable), first: null }));
  for (const buffer of program.buffers.map(readBuffer)) {
    if (point.action < buffer.first || point.action > buffer.last) continue;
    if (buffer.purpose !== "scratch") {
      result.push(buffer);
      continue;
    }
    for (const temporary of callee ? callee.buffers.map(readBuffer) : [])
      if (temporary.first <= point.launch && point.launch <= temporary.last)
        result.push({ ...temporary, instance: string(action[2]), offset: buffer.offset + temporary.offset, first: point.action, last: point.action,
          launches: [temporary.first, temporary.last] });
  }
  return result;
}

/** Tensors of the same name, type and purpose in all instances of a layer as one, by their bytes. */
function foldTensors(tensors) {
  const groups = new Map();
  for (const tensor of tensors) {
    const key = [foldInstance(tensor.instance), tensor.name, tensor.type, tensor.purpose].join("\n");
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(tensor);
  }
  return [...groups.values()];
}

function showMemory(main) {
  const programs = data.memory.programs;
  const program = programs.find(candidate => candidate.name === get("program")) || mainProgram();
  pointsOf(program);
  const chosen = Number(get("at", NaN));
  const at = Number.isInteger(chosen) && chosen >= 0 && chosen < program.points.length ? chosen : program.peakPoint;
  const details = el("section", { id: "moment" });
  const show = index => showMoment(details, program, index);
  main.append(
    el("div", { class: "toolbar" },
      el("label", {}, "program ", el("select", { id: "program", onchange: event => openView("memory", { program: event.target.value, at: null }) },
        programs.map(candidate => el("option", { value: candidate.name, selected: candidate === program }, `${candidate.name} (${formatBytes(candidate.peak.bytes)})`)))),
      el("button", { id: "to-peak", onclick: () => openView("memory", { at: null }) }, "Go to the peak"),
      el("label", {}, el("input", { type: "checkbox", id: "check-fold", checked: get("fold") !== "no", onchange: event => openView("memory", { fold: event.target.checked ? null : "no" }) }),
        " fold layers"),
      el("label", {}, el("input", { type: "checkbox", id: "check-variables", checked: get("variables") !== "no",
        onchange: event => openView("memory", { variables: event.target.checked ? null : "no" }) }), " variables"),
      el("span", { class: "quiet" }, "Point at the chart or use the arrow keys; a click keeps a moment.")));
  const frame = el("div", { id: "chart" });
  main.append(frame, purposeLegend(program), details);
  if (!program.points.length) {
    frame.append(el("p", { class: "quiet" }, "This program runs nothing."));
    return;
  }
  drawChart(frame, program, at, show);
  show(at);
}

function purposeLegend(program) {
  const used = data.memory.purposes.map((purpose, index) => index)
    .filter(index => data.memory.purposes[index] === "scratch" || program.live.some(live => live[index]))
    .filter(index => get("variables") !== "no" || !isVariable(index));
  return el("ul", { class: "legend" }, used.map(index =>
    el("li", {}, el("span", { class: "swatch", style: `background:var(--purpose-${index})` }), data.memory.purposes[index])));
}

/** The tensors that are live at a moment, largest first. */
function showMoment(section, program, index) {
  const point = pointAt(program, index);
  const fold = get("fold") !== "no";
  const tensors = liveTensors(program, point).filter(tensor => get("variables") !== "no" || !isVariable(tensor.color));
  const groups = fold ? foldTensors(tensors) : tensors.map(tensor => [tensor]);
  const total = group => group.reduce((sum, tensor) => sum + tensor.bytes, 0);
  // Of tensors of several instances each lives from and to its own instance's call.
  const label = (action, several) => {
    const [kind, callee, instance] = program.actions[action].map(string);
    return callee ? `${callee}${instance && !several && !callee.startsWith(`${instance}.`) ? ` ${instance}` : ""}` : kind;
  };
  const lifetime = ({ first, last, launches }, several) => {
    if (first === null) return "always";
    if (launches) return `launches ${launches[0] + 1} to ${launches[1] + 1}`;
    if (first === 0 && last === program.actions.length - 1) return "whole step";
    return first === last ? label(first, several) : `${label(first, several)} → ${label(last, several)}`;
  };
  const rows = groups.sort((a, b) => total(b) - total(a)).slice(0, 40).map(group => {
    const [tensor] = group, several = group.some(other => other.instance !== tensor.instance);
    const instance = several ? foldInstance(tensor.instance) : tensor.instance;
    return [
      [el("span", { class: "swatch", style: `background:var(--purpose-${tensor.color})`, title: tensor.purpose }), (instance ? `${instance}.` : "") + tensor.name,
        group.length > 1 ? el("span", { class: "badge" }, `× ${group.length}`) : null],
      tensor.purpose, el("code", {}, tensor.type), formatBytes(tensor.bytes), formatBytes(total(group)),
      formatPercent(total(group) / point.sum), formatCount(tensor.offset) + (group.length > 1 ? " …" : ""), lifetime(tensor, several),
    ];
  });
  section.dataset.at = index;
  section.dataset.live = point.sum;
  section.replaceChildren(
    el("h2", {}, `${formatBytes(point.sum)} live`, el("span", { class: "quiet" }, ` ${index === program.peakPoint ? "at the peak: " : ""}${describePoint(program, point)}`)),
    el("div", { class: "scroll" }, table([{ title: "Tensor" }, { title: "For" }, { title: "Type" }, { title: "Each", number: true }, { title: "Together", number: true },
      { title: "Share", number: true }, { title: "Offset", number: true }, { title: "Live during" }], rows, { id: "tensor-table", class: "wide" })),
    groups.length > 40 ? el("p", { class: "quiet" }, `and ${formatCount(groups.length - 40)} more, smaller ones`) : "");
}
