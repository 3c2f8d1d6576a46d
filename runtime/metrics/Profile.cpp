//===- Profile.cpp - What happened when, as a Chrome trace ----------------===//

#include "runtime/metrics/Profile.h"

#include "runtime/support/WriteFile.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace primus::runtime;
using nlohmann::ordered_json;

static ordered_json describe(const ProfileLabel &label, double seconds) {
  ordered_json arguments = ordered_json::object();
  if (!label.function.empty())
    arguments["function"] = label.function;
  if (!label.instance.empty())
    arguments["instance"] = label.instance;
  if (label.flops > 0)
    arguments["flops"] = label.flops;
  if (label.bytes > 0)
    arguments["bytes"] = label.bytes;
  if (seconds <= 0)
    return arguments;
  if (label.flops > 0)
    arguments["gflops_per_second"] = static_cast<double>(label.flops) / seconds * 1e-9;
  if (label.bytes > 0)
    arguments["gb_per_second"] = static_cast<double>(label.bytes) / seconds * 1e-9;
  if (label.boundSeconds > 0) {
    arguments["bound_us"] = label.boundSeconds * 1e6;
    arguments["share_of_bound"] = label.boundSeconds / seconds;
  }
  return arguments;
}

std::string Profile::format(int rank) const {
  std::string text;
  auto append = [&](const ordered_json &event) {
    text += ",\n";
    text += event.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  };
  append({{"ph", "M"}, {"pid", rank}, {"name", "process_name"}, {"args", {{"name", fmt::format("rank {}", rank)}}}});
  const char *const tracks[] = {"program", "device", "exchange"};
  for (int track = 0; track < 3; ++track)
    append({{"ph", "M"}, {"pid", rank}, {"tid", track}, {"name", "thread_name"}, {"args", {{"name", tracks[track]}}}});
  for (const Event &event : events) {
    double seconds = event.end - event.begin;
    append({{"ph", "X"},
            {"pid", rank},
            {"tid", static_cast<int>(event.track)},
            {"name", event.label->name},
            {"cat", event.label->category},
            {"ts", (event.begin - origin) * 1e6},
            {"dur", seconds * 1e6},
            {"args", describe(*event.label, seconds)}});
  }
  return text;
}

Error Profile::write(Communicator &communicator, const std::string &path) const {
  Expected<std::vector<std::string>> all = communicator.allGatherBytes(format(communicator.getRank()));
  if (!all)
    return all.takeError();
  if (communicator.getRank() > 0)
    return Error::success();
  std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  bool isFirst = true;
  for (const std::string &events : *all) {
    text += std::string_view(events).substr(isFirst ? 1 : 0);
    isFirst = false;
  }
  return writeFileAtomically(path, text + "\n]}\n");
}
