"""usage: page.py EXPERIMENT FOLDER. Opens dumps in headless Chromium and looks at what their pages show."""
import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
# A name that would end the page's data and run a script if it were not escaped.
attack = "x</script><script>document.documentElement.dataset.attacked=1</script><!--"
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"), PRIMUS_EXP_NAME=attack)
keys = ["train_iters=3", "micro_batch_size=1", "global_batch_size=2", "seq_length=64", "num_layers=3", "eval_iters=0"]


def run(*arguments, status=0):
    done = subprocess.run([str(argument) for argument in arguments], env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done


class Page(html.parser.HTMLParser):
    """The elements of a rendered page, with their texts; `find` selects them by tag, attributes or a word of the class."""

    def __init__(self, dump, **state):
        super().__init__()
        self.elements, self.open = [], []
        address = f"file://{dump}/index.html#{urllib.parse.urlencode(state)}"
        self.feed(run("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser",
                      "--window-size=1280,900", "--virtual-time-budget=10000", "--dump-dom", address).stdout)
        root = self.elements[0]["attributes"]
        assert root.get("data-ready") == "yes" and "data-error" not in root and "data-attacked" not in root, (state, root)

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "attributes": dict(attributes), "text": ""}
        self.elements.append(element)
        if tag not in ("meta", "input", "br", "link"):
            self.open.append(element)

    def handle_endtag(self, tag):
        while self.open and self.open.pop()["tag"] != tag:
            pass

    def handle_data(self, text):
        for element in self.open:
            element["text"] += text

    def find(self, tag, word=None, **attributes):
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [element for element in self.elements if element["tag"] == tag
                and all(element["attributes"].get(name) == value for name, value in wanted.items())
                and (word is None or word in element["attributes"].get("class", "").split())]

    def one(self, tag, word=None, **attributes):
        found = self.find(tag, word, **attributes)
        assert len(found) == 1, (tag, word, attributes, len(found))
        return found[0]


dump = folder / "dump"
run("primus-compile", experiment, *keys, "--dump", dump)
report = json.loads((dump / "report.json").read_text())
peak = report["ranks"][0]["peak_bytes"]
assert (dump / "index.html").stat().st_size < 4 << 20

# The overview: every phase, and the figures of the report.
page = Page(dump)
names = ["config", "spec", "model", "train", "fp8", "sharded", "placed", "fused", "step", "objects"]
rows = page.one("table", id="phase-table")["text"]
assert all(name in rows for name in names), rows
cards = page.one("section", "cards")["text"]
assert f"{report['parameters']:,}" in cards and f"{peak:,} bytes" in cards, cards

# Phases: the two of the link, with repeated layers once; a search finds a value in all phases and marks it.
page = Page(dump, view="phases", left="train", right="fused")
assert page.one("div", id="head-left")["attributes"]["data-phase"] == "train"
assert page.one("div", id="head-right")["attributes"]["data-phase"] == "fused"
opened = page.one("details", "section", open="")
assert opened["attributes"]["data-name"] == "block.forward" and "× 6 calls per step (layers.0 … layers.2)" in opened["text"], opened["text"][:200]
page = Page(dump, view="phases", left="train", right="fused", search="attention.q.rotated", matches="1", value="attention.q.rotated")
marked = {element["text"] for element in page.find("mark")}
assert marked == {"attention.q.rotated"}, marked
assert page.find("span", "value", data_v="attention.q.rotated")
assert 'data-v="attention.q.rotated"' in page.one("style", id="value-style")["text"]
matches = {element["attributes"]["data-phase"]: int(element["attributes"]["data-count"]) for element in page.find("button") if "data-count" in element["attributes"]}
assert list(matches) == names[:-1] and matches["config"] == 0 and all(matches[name] for name in names[2:-1]), matches
for line in page.find("span", "line"):
    assert "attention.q.rotated" in line["text"], line
page = Page(dump, view="phases", left="config", right="spec")
assert attack in page.one("div", data_side="right")["text"].replace("\\", "")
assert '"num_layers": 3' in page.one("div", data_side="left")["text"] and "llama-tiny" in page.one("div", data_side="right")["text"]
page = Page(dump, view="phases", left="placed", right="step", search="instance")
folds = [element["text"] for element in page.find("details", "fold")]
assert any(re.match(r"× 3 instances layers\.0 … layers\.2", text) for text in folds), folds[:3]
assert any(re.match(r"× 3 instances layers\.2 … layers\.0", text) for text in folds), "the backward pass is not folded"

