"""Parses every ```mlir example of TableGen documentation with primus-opt.

usage: DocumentationExamples.py PRIMUS_OPT FOLDER...

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


def examples_of(file):
    text = file.read_text()
    for match in re.finditer(r"^ *```mlir\n(.*?)^ *```", text, re.M | re.S):
        line = text.count("\n", 0, match.start()) + 1
        yield Example(f"{file}:{line}", match.group(1))
    # Descriptions of classes of ops are TableGen expressions: put in each op's mnemonic.
    for name, expression in re.findall(r'class (\w+)<string mnemonic.*?let description = (.*?);\n', text, re.S):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"|\b(mnemonic)\b', expression)
        description = "".join("MNEMONIC" if mnemonic else string for string, mnemonic in pieces).replace("\\n", "\n")
        for mnemonic in re.findall(rf'{name}<"(\w+)"', text):
            for example in re.findall(r"```mlir\n(.*?)```", description, re.S):
                yield Example(f"{file}: {mnemonic}", example.replace("MNEMONIC", mnemonic))


def run(primus_opt, text, *options):
    return subprocess.run([primus_opt, "--allow-unregistered-dialect", "--split-input-file", *options], input=text,
                          capture_output=True, text=True)


def main():
    primus_opt, folders = sys.argv[1], sys.argv[2:]
    examples = [example for folder in folders for file in sorted(pathlib.Path(folder).rglob("*.td"))
                for example in examples_of(file)]
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
    print(f"{len(examples)} examples parse")


main()
