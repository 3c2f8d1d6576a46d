//===- PipelineRank.h - One rank's part of a pipeline ------------*- C++ -*-===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_PIPELINERANK_H
#define PRIMUS_RUNTIME_EXECUTABLE_PIPELINERANK_H

#include "runtime/executable/Executable.pb.h"

namespace primus::runtime {

/// The axis of the mesh along which a pipeline's ranks stand.
inline constexpr const char *pipelineAxis = "pp";

/// Puts the programs, variables and memory of the pipeline rank with place `place` where an executable without a pipeline
/// has its own. Of what the ranks have, all but programs stays beside them: checkpoints need all variables. Does nothing
/// where there is no pipeline.
void selectPipelineRank(executable::Executable &executable, int place);

/// The arena of the rank that has the largest.
int64_t getLargestArena(const executable::Executable &executable);

/// The place in the pipeline of a rank of the mesh; 0 where there is none.
int getPipelinePlace(const executable::Executable &executable, int rank);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_PIPELINERANK_H
