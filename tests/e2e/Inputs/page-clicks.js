// Appended to a page by page.py: uses it as a person does and notes on the root element what came of it.
{
  const seen = {}, find = selector => document.querySelector(selector);
  const moment = () => Number(find("#moment").dataset.at);
  const press = (key, shiftKey = false) => {
    find("svg").dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, bubbles: true }));
    return moment();
  };
  find("#tab-memory").click();
  seen.peak = moment();
  seen.keys = [press("ArrowRight"), press("ArrowLeft"), press("Home")];
  seen.firstLive = find("#moment").dataset.live;
  seen.keys.push(press("End"), press("p"));
  seen.call = press("ArrowLeft", true);
  const { left, width } = find("svg").getBoundingClientRect();
  find("svg").dispatchEvent(new PointerEvent("pointermove", { clientX: left + width / 2, bubbles: true }));
  seen.pointed = moment();
  find("svg").dispatchEvent(new PointerEvent("pointerleave", { bubbles: true }));
  seen.kept = moment();
  find("#check-fold").click();
  seen.unfolded = find("#tensor-table").textContent.includes("layers.2.feed_forward.up.weight");
  find("#check-variables").click();
  seen.withoutVariables = find("#tensor-table").textContent.includes("optimizer");

  find("#tab-kernels").click();
  find("#sort-launches").focus();
  find("#sort-launches").click();
  seen.focus = document.activeElement.id;
  find("tr.kernel button").click();
  seen.open = find("tr.detail pre").textContent.includes("kernel.func");
  find("tr.open button").click();
  seen.closed = !find("tr.detail");

  find("#tab-phases").click();
  const row = find('details[data-name="block.backward"]');
  row.open = true;
  row.dispatchEvent(new Event("toggle"));
  row.querySelector(".value").click();
  find("#swap").click();
  seen.stillOpen = find('details[data-name="block.backward"]').open;
  find("#search").value = "rope";
  find("#search").dispatchEvent(new Event("input", { bubbles: true }));
  setTimeout(() => {
    seen.marks = new Set([...document.querySelectorAll("mark")].map(mark => mark.textContent.toLowerCase())).size;
    seen.state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    document.documentElement.dataset.seen = JSON.stringify(seen);
  }, 1000);
}
