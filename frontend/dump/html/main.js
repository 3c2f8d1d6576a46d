// The page: its head, the tabs, and which view is shown.

const views = [
  { name: "overview", title: "Overview", show: showOverview, exists: () => true },
  { name: "phases", title: "Phases", show: showPhases, exists: () => data.phases.some(phase => phase.sections.length) },
  { name: "pipeline", title: "Pipeline", show: showPipeline, exists: hasPipeline },
  { name: "memory", title: "Memory", show: showMemory, exists: hasMemory },
  { name: "kernels", title: "Kernels", show: showKernels, exists: hasKernels },
];

function start() {
  loadData();
  readState();
  document.title = `${data.facts.model || "experiment"} – primus-compile`;
  window.addEventListener("hashchange", () => { readState(); render(); });
  render();
  document.documentElement.dataset.ready = "yes";
}

/** Shows everything anew from the state. Focus and place on the page stay where they are. */
function render() {
  const focused = document.activeElement?.id, { scrollX, scrollY } = window;
  const sameView = document.getElementById("main").dataset.view === get("view", "overview");
  document.documentElement.dataset.theme = get("theme");
  showHead();
  const existing = views.filter(view => view.exists());
  const present = existing.find(view => view.name === get("view")) || existing[0];
  const tab = view => el("button", {
    role: "tab", id: `tab-${view.name}`, "aria-selected": view === present ? "true" : "false", "aria-controls": "main",
    tabindex: view === present ? 0 : -1, onclick: () => openView(view.name),
  }, view.title);
  const tabs = document.getElementById("views");
  tabs.replaceChildren(...existing.map(tab));
  tabs.onkeydown = event => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = existing[(existing.indexOf(present) + step + existing.length) % existing.length];
    document.getElementById(`tab-${next.name}`).focus();
    openView(next.name);
  };
  const main = document.getElementById("main");
  main.setAttribute("aria-labelledby", `tab-${present.name}`);
  main.dataset.view = present.name;
  main.replaceChildren();
  present.show(main);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (sameView) window.scrollTo(scrollX, scrollY);
}

function openView(name, changes = {}) {
  set({ view: name, ...changes });
  render();
}

/** Name, target and the theme's switch. */
function showHead() {
  const dark = get("theme") ? get("theme") === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const facts = data.facts;
  document.getElementById("head").replaceChildren(
    el("div", {},
      el("h1", {}, facts.model || "experiment"),
      el("p", { class: "quiet" }, `compiled by primus-compile for ${facts.target}` + (facts.ranks > 1 ? `, ${facts.ranks} ranks` : ""))),
    el("button", {
      id: "theme", title: "Light or dark", "aria-pressed": dark ? "true" : "false",
      onclick: () => { set({ theme: dark ? "light" : "dark" }); render(); },
    }, dark ? "☀ Light" : "☾ Dark"));
}
