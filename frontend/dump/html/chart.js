// The chart of live bytes over the launches of a program.

const chartHeight = 300, chartMargin = { left: 76, right: 14, top: 34, bottom: 42 };

/** At most `limit` columns; each shows the moment of its part of the step that has most live bytes. */
function chartColumns(program, limit) {
  const count = program.points.length, columns = [];
  const width = Math.min(count, limit);
  for (let column = 0; column < width; ++column) {
    const begin = Math.floor(column * count / width), end = Math.max(Math.floor((column + 1) * count / width), begin + 1);
    let best = pointAt(program, begin);
    for (let index = begin + 1; index < end; ++index) {
      const point = pointAt(program, index);
      if (point.sum > best.sum) best = point;
    }
    columns.push(best);
  }
  return columns;
}

/** Values of an axis from 0 to `top`: a power of two, or one and a half of it, apart. */
function byteTicks(top) {
  let step = 2 ** Math.floor(Math.log2(top / 4));
  while (top / step > 6) step *= 2;
  const ticks = [];
  for (let value = 0; value <= top; value += step) ticks.push(value);
  return ticks;
}

/** Draws into `frame`; `show(index)` is told which moment is pointed at. */
function drawChart(frame, program, at, show) {
  const width = Math.max(frame.clientWidth, 480), inner = width - chartMargin.left - chartMargin.right;
  // Bytes on the axis are those behind the variables where these are left out.
  const count = program.points.length, hidden = hiddenBytes(program), top = (program.peak.bytes - hidden) * 1.04;
  const x = index => chartMargin.left + index / count * inner;
  const y = bytes => chartHeight - chartMargin.bottom - bytes / top * (chartHeight - chartMargin.top - chartMargin.bottom);
  const drawing = svg("svg", {
    width, height: chartHeight, role: "slider", tabindex: 0, "aria-label": "Moment of the step", "aria-valuemin": 0, "aria-valuemax": count - 1, "aria-valuenow": at,
    "data-program": program.name, "data-peak-bytes": program.peak.bytes, "data-peak-live": program.peak.live, "data-points": count,
  });

  for (const tick of byteTicks(top))
    drawing.append(svg("line", { class: "grid", x1: chartMargin.left, x2: width - chartMargin.right, y1: y(tick), y2: y(tick) }),
      svg("text", { class: "axis", x: chartMargin.left - 8, y: y(tick) + 4, "text-anchor": "end" }, formatBytes(tick)));

  // One area per purpose, on top of each other.
  const columns = chartColumns(program, Math.floor(inner)), base = columns.map(() => 0);
  data.memory.purposes.forEach((purpose, index) => {
    if (!columns.some(column => column.live[index]) || (hidden && isVariable(index))) return;
    const upper = [], lower = [];
    columns.forEach((column, i) => {
      const left = x(i * count / columns.length).toFixed(1), right = x((i + 1) * count / columns.length).toFixed(1);
      lower.push(`L${right} ${y(base[i]).toFixed(1)}L${left} ${y(base[i]).toFixed(1)}`);
      base[i] += column.live[index];
      upper.push(`${i ? "L" : "M"}${left} ${y(base[i]).toFixed(1)}L${right} ${y(base[i]).toFixed(1)}`);
    });
    drawing.append(svg("path", { class: "area", d: `${upper.join("")}${lower.reverse().join("")}Z`, fill: `var(--purpose-${index})` }, svg("title", {}, purpose)));
  });

  drawing.append(svg("line", { class: "arena", x1: chartMargin.left, x2: width - chartMargin.right, y1: y(program.peak.bytes - hidden), y2: y(program.peak.bytes - hidden) }),
    svg("text", { class: "axis strong", id: "peak-label", x: width - chartMargin.right, y: y(program.peak.bytes - hidden) - 8, "text-anchor": "end" },
      `peak ${formatBytes(program.peak.bytes)} (${formatCount(program.peak.bytes)} bytes), ${formatPercent(program.peak.live / program.peak.bytes)} of it live at ●`));
  drawRuns(drawing, program, x);
  for (const [first, last, rounds] of program.loops) {
    const begin = program.points.findIndex(point => point.action === first), end = program.points.findLastIndex(point => point.action === last) + 1;
    drawing.append(svg("path", { class: "loop", d: `M${x(begin)} 22V16H${x(end)}V22` }),
      svg("text", { class: "axis", x: x(begin) + 6, y: 12 }, `microbatch${rounds > 1 ? ` × ${rounds}` : ""}`));
  }
  const peak = pointAt(program, program.peakPoint);
  const cursor = svg("line", { class: "cursor", y1: chartMargin.top - 10, y2: chartHeight - chartMargin.bottom });
  const pin = svg("line", { class: "cursor pinned", y1: chartMargin.top - 10, y2: chartHeight - chartMargin.bottom });
  drawing.append(cursor, pin, svg("circle", { class: "peak", cx: x(program.peakPoint + 0.5), cy: y(peak.sum - hidden), r: 4.5 }));

  const place = (line, index) => { line.setAttribute("x1", x(index + 0.5)); line.setAttribute("x2", x(index + 0.5)); };
  let pinned = at;
  const keep = index => {
    pinned = Math.min(Math.max(index, 0), count - 1);
    set({ at: pinned === program.peakPoint ? null : String(pinned) });
    drawing.setAttribute("aria-valuenow", pinned);
    drawing.setAttribute("aria-valuetext", describePoint(program, pointAt(program, pinned)));
    place(pin, pinned);
    place(cursor, pinned);
    show(pinned);
  };
  const indexOf = event => {
    const left = drawing.getBoundingClientRect().left + chartMargin.left;
    return Math.min(Math.max(Math.floor((event.clientX - left) / inner * count), 0), count - 1);
  };
  drawing.addEventListener("pointermove", event => { place(cursor, indexOf(event)); show(indexOf(event)); });
  drawing.addEventListener("pointerleave", () => { place(cursor, pinned); show(pinned); });
  drawing.addEventListener("click", event => keep(indexOf(event)));
  drawing.addEventListener("keydown", event => {
    const target = keyTarget(program, pinned, event);
    if (target === undefined) return;
    event.preventDefault();
    keep(target);
  });
  place(pin, at);
  place(cursor, at);
  frame.replaceChildren(drawing);
}

