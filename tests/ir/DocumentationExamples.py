"""Parses every ```mlir example of the reference pages, which mlir-tblgen makes of the ODS documentation, with primus-opt.

usage: DocumentationExamples.py PRIMUS_OPT FOLDER

Every op and pass must have a summary, a description and an example that shows it; every attribute of our own, too.

An example of ops alone is put into a function. What it uses without defining it is defined by an unregistered op, whose type is learnt from
primus-opt's own complaint about it; the example must then pass the verifier and survive printing and parsing.
"""

import pathlib
import re
import subprocess
import sys
import textwrap

TOP_LEVEL = re.compile(r"^(module|func\.func|kernel\.func|step\.function|step\.program|graph\.variable)\b", re.M)
COMPLAINT = re.compile(r"<stdin>:(\d+):\d+: error: use of value '(%\w+)' expects different type than prior uses: '(.*)' vs 'none'")
UNKNOWN = re.compile(r"<stdin>:(\d+):\d+: error: use of undeclared SSA value name")


class Example:
    def __init__(self, origin, text):
        self.origin = origin
        self.text = textwrap.dedent(text)
        self.types = {}
        if not TOP_LEVEL.search(self.text):
            # Results of ops and what a region's header binds are defined; every other value is free.
            defined = set()
            for results in re.findall(r"^\s*((?:%\w+(?:, )?)+) = ", self.text, re.M):
                defined.update(re.findall(r"%\w+", results))
            for binding in re.findall(r"\((%\w+ = %\w+(?:, %\w+ = %\w+)*)\)", self.text):
                defined.update(re.findall(r"(%\w+) =", binding))
            for value in re.findall(r"%\w+", self.text):
                if value not in defined:
                    self.types.setdefault(value, "none")

    def render(self):
        if TOP_LEVEL.search(self.text):
            return self.text
        definitions = [f'{value} = "test.value"() : () -> ({type})' for value, type in self.types.items()]
        kernel = "kernel." in self.text
        head = "kernel.func @example() grid [1] {" if kernel else "func.func @example() {"
        return "\n".join([head, *definitions, self.text, "kernel.return" if kernel else "return", "}", ""])


problems = []


def sections_of(page):
    """Pairs of a heading (an op, an attribute or a pass) and its text."""
    parts = re.split(r"^(##+ .*)\n", page.read_text(), flags=re.M)
    chapter, heading, text = "", None, ""
    for title, body in zip(parts[1::2], parts[2::2]):
        if title.startswith("### "):
            if heading:
                yield chapter, heading, text
            heading, text = title[4:], body
        elif title.startswith("#### "):
            text += title + "\n" + body
        else:
            if heading:
                yield chapter, heading, text
            chapter, heading = title[3:], None
    if heading:
        yield chapter, heading, text


def examples_of(page):
    """The examples of a page, after a check of what each section must have."""
    for chapter, heading, text in sections_of(page):
        origin = f"{page.name}: {heading}"
        examples = re.findall(r"^```mlir\n(.*?)^```", text, re.M | re.S)
        name = re.search(r"`-?([\w.-]+)`|^(\w+)", heading).group(1) or heading
        isPass = heading.startswith("`-")
        # Enums and the attributes made of them are documented by their cases.
        if isPass or chapter == "Operations" or (chapter == "Attributes" and f"Enum" not in text and "enum" not in text):
            if not re.search(r"^_.+_$", text, re.M):
                problems.append(f"{origin} has no summary")
            if not examples:
                problems.append(f"{origin} has no example")
            elif chapter == "Operations" and not any(re.search(rf"\b{re.escape(name)}\b", example) for example in examples):
                problems.append(f"no example of {origin} shows it")
        for example in examples:
            yield Example(origin, example)


def run(primus_opt, text, *options):
    return subprocess.run([primus_opt, "--allow-unregistered-dialect", "--split-input-file", *options], input=text,
                          capture_output=True, text=True)


def main():
    primus_opt, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    pages = sorted(folder.glob("*.md"))
    examples = [example for page in pages for example in examples_of(page)]
    if problems:
        sys.exit("\n".join(problems))
    separator = "\n// -----\n"
    while True:
        parts, starts, line = [], [], 1
        for example in examples:
            parts.append(example.render())
            starts.append(line)
            line += parts[-1].count("\n") + separator.count("\n")
        result = run(primus_opt, separator.join(parts))
        learnt = False
        for number, value, type in COMPLAINT.findall(result.stderr):
            example = [e for e, start in zip(examples, starts) if start <= int(number)][-1]
            if example.types.get(value) == "none":
                example.types[value] = type
                learnt = True
        if not learnt:
            break
    if result.returncode != 0:
        for number in sorted({int(n) for n in re.findall(r"<stdin>:(\d+):", result.stderr)}):
            print([e.origin for e, start in zip(examples, starts) if start <= number][-1], "(see below)")
        sys.exit(result.stderr)
    again = run(primus_opt, result.stdout)
    if again.returncode != 0 or again.stdout != result.stdout:
        sys.exit("printing and parsing the examples again changes them\n" + again.stderr)
    print(f"{len(examples)} examples of {len(pages)} pages parse")


main()
