//===- Fp8Layers.h - Which linear layers are quantised -----------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "ir/graph/GraphDialect.h"

#include <map>
#include <set>
#include <string>

namespace primus::models {

/// The recipe of each linear layer of one decoder layer that is quantised, by its name ("attention.q").
using Fp8Linears = std::map<std::string, graph::Fp8Attr, std::less<>>;

/// Those of layer `index` (from 0) of the model.
Fp8Linears getFp8Linears(const spec::Fp8 &fp8, int64_t index, mlir::MLIRContext *context);

} // namespace primus::models
