//===- RunDescription.h - What an executable says of its run -----*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "runtime/executable/Executable.pb.h"

namespace primus::cli {

/// Fills in what the training loop needs beside programs and kernels: versions, the spec without places and paths, the
/// schedule, data, checkpoints, and the settings that a resumed run is compared with.
void describeRun(const spec::TrainingSpec &spec, executable::Executable &result);

} // namespace primus::cli
