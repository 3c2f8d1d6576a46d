//===- RemarkLog.cpp - What the passes chose, for people -------------------===//

#include "frontend/dump/RemarkLog.h"

#include "frontend/dump/PhaseFigures.h"
#include "passes/Remarks.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

namespace primus::cli {

struct RemarkListener : remark::detail::MLIRRemarkStreamerBase {
  explicit RemarkListener(RemarkLog &log) : log(log) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    RemarkLog::Entry entry{"", 0};
    for (const remark::detail::Remark::Arg &argument : remark.getArgs()) {
      if (argument.key == "Reason")
        entry.text = argument.val;
      else if (argument.key == "bytes")
        (void)StringRef(argument.val).getAsInteger(10, entry.bytes);
    }
    log.functions[remark.getFunction().str()][remark.getCategoryName().str()].push_back(std::move(entry));
  }

  RemarkLog &log;
};

} // namespace primus::cli

void RemarkLog::attach(MLIRContext &context) {
  // Each kind has a filter of its own.
  const std::string any = ".*";
  const remark::RemarkCategories all = {any, any, any, any, any};
  (void)remark::enableOptimizationRemarks(context, std::make_unique<RemarkListener>(*this), std::make_unique<remark::RemarkEmittingPolicyAll>(),
                                          all);
}

/// What a category of remarks is about; of one without title, its name.
static std::string getTitle(const std::string &category) {
  static constexpr std::pair<StringLiteral, StringLiteral> titles[] = {
      {kChunkingRemark, "the loss"},
      {kResidualRemark, "kept from forward for backward"},
      {kRecomputeRemark, "computed again by backward"},
      {kFusionMissedRemark, "fusions refused"},
      {kFusionRecomputeRemark, "computed in several kernels"},
      {kPackingRemark, "operands packed for products"},
      {kInplaceRemark, "computed in place"},
      {kInplaceMissedRemark, "not computed in place"},
      {kOverlapRemark, "exchanged between ranks while computing"},
      {kOverlapMissedRemark, "exchanged between ranks while nothing is computed"},
      {kPlacementRemark, "kept whole"},
      {kCollectiveRemark, "exchanged between ranks"},
  };
  for (auto [name, title] : titles)
    if (name == category)
      return title.str();
  return category;
}

std::string RemarkLog::str() const {
  std::string text = "\nRemarks of the passes, once per distinct layer:\n";
  for (const auto &[function, categories] : functions) {
    text += fmt::format("\n  {}\n", function);
    for (const auto &[category, entries] : categories) {
      int64_t bytes = 0;
      for (const Entry &entry : entries)
        bytes += entry.bytes;
      text += fmt::format("    {}{}:\n", getTitle(category), bytes ? " (" + formatBytes(bytes) + ")" : "");
      for (const Entry &entry : entries)
        text += fmt::format("      {}{}\n", entry.text, entry.bytes ? " [" + formatBytes(entry.bytes) + "]" : "");
    }
  }
  return text;
}
