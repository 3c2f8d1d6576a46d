//===- MemoryPoints.cpp - How much lies in the arena, and when ------------===//

#include "frontend/dump/MemoryTimeline.h"

#include "passes/step/Liveness.h"

#include "llvm/ADT/StringMap.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

int64_t MemoryPoint::sum() const { return std::accumulate(live.begin(), live.end(), int64_t(0)); }

std::vector<MemoryPoint> MemoryTimeline::getPoints(const ProgramTimeline &program) const {
  llvm::StringMap<const FunctionTimeline *> byName;
  for (const FunctionTimeline &function : functions)
    byName[function.name] = &function;
  std::vector<MemoryPoint> points;
  for (unsigned action = 0; action < program.actions.size(); ++action) {
    MemoryPoint point;
    point.action = action;
    auto add = [](MemoryPoint &to, const TimelineBuffer &buffer, int64_t base) {
      to.live[static_cast<size_t>(buffer.purpose)] += buffer.bytes;
      to.extent = std::max<int64_t>(to.extent, llvm::alignTo(base + buffer.offset + buffer.bytes, step::kBufferAlignment));
    };
    for (const TimelineBuffer &variable : variables)
      add(point, variable, 0);
    const TimelineBuffer *scratch = nullptr;
    for (const TimelineBuffer &buffer : program.buffers) {
      if (!buffer.isLive(action))
        continue;
      if (buffer.purpose == Purpose::Scratch)
        scratch = &buffer;
      else
        add(point, buffer, 0);
    }
    const FunctionTimeline *function = byName.lookup(program.actions[action].callee);
    unsigned launches = function ? std::max<size_t>(function->launches.size(), 1) : 1;
    for (point.launch = 0; point.launch < launches; ++point.launch) {
      points.push_back(point);
      if (scratch && function)
        for (const TimelineBuffer &buffer : function->buffers)
          if (buffer.isLive(point.launch))
            add(points.back(), buffer, scratch->offset);
    }
  }
  return points;
}

int64_t FunctionTimeline::countScratch(unsigned launch) const {
  int64_t bytes = 0;
  for (const TimelineBuffer &buffer : buffers)
    bytes += buffer.isLive(launch) ? buffer.bytes : 0;
  return bytes;
}

nlohmann::ordered_json MemoryTimeline::toJson() const {
  using Json = nlohmann::ordered_json;
  Json strings = Json::array();
  llvm::StringMap<unsigned> known;
  auto intern = [&](StringRef text) {
    auto [entry, isNew] = known.try_emplace(text, strings.size());
    if (isNew)
      strings.push_back(text.str());
    return entry->second;
  };
  auto describe = [&](const std::vector<TimelineBuffer> &buffers) {
    Json list = Json::array();
    for (const TimelineBuffer &buffer : buffers)
      list.push_back({intern(buffer.instance), intern(buffer.name), intern(buffer.type), static_cast<int>(buffer.purpose), buffer.bytes,
                      buffer.offset, buffer.first, buffer.last});
    return list;
  };
  Json result;
  result["purposes"] = {"parameters", "optimizer", "gradients", "constants", "inputs and outputs", "weights for compute", "activations",
                        "activation gradients", "scratch", "other"};
  result["variables"] = describe(variables);
  Json &functionList = result["functions"] = Json::array();
  for (const FunctionTimeline &function : functions) {
    Json launches = Json::array();
    for (const std::string &launch : function.launches)
      launches.push_back(intern(launch));
    Json scratch = Json::array();
    for (unsigned launch = 0; launch < function.launches.size(); ++launch)
      scratch.push_back(function.countScratch(launch));
    functionList.push_back(
        {{"name", function.name}, {"launches", launches}, {"scratch", scratch}, {"buffers", describe(function.buffers)}});
  }
  Json &programList = result["programs"] = Json::array();
  for (const ProgramTimeline &program : programs) {
    Json actions = Json::array(), loops = Json::array();
    for (const ProgramTimeline::Action &action : program.actions)
      actions.push_back({intern(action.kind), intern(action.callee), intern(action.instance)});
    for (const ProgramTimeline::Loop &loop : program.loops)
      loops.push_back({loop.first, loop.last, loop.count});
    Json live = Json::array();
    MemoryPoint peak;
    int64_t extent = 0;
    for (MemoryPoint point : getPoints(program)) {
      if (point.sum() > peak.sum())
        peak = point;
      extent = std::max(extent, point.extent);
      point.live[static_cast<size_t>(Purpose::Scratch)] = 0;
      if (point.launch == 0)
        live.push_back(point.live);
    }
    programList.push_back({{"name", program.name},
                           {"arena", program.arena},
                           {"actions", actions},
                           {"loops", loops},
                           {"live", live},
                           {"peak", {{"action", peak.action}, {"launch", peak.launch}, {"live", peak.sum()}, {"bytes", extent}}},
                           {"buffers", describe(program.buffers)}});
  }
  result["strings"] = strings;
  return result;
}
