//===- ModuleText.cpp - Modules as people read them ------------------------===//

#include "frontend/dump/ModuleText.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/AsmParser/AsmParserState.h"
#include "mlir/IR/AsmState.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace primus;
using namespace primus::cli;

/// The module's attribute, and the resource's group and key.
static constexpr StringLiteral kSpecAttr = "primus.spec", kResourceGroup = "primus", kSpecKey = "spec";

/// The name that the printer gives to a value: that of its location.
static StringRef getName(Location loc) {
  auto name = loc->findInstanceOf<NameLoc>();
  return name ? name.getName().getValue() : StringRef();
}

/// "name_3" without its "_3"; empty if it has none.
static StringRef dropNumber(StringRef name) {
  StringRef base = name.rtrim("0123456789");
  return base.size() < name.size() && base.size() > 1 && base.ends_with("_") ? base.drop_back() : StringRef();
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

/// True if the names of the op's values can be told from its text: each is an identifier, and none looks like another one with a number.
static bool hasPlainNames(Operation &op) {
  llvm::StringSet<> names;
  auto add = [&](Location loc) {
    if (StringRef name = getName(loc); !name.empty())
      names.insert(name);
  };
  op.walk([&](Block *block) {
    for (BlockArgument argument : block->getArguments())
      add(argument.getLoc());
  });
  op.walk([&](Operation *inner) {
    if (inner->getNumResults())
      add(inner->getLoc());
  });
  return llvm::all_of(names.keys(), [&](StringRef name) {
    bool isIdentifier =
        !llvm::isDigit(name.front()) && llvm::all_of(name, [](char c) { return llvm::isAlnum(c) || StringRef("$._-").contains(c); });
    StringRef base = dropNumber(name);
    return isIdentifier && (base.empty() || !names.contains(base));
  });
}

std::string cli::printModule(ModuleOp module) {
  bool isPlain = llvm::all_of(*module.getBody(), hasPlainNames);
  auto spec = module->getAttrOfType<StringAttr>(kSpecAttr);
  module->removeAttr(kSpecAttr);
  std::string text;
  {
    AsmState state(module, OpPrintingFlags().printNameLocAsPrefix().enableDebugInfo(!isPlain));
    if (spec)
      state.attachResourcePrinter(kResourceGroup,
                                  [&](Operation *, AsmResourceBuilder &builder) { builder.buildString(kSpecKey, spec.getValue()); });
    llvm::raw_string_ostream stream(text);
    module->print(stream, state);
  }
  if (spec)
    module->setAttr(kSpecAttr, spec);
  return text.ends_with("\n") ? text : text + "\n";
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

namespace {

/// Gives the values of one op of the module's body the locations of their names in the source.
class NameRecovery {
public:
  explicit NameRecovery(const AsmParserState &source) : source(source) {}
  void run(Operation &root);

private:
  /// The identifier at a place of the source; empty where it is one that the printer gives to values without name: a number, arg0, cst_1.
  static StringRef read(SMRange range);
  Location locate(StringRef name, Location present) const;

  const AsmParserState &source;
  llvm::StringSet<> names;
};

} // namespace

StringRef NameRecovery::read(SMRange range) {
  if (!range.isValid())
    return {};
  StringRef text(range.Start.getPointer(), range.End.getPointer() - range.Start.getPointer());
  text.consume_front("%");
  StringRef number = text;
  bool isConstant = number.consume_front("cst") && (number.empty() || number.consume_front("_"));
  bool isAnonymous = isConstant || number.consume_front("arg") || !number.empty();
  return isAnonymous && llvm::all_of(number, llvm::isDigit) ? StringRef() : text;
}

Location NameRecovery::locate(StringRef name, Location present) const {
  if (name.empty() || present->findInstanceOf<NameLoc>())
    return present;
  StringRef base = dropNumber(name);
  return NameLoc::get(StringAttr::get(present.getContext(), !base.empty() && names.contains(base) ? base : name), present);
}

void NameRecovery::run(Operation &root) {
  names.clear();
  DenseMap<Operation *, StringRef> ofResults;
  SmallVector<std::pair<BlockArgument, StringRef>> ofArguments;
  root.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (const auto *definition = source.getOpDef(op))
      if (!definition->resultGroups.empty())
        ofResults[op] = read(definition->resultGroups.front().definition.loc);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        if (const auto *definition = source.getBlockDef(&block))
          for (auto [argument, place] : llvm::zip(block.getArguments(), definition->arguments))
            ofArguments.push_back({argument, read(place.loc)});
  });
  for (auto &[op, name] : ofResults)
    names.insert(name);
  for (auto &[argument, name] : ofArguments)
    names.insert(name);
  for (auto &[op, name] : ofResults)
    op->setLoc(locate(name, op->getLoc()));
  for (auto &[argument, name] : ofArguments)
    argument.setLoc(locate(name, argument.getLoc()));
  // Functions and variables are located by their own names.
  if (auto symbol = root.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName()))
    root.setLoc(root.getLoc()->findInstanceOf<NameLoc>() ? root.getLoc() : NameLoc::get(symbol, root.getLoc()));
}

OwningOpRef<ModuleOp> cli::parseModule(llvm::SourceMgr &sources, MLIRContext *context) {
  std::optional<std::string> spec;
  ParserConfig config(context);
  config.attachResourceParser(kResourceGroup, [&](AsmParsedResourceEntry &entry) -> LogicalResult {
    if (entry.getKey() != kSpecKey)
      return success();
    FailureOr<std::string> text = entry.parseAsString();
    if (succeeded(text))
      spec = std::move(*text);
    return text;
  });
  Block block;
  AsmParserState state;
  if (failed(parseAsmSourceFile(sources, &block, config, &state)))
    return {};
  auto modules = block.getOps<ModuleOp>();
  if (!llvm::hasSingleElement(block) || modules.empty()) {
    emitError(FileLineColLoc::get(context, sources.getMemoryBuffer(sources.getMainFileID())->getBufferIdentifier(), 1, 1))
        << "holds " << (block.empty() ? "nothing" : "more than one module, or none");
    return {};
  }
  ModuleOp module = *modules.begin();
  module->remove();
  NameRecovery names(state);
  for (Operation &op : *module.getBody())
    names.run(op);
  if (spec && !module->hasAttr(kSpecAttr))
    module->setAttr(kSpecAttr, StringAttr::get(context, *spec));
  return module;
}
