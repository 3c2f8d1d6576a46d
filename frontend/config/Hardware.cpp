//===- Hardware.cpp - The device that a run is meant for ------------------===//

#include "frontend/config/Hardware.h"

#include "frontend/config/PresetFinder.h"
#include "frontend/config/Suggestion.h"
#include "frontend/config/yaml/Extends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

namespace fs = std::filesystem;

namespace primus::config {

/// A key of a preset, the field that it fills, and the factor between them.
struct Figure {
  const char *key, *field;
  double factor;
};

static constexpr Figure figures[] = {
    {"memory_tb_per_second", "hardware.memory_bandwidth", 1e12}, {"peak_tflops.f64", "hardware.f64_flops", 1e12},
    {"peak_tflops.f32", "hardware.f32_flops", 1e12},             {"peak_tflops.f16", "hardware.f16_flops", 1e12},
    {"peak_tflops.bf16", "hardware.bf16_flops", 1e12},           {"peak_tflops.f8", "hardware.f8_flops", 1e12},
    {"peak_tflops.f4", "hardware.f4_flops", 1e12},               {"link_gb_per_second", "hardware.link_bandwidth", 1e9},
    {"host_gb_per_second", "hardware.host_bandwidth", 1e9},
    {"network_gb_per_second", "hardware.network_bandwidth", 1e9}, {"clock_ghz", "hardware.clock", 1e9},
};

/// Name and file of every hardware preset; of two with one name the first root's.
static std::map<std::string, std::string> findPresets(const ResolvedConfig &config) {
  std::map<std::string, std::string> presets;
  PresetFinder finder(config.configPaths);
  for (const std::string &root : finder.roots()) {
    std::error_code error;
    for (fs::directory_iterator it(fs::path(root) / "hardware", error), end; !error && it != end; it.increment(error))
      if (it->path().extension() == ".yaml")
        presets.emplace(it->path().stem().string(), it->path().string());
  }
  return presets;
}

static int64_t machineMemory() {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<int64_t>(sysconf(_SC_PAGE_SIZE));
}

static void refuseUnknownKeys(const Map &map, const std::string &prefix, const std::set<std::string> &known,
                              Diagnostics &diagnostics) {
  for (const auto &[name, entry] : map) {
    std::string key = prefix + name;
    auto next = known.lower_bound(key);
    bool isSection = next != known.end() && next->starts_with(key + ".");
    if (isSection && entry.value.isMap())
      refuseUnknownKeys(*entry.value.asMap(), key + ".", known, diagnostics);
    else if (!isSection && !known.count(key))
      diagnostics.error(entry.keyLocation, fmt::format("unknown key '{}' in a hardware preset", key),
                        didYouMean(key, {known.begin(), known.end()}, "remove it"));
  }
}

/// The preset's table of tiles: a list of {m, n, k, bits, tile: [rows, columns], waves: [along rows, along columns]}.
static void fillTiles(Mapping &m, const Value *table, const std::string &file) {
  if (!table)
    return;
  if (!table->asList())
    return m.diagnostics.error(table->location(), "'matmul_tiles' must be a list",
                               "write - {m: 4096, tile: [128, 128], waves: [2, 2]}");
  unsigned number = 0;
  for (const Value &entry : *table->asList()) {
    if (!entry.isMap()) {
      m.diagnostics.error(entry.location(), "an entry of 'matmul_tiles' must be a mapping",
                          "write {m: 4096, tile: [128, 128], waves: [2, 2]}");
      continue;
    }
    std::string field = fmt::format("hardware.matmul_tiles[{}].", number++);
    KeyReader keys(*entry.asMap(), inFile(file), m.diagnostics);
    for (const char *size : {"m", "n", "k", "bits"})
      m.spec.set(field + size, keys.count(size, 0, 0));
    for (const char *pair : {"tile", "waves"}) {
      const Value *value = keys.value(pair);
      const List *list = value ? value->asList() : nullptr;
      std::vector<int64_t> numbers;
      for (const Value &item : list ? *list : List())
        if (const int64_t *count = item.asInt(); count && *count > 0 && *count <= 1024)
          numbers.push_back(*count);
      if (numbers.size() != 2 || list->size() != 2)
        m.diagnostics.error(value ? value->location() : entry.location(),
                            fmt::format("'{}' of an entry of 'matmul_tiles' must be two numbers from 1 to 1024", pair),
                            "for example tile: [128, 128], waves: [2, 2]");
      else
        m.spec.set(field + pair, Setting<std::vector<int64_t>>{numbers, {"matmul_tiles", value->location()}});
    }
    refuseUnknownKeys(*entry.asMap(), "", keys.readKeys(), m.diagnostics);
  }
}

/// All fields but the name come from the preset, and say so.
static void fill(Mapping &m, const std::string &file, const Setting<std::string> &name) {
  std::optional<Value> preset = loadWithExtends(file, m.diagnostics);
  if (!preset)
    return;
  KeyReader keys(*preset->asMap(), inFile(file), m.diagnostics);
  m.spec.set("hardware.name", name);
  Setting<std::string> target = keys.choice("target", "cpu", {"cpu", "gfx942", "gfx950"});
  m.spec.set("hardware.target", target);
  std::optional<Setting<double>> memory = keys.tryReal("memory_gib");
  if (memory && !(memory->value > 0 && memory->value < 1e6))
    m.diagnostics.error(memory->origin.location,
                        fmt::format("'memory_gib' must be above 0 and below 1000000, but is {}", memory->value));
  else if (memory)
    m.spec.set("hardware.memory_bytes", memory->with(static_cast<int64_t>(memory->value * (int64_t(1) << 30))));
  else if (target.value == "cpu")
    m.spec.set("hardware.memory_bytes", derived(machineMemory(), "this machine's memory", target.origin));
  m.spec.set("hardware.links", keys.count("links", 0, 0));
  m.spec.set("hardware.compute_units", keys.count("compute_units", 0, 0));
  fillTiles(m, keys.value("matmul_tiles"), file);
  for (const Figure &figure : figures)
    if (std::optional<Setting<double>> value = keys.tryReal(figure.key))
      m.spec.set(figure.field, value->with(value->value * figure.factor));
  refuseUnknownKeys(*preset->asMap(), "", keys.readKeys(), m.diagnostics);
}

static std::optional<std::string> targetOfPreset(Mapping &m, const std::string &file) {
  std::optional<Value> preset = loadWithExtends(file, m.diagnostics);
  const Value *target = preset ? preset->find("target") : nullptr;
  return target && target->asString() ? std::optional(*target->asString()) : std::nullopt;
}

/// The name of the first preset of a target.
static std::optional<std::string> presetOfTarget(Mapping &m, const std::map<std::string, std::string> &presets) {
  for (const auto &[name, file] : presets)
    if (targetOfPreset(m, file) == m.config.target)
      return name;
  return std::nullopt;
}

void mapTargetHardware(Mapping &m) {
  if (m.config.target == "cpu")
    return;
  std::map<std::string, std::string> presets = findPresets(m.config);
  Origin origin{"--target", {nullptr, 0, 0, Layer::CommandLine}};
  if (std::optional<std::string> found = presetOfTarget(m, presets))
    fill(m, presets[*found], {*found, origin});
}

void mapHardware(Mapping &m) {
  std::optional<Setting<std::string>> name = m.keys.tryText("hardware");
  if (!name)
    return mapTargetHardware(m);
  std::map<std::string, std::string> presets = findPresets(m.config);
  if (auto found = presets.find(name->value); found != presets.end()) {
    std::optional<std::string> target = targetOfPreset(m, found->second);
    if (m.config.target == "cpu" || !target || *target == m.config.target)
      return fill(m, found->second, *name);
    m.diagnostics.warning(name->origin.location,
                          fmt::format("hardware '{}' is {}, but --target is {}", name->value, *target, m.config.target),
                          "figures of the first hardware of the target are used instead");
    return mapTargetHardware(m);
  }
  std::vector<std::string> names;
  for (const auto &[known, file] : presets)
    names.push_back(known);
  m.diagnostics.error(name->origin.location, fmt::format("there is no hardware '{}'", name->value),
                      didYouMean(name->value, names, fmt::format("known: {}", fmt::join(names, ", "))));
}

} // namespace primus::config
