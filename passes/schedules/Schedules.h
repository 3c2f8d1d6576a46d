//===- Schedules.h - Generators of pipeline schedules ------------*- C++ -*-===//
//
// One schedule is one file of this folder, registered in Schedules.cpp.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/schedules/Simulate.h"

namespace primus::schedules {

struct Request {
  int32_t ranks = 1, stagesPerRank = 1, microbatches = 1;
  /// How long each stage takes, for schedules that decide by it; of stages that are missing, as long as any other.
  std::vector<StageSeconds> costs;
};

struct Schedule {
  /// As in configurations: "1f1b".
  llvm::StringLiteral name;
  llvm::StringLiteral summary;
  /// How many stages each rank may have.
  int32_t leastStagesPerRank, mostStagesPerRank;
  /// Stages go up the ranks and down again, so that the first rank has the first and the last stage; else they begin
  /// again at the first rank.
  bool isV;
  /// The order in which each rank computes.
  std::vector<std::vector<Action>> (*generate)(const Request &request, const Table &places);
};

llvm::ArrayRef<Schedule> getSchedules();
/// Null if there is none of that name.
const Schedule *findSchedule(llvm::StringRef name);

/// A whole table, with messages, that has passed `check`. Errors say which of the request's numbers cannot be, and what
/// could.
llvm::Expected<Table> generate(const Schedule &schedule, const Request &request);

//===----------------------------------------------------------------------===//
// The generators
//===----------------------------------------------------------------------===//

using Rows = std::vector<std::vector<Action>>;

Rows generateGPipe(const Request &request, const Table &places);
Rows generateOneForwardOneBackward(const Request &request, const Table &places);
Rows generateInterleaved(const Request &request, const Table &places);
Rows generateZeroBubble(const Request &request, const Table &places);
Rows generateZbV(const Request &request, const Table &places);

} // namespace primus::schedules
