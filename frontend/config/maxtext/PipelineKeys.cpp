//===- PipelineKeys.cpp - Pipelines as MaxText cuts them ------------------===//
//
// The checks of pipelines in MaxText's pyconfig.py. Its ranks run their stages in turn (repeats), forward passes before
// backward passes; here they are interleaved, with the same idle time in less memory.
//
//===----------------------------------------------------------------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/PipelineStages.h"
#include "frontend/config/maxtext/MaxText.h"

#include <fmt/format.h>

#include <algorithm>

namespace primus::config::maxtext {

/// num_pipeline_repeats stages on each rank, each of num_layers_per_pipeline_stage layers.
static void mapStages(Mapping &m, int64_t ranks) {
  Setting<int64_t> pipelined = m.keys.integer("pipeline_parallel_layers", -1);
  Setting<int64_t> size = m.keys.count("num_layers_per_pipeline_stage", 1, 1);
  Setting<int64_t> repeats = m.keys.integer("num_pipeline_repeats", -1);
  int64_t layers = countLayers(m.spec.get().model());
  if (ranks == 1)
    return;
  if (pipelined.value != -1 && pipelined.value != layers) {
    m.diagnostics.error(pipelined.origin.location,
                        fmt::format("'pipeline_parallel_layers: {}' is not supported: layers outside the pipeline ({} in all)",
                                    pipelined.value, layers),
                        "set pipeline_parallel_layers=-1");
    return;
  }
  int64_t perRepeat = saturatingProduct({ranks, size.value});
  if (layers % perRepeat != 0) {
    m.diagnostics.error(size.origin.location,
                        fmt::format("{} layers are not a multiple of {} pipeline ranks * num_layers_per_pipeline_stage {}", layers,
                                    ranks, size.value),
                        layers % ranks == 0 ? fmt::format("set num_layers_per_pipeline_stage={}", layers / ranks)
                                            : fmt::format("use a number of ranks that divides {}", layers));
    return;
  }
  int64_t each = layers / perRepeat;
  if (repeats.value != -1 && repeats.value != each) {
    m.diagnostics.error(repeats.origin.location,
                        fmt::format("{} pipeline ranks * num_layers_per_pipeline_stage {} * num_pipeline_repeats {} are not the {} layers",
                                    ranks, size.value, repeats.value, layers),
                        fmt::format("set num_pipeline_repeats={}", each));
    return;
  }
  if (each > 1)
    m.spec.set("parallelism.virtual_stages",
               repeats.value == -1 ? derived(each, "layers / (pipeline ranks * num_layers_per_pipeline_stage)", size.origin) : repeats);
}

Setting<int64_t> mapPipeline(Mapping &m) {
  int64_t ranks = m.spec.get().parallelism().pipeline();
  mapStages(m, ranks);
  Setting<bool> delays = m.keys.boolean("pipeline_delay_activation_forwarding", false);
  Setting<int64_t> given = m.keys.integer("num_pipeline_microbatches", -1);
  if (ranks == 1)
    return given.with<int64_t>(1);
  if (given.value == -1)
    return derived(saturatingProduct({delays.value ? 2 : 1, ranks}), "as many as pipeline ranks (num_pipeline_microbatches)",
                   delays.value ? delays.origin : given.origin);
  if (given.value >= 1 && given.value % ranks == 0)
    return given;
  m.diagnostics.error(given.origin.location,
                      fmt::format("num_pipeline_microbatches {} is not a multiple of {} pipeline ranks", given.value, ranks),
                      fmt::format("set num_pipeline_microbatches={}",
                                  saturatingProduct({std::max<int64_t>(given.value, 0) / ranks + 1, ranks})));
  return given.with(ranks);
}

} // namespace primus::config::maxtext