/** Where a key leads: arrows go by launch, with Shift by call. */
function keyTarget(program, index, event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) {
    const { action } = program.points[index];
    let next = index + step;
    while (event.shiftKey && program.points[next] && program.points[next].action === action) next += step;
    return next;
  }
  return { Home: 0, End: program.points.length - 1, p: program.peakPoint }[event.key];
}

/** Below the axis: which function runs, equal ones together. */
function drawRuns(drawing, program, x) {
  const runs = [];
  program.points.forEach((point, index) => {
    const [kind, callee] = program.actions[point.action].map(string), name = callee || kind, last = runs[runs.length - 1];
    if (last && last.name === name) last.end = index + 1;
    else runs.push({ name, begin: index, end: index + 1, calls: new Set() });
    runs[runs.length - 1].calls.add(point.action);
  });
  const y = chartHeight - chartMargin.bottom + 6;
  runs.forEach((run, index) => {
    const left = x(run.begin), right = x(run.end), times = run.calls.size > 1 ? ` × ${run.calls.size}` : "", name = run.name + times;
    const part = run.name.split(".").pop(), label = [name, part + times, part].find(text => right - left > 6.4 * text.length + 8);
    const group = svg("g", { class: index % 2 ? "run odd" : "run" }, svg("rect", { x: left, y, width: Math.max(right - left - 0.5, 0.5), height: 20 }), svg("title", {}, name));
    if (label) group.append(svg("text", { x: (left + right) / 2, y: y + 14, "text-anchor": "middle" }, label));
    drawing.append(group);
  });
}