# Memory: the chart's peak is the report's; tensors of all layers are one row.
page = Page(dump, view="memory")
chart = page.one("svg")["attributes"]
assert int(chart["data-peak-bytes"]) == peak and chart["data-program"] == "train_step", chart
moment = page.one("section", id="moment")
assert moment["attributes"]["data-live"] == chart["data-peak-live"] and int(chart["data-peak-live"]) <= peak
assert f"{peak:,} bytes" in page.one("text", id="peak-label")["text"]
tensors = page.one("table", id="tensor-table")["text"]
assert "embedding.weight" in tensors and re.search(r"layers\.\*\.attention\.q\.weight\s*× 3", tensors), tensors

# Kernels: a row each, sorted as asked, and the tile program of the one that is open.
names = [kernel["name"] for kernel in report["kernels"]]
page = Page(dump, view="kernels", sort="name.up", kernel=names[0])
rows = [row["attributes"]["data-name"] for row in page.find("tr", "kernel")]
assert sorted(rows) == sorted(names) and rows == sorted(rows), rows
assert f"kernel.func @{names[0]}" in page.one("tr", "detail")["text"]

# Used by keys and clicks: the moment follows the arrows and the pointer, rows open and close, and the address holds what is shown.
clicks = (pathlib.Path(__file__).parent / "Inputs" / "page-clicks.js").read_text()
(dump / "used").mkdir()
(dump / "used" / "index.html").write_text((dump / "index.html").read_text().replace("\nstart();\n", f"\nstart();\n{clicks}"))
seen = json.loads(Page(dump / "used").elements[0]["attributes"]["data-seen"])
at, last = seen["peak"], int(chart["data-points"]) - 1
assert seen["keys"] == [at + 1, at, 0, last, at] and seen["call"] < at, seen
assert int(seen["firstLive"]) < int(chart["data-peak-live"]) and seen["unfolded"], seen
assert seen["call"] != seen["pointed"] and seen["kept"] == seen["call"], seen
assert not seen["withoutVariables"] and seen["focus"] == "sort-launches" and seen["open"] and seen["closed"] and seen["stillOpen"], seen
assert seen["marks"] == 1, seen
wanted = {"view": "phases", "left": "step", "right": "fused", "search": "rope", "function": "block.backward", "at": str(seen["call"]), "variables": "no"}
assert wanted.items() <= seen["state"].items() and seen["state"]["value"], seen

# A pipeline: a cell for each action, those of the critical path marked, and a row for each stage.
staged = folder / "pipeline"
run("primus-compile", experiment, *keys, "global_batch_size=4", "num_layers=4", "pipeline_model_parallel_size=2", "patch_primus_pipeline=true",
    "pp_algorithm=zero-bubble", "--stop-after", "fused", "--dump", staged)
times = json.loads((staged / "report.json").read_text())["pipeline"]
page = Page(staged, view="pipeline")
actions = [element["attributes"]["data-action"] for element in page.find("g", "cell")]
assert sorted(actions) == sorted(f"{stage}{kind}{microbatch}" for stage in range(2) for kind in "FIW" for microbatch in range(4)), actions
critical = [element["attributes"]["data-action"] for element in page.find("g", "critical")]
assert sorted(critical) == sorted(times["critical_path"]["first"]), critical
assert f"{round(100 * times['bubble'])} %" in page.one("section", id="pipeline-cards")["text"]
assert "layers.2" in page.one("table", id="stage-table")["text"]

# What exists of a dump that stops early or starts late is shown.
for arguments, phases, tabs in [
        ((experiment, *keys, "--stop-after", "train"), ["config", "spec", "model", "train"], ["Overview", "Phases"]),
        (("--start-from", dump / "07-fused.mlir", "--stop-after", "step"), ["fused", "step"], ["Overview", "Phases", "Memory", "Kernels"])]:
    partial = folder / "partial"
    run("primus-compile", *arguments, "--dump", partial)
    page = Page(partial, view="phases")
    assert [tab["text"] for tab in page.find("button", role="tab")] == tabs
    assert [page.one("div", id=f"head-{side}")["attributes"]["data-phase"] for side in ("left", "right")] == phases[-2:], phases

# A page that can't be written is an error.
(folder / "taken" / "index.html").mkdir(parents=True)
assert "index.html could not be written" in run("primus-compile", experiment, *keys, "--stop-after", "spec", "--dump", folder / "taken", status=3).stderr
