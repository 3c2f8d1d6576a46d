// What is shown, as it stands in the address: #view=phases&left=train&right=fused&search=attention.q
//
// Names: view, theme (light, dark); left, right, function, search, value, matches (only lines that match), changes (only sections that differ);
// program, at, fold, variables (no: without them); kernel, sort. A link with them shows the same again.

let state = new URLSearchParams();

const get = (name, fallback = "") => state.get(name) ?? fallback;

/** Changes the state (null removes a name) without a new entry in the history. */
function set(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") state.delete(name);
    else state.set(name, value);
  }
  const text = state.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

function readState() {
  state = new URLSearchParams(location.hash.slice(1));
}
