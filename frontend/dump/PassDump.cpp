//===- PassDump.cpp - What each pass changed -------------------------------===//

#include "frontend/dump/PassDump.h"

#include "frontend/cli/Compilation.h"

#include "mlir/IR/AsmState.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"

#include <fmt/format.h>
#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

namespace {

/// Texts by name: of the op itself, or of each op in a module's body.
using Texts = llvm::MapVector<std::string, std::string, std::map<std::string, unsigned>>;

class PassDump : public PassInstrumentation {
public:
  PassDump(PassDumpTarget &target, StringRef phase) : target(target), phase(phase.str()) {}

  void runBeforePass(Pass *pass, Operation *op) override {
    if (matches(pass))
      before = print(op);
  }
  void runAfterPass(Pass *pass, Operation *op) override {
    if (matches(pass))
      write(*pass, op, print(op));
  }

private:
  // Phases are passes of passes; those in between have no name on the command line.
  bool matches(Pass *pass) { return !pass->getArgument().empty() && target.passes.match(pass->getArgument()); }
  static Texts print(Operation *op);
  void write(Pass &pass, Operation *op, const Texts &after);

  PassDumpTarget &target;
  std::string phase;
  Texts before;
};

} // namespace

static std::string getSymbol(Operation &op) {
  auto name = op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName());
  return name ? "@" + name.str() : op.getName().getStringRef().str();
}

Texts PassDump::print(Operation *op) {
  Texts texts;
  // A pass on functions runs in a module, whose names and short forms are part of the text.
  AsmState state(op, OpPrintingFlags().printNameLocAsPrefix());
  auto add = [&](Operation &part) {
    llvm::raw_string_ostream stream(texts[getSymbol(part)]);
    part.print(stream, state);
    stream << "\n";
  };
  auto module = dyn_cast<ModuleOp>(op);
  if (!module) {
    add(*op);
    return texts;
  }
  for (NamedAttribute attribute : module->getDiscardableAttrs())
    if (auto text = dyn_cast<StringAttr>(attribute.getValue()); !text || !text.getValue().contains('\n'))
      llvm::raw_string_ostream(texts["module attributes"])
          << "// module attribute " << attribute.getName().getValue() << " = " << attribute.getValue() << "\n";
  for (Operation &part : *module.getBody())
    add(part);
  return texts;
}

/// A unified diff, made by the program of that name.
static std::string diff(StringRef before, StringRef after) {
  auto program = llvm::sys::findProgramByName("diff");
  if (!program)
    return "the program 'diff', which writes this file, was not found\n";
  SmallString<128> paths[3];
  std::string text = "the differences could not be found: no temporary files\n";
  bool isReady = true;
  const StringRef inputs[] = {before, after, StringRef()};
  for (auto [path, contents] : llvm::zip(paths, inputs)) {
    int descriptor = -1;
    if (llvm::sys::fs::createTemporaryFile("primus", "txt", descriptor, path)) {
      isReady = false;
      continue;
    }
    llvm::raw_fd_ostream(descriptor, /*shouldClose=*/true) << contents;
  }
  if (isReady) {
    std::optional<StringRef> redirects[] = {StringRef(""), paths[2].str(), StringRef("")};
    llvm::sys::ExecuteAndWait(*program, {*program, "-u", "--label", "before", "--label", "after", paths[0], paths[1]},
                              /*Env=*/std::nullopt, redirects);
    if (auto result = llvm::MemoryBuffer::getFile(paths[2]))
      text = (*result)->getBuffer().str();
  }
  for (const auto &path : paths)
    if (!path.empty())
      llvm::sys::fs::remove(path);
  return text;
}

void PassDump::write(Pass &pass, Operation *op, const Texts &after) {
  std::vector<std::string> changed, added, gone;
  std::string oldText, newText;
  size_t unchanged = 0;
  for (const auto &[name, text] : after) {
    auto old = before.find(name);
    if (old != before.end() && old->second == text) {
      ++unchanged;
      continue;
    }
    (old == before.end() ? added : changed).push_back(name);
    newText += text;
    if (old != before.end())
      oldText += old->second;
  }
  for (const auto &[name, text] : before)
    if (!after.contains(name)) {
      gone.push_back(name);
      oldText += text;
    }
  if (changed.empty() && added.empty() && gone.empty())
    return;

  std::string head = fmt::format("// Pass {} of phase {}: {}.\n", pass.getArgument().str(), phase, pass.getDescription().str());
  for (const auto &[title, names] : {std::pair("changed", &changed), std::pair("new", &added), std::pair("gone", &gone)})
    if (!names->empty())
      head += fmt::format("// {}: {}\n", title, llvm::join(*names, ", "));
  if (unchanged)
    head += fmt::format("// unchanged and left out: {}\n", unchanged);
  std::string path = fmt::format("{}/{:03}-{}-{}{}", target.folder, ++target.count, phase, pass.getArgument().str(),
                                 isa<ModuleOp>(op) ? "" : "-" + getSymbol(*op).substr(1));
  target.failed |= !writeFile(path + ".mlir", head + newText) || !writeFile(path + ".diff", diff(oldText, newText));
}

std::unique_ptr<PassInstrumentation> cli::createPassDump(PassDumpTarget &target, StringRef phase) {
  return std::make_unique<PassDump>(target, phase);
}
