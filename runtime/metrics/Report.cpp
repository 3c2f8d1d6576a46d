//===- Report.cpp - What --report prints ----------------------------------===//

#include "runtime/metrics/Report.h"

#include "runtime/metrics/Communication.h"

using namespace primus;
using nlohmann::ordered_json;

/// What a rank exchanges in a step, or in a run of the first program where there is no step.
static ordered_json describeCommunication(const executable::Executable &executable,
                                          const google::protobuf::RepeatedPtrField<executable::Program> &programs) {
  const executable::Program *step = programs.empty() ? nullptr : &programs[0];
  for (const executable::Program &program : programs)
    if (program.name() == "train_step")
      step = &program;
  ordered_json list = ordered_json::array();
  if (!step)
    return list;
  for (const runtime::Communication &sum : runtime::sumCommunication(executable, *step))
    list.push_back({{"kind", sum.kind}, {"axes", sum.axes}, {"count", sum.count}, {"bytes", sum.bytes}, {"asynchronous", sum.asynchronous}});
  return list;
}

ordered_json runtime::describeResources(const executable::Resources &resources) {
  return {{"vector_registers", resources.vector_registers()},
          {"accumulator_registers", resources.accumulator_registers()},
          {"scalar_registers", resources.scalar_registers()},
          {"scratch_bytes", resources.scratch_bytes()},
          {"spills", resources.spills()},
          {"waves_per_simd", resources.waves_per_simd()}};
}

/// The ranks with one place in the pipeline, `count` in all; `part` is the executable or what it has of them.
template <typename Part>
static ordered_json describeRank(const executable::Executable &executable, const Part &part, int64_t stage, int64_t count) {
  const executable::Memory &memory = part.memory();
  return {
      {"stage", stage},
      {"count", count},
      {"peak_bytes", memory.arena()},
      {"parameter_bytes", memory.parameters()},
      {"gradient_bytes", memory.gradients()},
      {"optimizer_bytes", memory.optimizer()},
      {"constant_bytes", memory.constants()},
      {"input_bytes", memory.inputs()},
      {"activation_bytes", memory.activations()},
      {"communication", describeCommunication(executable, part.programs())},
  };
}

ordered_json runtime::makeReport(const executable::Executable &executable) {
  ordered_json ranks = ordered_json::array();
  int places = executable.pipeline_ranks_size();
  for (int place = 0; place < places; ++place)
    ranks.push_back(describeRank(executable, executable.pipeline_ranks(place), place, executable.world_size() / places));
  if (places == 0)
    ranks.push_back(describeRank(executable, executable, 0, executable.world_size()));
  ordered_json kernels = ordered_json::array();
  for (const executable::Kernel &kernel : executable.kernels()) {
    std::vector<int64_t> grid(kernel.grid().begin(), kernel.grid().end());
    kernels.push_back({{"name", kernel.name()},
                       {"grid", grid},
                       {"flops", kernel.flops()},
                       {"bytes", kernel.bytes()},
                       {"defined_by", kernel.defined_by()}});
    if (!kernel.has_resources())
      continue;
    ordered_json &entry = kernels.back();
    entry["block"] = std::vector<int64_t>(kernel.block().begin(), kernel.block().end());
    entry["lds_bytes"] = kernel.lds_bytes();
    entry.update(describeResources(kernel.resources()));
  }
  size_t codeBytes = executable.code().size();
  for (const std::string &object : executable.code_objects())
    codeBytes += object.size();
  return {
      {"target", executable.target()},
      {"parameters", executable.parameters()},
      {"flops_per_step", executable.flops_per_step()},
      {"ranks", ranks},
      {"kernels", kernels},
      {"code_bytes", codeBytes},
  };
}

void runtime::addRunToReport(ordered_json &report, const std::string &communicator,
                             const std::vector<RankFigures> &figures, const std::vector<MemoryUse> &uses) {
  report["allocated_bytes"] = figures.front().allocatedBytes;
  ordered_json process = ordered_json::object();
  for (const MemoryUse &use : uses)
    process[use.purpose] = {{"mapped", use.mappedBytes}, {"resident", use.residentBytes}};
  report["process_bytes"] = process;
  if (figures.size() == 1)
    return;
  report["communicator"] = communicator;
  ordered_json runs = ordered_json::array();
  for (size_t rank = 0; rank < figures.size(); ++rank)
    runs.push_back({{"rank", rank},
                    {"allocated_bytes", figures[rank].allocatedBytes},
                    {"communicator_bytes", figures[rank].communicatorBytes},
                    {"wait_seconds", figures[rank].waitSeconds},
                    {"link_seconds", figures[rank].linkSeconds},
                    {"compute_seconds", figures[rank].computeSeconds}});
  report["rank_runs"] = runs;
}
