// The pipeline's schedule: time from left to right, a row per rank, a cell per action.

const cellKinds = [
  { kind: "F", name: "forward", color: "var(--purpose-0)" },
  { kind: "B", name: "backward", color: "var(--purpose-2)" },
  { kind: "I", name: "gradient of the input", color: "var(--purpose-6)" },
  { kind: "W", name: "gradient of weights", color: "var(--purpose-5)" },
];
const rowHeight = 26, pipelineMargin = { left: 76, right: 14, top: 8, bottom: 26 };

/** A time of the cost model: seconds, or operations where no hardware is known. */
const formatTime = value => data.pipeline.unit === "seconds" ? formatSeconds(value) : `${formatFlops(value)} operations`;

function showPipeline(main) {
  const pipeline = data.pipeline;
  main.append(el("section", { class: "cards", id: "pipeline-cards" },
    card("Schedule", pipeline.schedule, `${pipeline.ranks} ranks, ${pipeline.stages} stages, ${pipeline.microbatches} microbatches`),
    card("Bubble", formatPercent(pipeline.bubble), "of the ranks' time, by the cost model"),
    card("Time", formatTime(pipeline.time), `costs of phase ${pipeline.phase}`),
    card("Message", formatTime(pipeline.message_time), "from one rank to the next")));
  const section = el("section", {}, el("h2", {}, "Schedule"));
  main.append(section);
  if (!pipeline.cells) {
    section.append(el("p", { class: "quiet" }, `${formatCount(pipeline.cell_count)} cells are too many to draw; pipeline.csv beside this page has them.`));
  } else {
    const frame = el("div", { class: "scroll", id: "schedule" });
    section.append(pipelineLegend(pipeline), frame);
    drawSchedule(frame, pipeline);
  }
  main.append(el("section", {}, el("h2", {}, "Stages"), el("div", { class: "scroll" }, stageTable(pipeline))));
}

function pipelineLegend(pipeline) {
  const present = cellKinds.filter(({ kind }) => pipeline.cells.some(row => row.some(cell => cell[0] === kind)));
  const path = el("span", { class: "swatch critical" });
  return el("ul", { class: "legend" },
    present.map(({ kind, name, color }) => el("li", {}, el("span", { class: "swatch", style: `background:${color}` }), `${kind}: ${name}`)),
    el("li", {}, path, "critical path"), el("li", {}, "numbers are microbatches; of several stages a rank, later ones are lighter"));
}

/** Wide enough for the number of a microbatch in the most usual cell, and never narrower than the page. */
function scheduleWidth(pipeline, room) {
  const lengths = pipeline.cells.flat().map(([, , , start, end]) => end - start).filter(length => length > 0).sort((a, b) => a - b);
  const usual = lengths[Math.floor(lengths.length / 2)] || pipeline.time;
  return Math.min(Math.max(room, 18 * pipeline.time / usual), 16000);
}

function drawSchedule(frame, pipeline) {
  const inner = scheduleWidth(pipeline, Math.max(frame.clientWidth, 480) - pipelineMargin.left - pipelineMargin.right);
  const width = inner + pipelineMargin.left + pipelineMargin.right, height = pipeline.ranks * rowHeight + pipelineMargin.top + pipelineMargin.bottom;
  const x = time => pipelineMargin.left + (pipeline.time ? time / pipeline.time : 0) * inner;
  const drawing = svg("svg", { width, height, role: "img", "aria-label": `Schedule ${pipeline.schedule}`, "data-cells": pipeline.cell_count });
  const stagesPerRank = Math.max(pipeline.stages / pipeline.ranks, 1);
  pipeline.cells.forEach((row, rank) => {
    const y = pipelineMargin.top + rank * rowHeight;
    drawing.append(svg("text", { class: "axis", x: pipelineMargin.left - 8, y: y + 17, "text-anchor": "end" }, `rank ${rank}`),
      svg("rect", { class: "idle", x: x(0), y: y + 1, width: inner, height: rowHeight - 2 }));
    for (const [kind, stage, microbatch, start, end, critical] of row) {
      const left = x(start), size = Math.max(x(end) - left, 0.5), { name, color } = cellKinds.find(each => each.kind === kind);
      const cell = svg("g", { class: critical ? "cell critical" : "cell", "data-action": `${stage}${kind}${microbatch}` },
        svg("rect", { x: left, y: y + 1, width: size, height: rowHeight - 2, fill: color, "fill-opacity": (1 - 0.5 * Math.floor(stage / pipeline.ranks) / stagesPerRank).toFixed(2) }),
        svg("title", {}, `stage ${stage}, ${name} of microbatch ${microbatch}: ${formatTime(start)} to ${formatTime(end)}${critical ? ", on the critical path" : ""}`));
      if (size > 7 * String(microbatch).length + 4)
        cell.append(svg("text", { x: left + size / 2, y: y + 17, "text-anchor": "middle" }, String(microbatch)));
      drawing.append(cell);
    }
  });
  for (let tick = 0; tick <= 4; ++tick) {
    const time = pipeline.time * tick / 4;
    drawing.append(svg("text", { class: "axis", x: x(time), y: height - 8, "text-anchor": tick === 0 ? "start" : tick === 4 ? "end" : "middle" }, formatTime(time)));
  }
  frame.replaceChildren(drawing);
}

function stageTable(pipeline) {
  const isHalved = pipeline.stage_times.some(stage => stage.weight_gradient !== undefined);
  const times = ["forward", "backward", ...(isHalved ? ["input_gradient", "weight_gradient"] : [])];
  const titles = { forward: "Forward", backward: "Backward", input_gradient: "Gradient of the input", weight_gradient: "Gradient of weights" };
  const columns = [{ title: "Stage", number: true }, { title: "Rank", number: true }, { title: "First instance" },
    ...times.map(name => ({ title: titles[name], number: true })), { title: "Its rank's bubble", number: true }];
  const rows = pipeline.stage_times.map(stage => [String(stage.stage), String(stage.rank), stage.first,
    ...times.map(name => formatTime(stage[name])), formatPercent(pipeline.rank_times[stage.rank].bubble)]);
  return table(columns, rows, { id: "stage-table" });
}
