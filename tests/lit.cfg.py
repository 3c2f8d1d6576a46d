"""Configuration of the tests of tools: a test is a file whose RUN lines all succeed."""

import os
import shutil

import lit.formats

config.name = "primus"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
# Inputs of other tests.
config.excludes = ["Inputs"]
config.test_source_root = os.path.join(config.primus_source_dir, "tests")
config.test_exec_root = os.path.join(config.primus_binary_dir, "tests")

# Tools are found by name: our own first, then FileCheck, not, split-file and count.
path = [os.path.join(config.primus_binary_dir, "bin"), config.llvm_tools_dir, config.environment["PATH"]]
config.environment["PATH"] = os.pathsep.join(path)
# Tests in a browser are unsupported, with this name as the reason, where it is not installed.
if shutil.which("chromium"):
    config.available_features.add("chromium")
# A script that hangs ends with what it has started, and says where; the slowest take a minute on a busy machine.
config.substitutions.append(("%python", f"timeout --signal=INT --kill-after=10 200 {config.python}"))
config.substitutions.append(("%source_dir", config.primus_source_dir))
config.substitutions.append(("%binary_dir", config.primus_binary_dir))
