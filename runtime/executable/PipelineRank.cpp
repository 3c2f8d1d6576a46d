//===- PipelineRank.cpp - One rank's part of a pipeline -------------------===//

#include "runtime/executable/PipelineRank.h"

#include "runtime/executable/Mesh.h"

#include <algorithm>

using namespace primus;

void runtime::selectPipelineRank(executable::Executable &executable, int place) {
  if (executable.pipeline_ranks().empty())
    return;
  executable::PipelineRank &own = *executable.mutable_pipeline_ranks(place);
  executable.mutable_programs()->Swap(own.mutable_programs());
  *executable.mutable_variables() = own.variables();
  *executable.mutable_memory() = own.memory();
  for (executable::PipelineRank &rank : *executable.mutable_pipeline_ranks())
    rank.clear_programs();
}

int64_t runtime::getLargestArena(const executable::Executable &executable) {
  int64_t bytes = executable.memory().arena();
  for (const executable::PipelineRank &rank : executable.pipeline_ranks())
    bytes = std::max(bytes, rank.memory().arena());
  return bytes;
}

int runtime::getPipelinePlace(const executable::Executable &executable, int rank) {
  if (executable.pipeline_ranks().empty())
    return 0;
  AxisList axes;
  *axes.Add() = pipelineAxis;
  return RankMesh(executable.mesh()).getGroupIndex(rank, axes);
}
