//===- PipelineKeys.cpp - Stages of a pipeline and their schedule ---------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/PipelineStages.h"
#include "frontend/config/SpecChecker.h"
#include "frontend/config/megatron/Megatron.h"
#include "frontend/config/megatron/PipelineLayout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace primus::config::megatron {

static constexpr const char *kLayout = "pipeline_model_parallel_layout", *kList = "decoder_pipeline_manual_split_list";

namespace {

using Counts = std::vector<int64_t>;

/// What the keys say of the stages. Setters leave the spec as it is after an error.
class PipelineMapper {
public:
  explicit PipelineMapper(Mapping &m)
      : m(m), ranks{m.spec.get().parallelism().pipeline(), m.keys.origin("pipeline_model_parallel_size")},
        layers(countLayers(m.spec.get().model())) {}

  void map() {
    mapSchedule();
    bool hasLayout = mapLayout();
    if (!hasLayout)
      mapStagesPerRank();
    mapScheduleTable(m, "pipeline_schedule_table");
    if (ranks.value == 1 || layers > mostLayers || saturatingProduct({ranks.value, each}) > mostLayers) {
      readOtherKeys();
      return;
    }
    if (!hasLayout && !mapList())
      mapUnequalStages();
    verifyMicrobatches();
  }

private:
  void error(const Origin &origin, std::string message, std::string suggestion = {}) {
    m.diagnostics.error(origin.location, std::move(message), std::move(suggestion));
  }

  /// Whether the key says more than nothing or false.
  bool isAsked(const char *key) {
    const Value *value = m.keys.value(key);
    return value && !(value->asBool() && !*value->asBool());
  }

  /// Errors for keys that say otherwise how layers are cut.
  bool excludeOthers(const Origin &origin, std::initializer_list<const char *> keys) {
    for (const char *key : keys)
      if (isAsked(key)) {
        error(origin, fmt::format("'{}' and '{}' ({}) exclude each other", origin.key, key, m.keys.origin(key).location.str()),
              "set one of them only");
        return false;
      }
    return true;
  }

  void uneven(const Origin &origin, const std::string &suggestion) {
    error(origin, fmt::format("with '{}' the {} layers cannot be split over {} pipeline stages", origin.key, layers, ranks.value),
          suggestion);
  }

  //===--------------------------------------------------------------------===//
  // Schedules
  //===--------------------------------------------------------------------===//

  void setSchedule(const Origin &origin, const char *name) {
    if (ranks.value > 1)
      m.spec.set("parallelism.schedule", Setting<std::string>{name, origin});
    isV = std::string_view(name) == "zbv";
  }

  /// Primus has two implementations of schedules beside Megatron's own, which is 1f1b or interleaved.
  void mapSchedule() {
    Setting<bool> primus = m.keys.boolean("patch_primus_pipeline", false), zero = m.keys.boolean("patch_zero_bubble", false);
    Setting<std::string> algorithm = m.keys.text("pp_algorithm", "1f1b-interleaved");
    Setting<bool> enabled = m.keys.boolean("enable_zero_bubble", false), v = m.keys.boolean("zero_bubble_v_schedule", false);
    Setting<bool> oneV = m.keys.boolean("enable_1f1b_v", false);
    Setting<std::string> memory = m.keys.text("zero_bubble_v_schedule_mem_setup", "zb");
    if (ranks.value == 1)
      return;
    if (primus.value && zero.value)
      return error(primus.origin, fmt::format("'patch_primus_pipeline' and 'patch_zero_bubble' ({}) exclude each other",
                                              zero.origin.location.str()),
                   "set one of them only");
    if (primus.value)
      return mapAlgorithm(algorithm);
    if (algorithm.origin.isOwn())
      m.warnOfNoEffect(algorithm.origin, "patch_primus_pipeline", "patch_primus_pipeline=true");
    for (const Setting<bool> *flag : {&enabled, &v, &oneV})
      if (flag->value && !zero.value)
        m.warnOfNoEffect(flag->origin, "patch_zero_bubble", "patch_zero_bubble=true");
    if (!zero.value)
      return;
    if (oneV.value)
      return error(oneV.origin, "'enable_1f1b_v: true' is not supported: the schedule 1F1B-V",
                   "set zero_bubble_v_schedule=true, or enable_1f1b_v=false");
    if (v.value && memory.value != "zb")
      return error(memory.origin,
                   fmt::format("'zero_bubble_v_schedule_mem_setup: {}' is not supported: V schedules with less memory than 1f1b",
                               memory.value),
                   "set zero_bubble_v_schedule_mem_setup=zb");
    if (v.value)
      setSchedule(v.origin, "zbv");
    else if (enabled.value)
      setSchedule(enabled.origin, "zero-bubble");
  }

  void mapAlgorithm(const Setting<std::string> &algorithm) {
    static constexpr std::pair<const char *, const char *> known[] = {
        {"1f1b", "1f1b"}, {"1f1b-interleaved", "interleaved"}, {"zero-bubble", "zero-bubble"}, {"zbv-formatted", "zbv"}};
    for (auto [theirs, ours] : known)
      if (algorithm.value == theirs)
        return setSchedule(algorithm.origin, ours);
    error(algorithm.origin, fmt::format("'pp_algorithm: {}' is not supported: another schedule", algorithm.value),
          "supported: 1f1b, 1f1b-interleaved, zero-bubble, zbv-formatted");
  }

  //===--------------------------------------------------------------------===//
  // Stages
  //===--------------------------------------------------------------------===//

  /// False where there is no layout.
  bool mapLayout() {
    std::optional<Setting<std::string>> said = m.keys.tryText(kLayout);
    if (!said)
      return false;
    PipelineLayout layout = parseLayout(said->value);
    int64_t stages = static_cast<int64_t>(layout.stages.size()), sum = std::accumulate(layout.stages.begin(), layout.stages.end(), int64_t(0));
    each = std::max<int64_t>(stages / ranks.value, 1);
    bool agrees = excludeOthers(said->origin, {"decoder_first_pipeline_num_layers", "decoder_last_pipeline_num_layers", kList,
                                               "account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split",
                                               "num_layers_per_virtual_pipeline_stage"});
    for (const char *key : {"virtual_pipeline_model_parallel_size", "num_virtual_stages_per_pipeline_rank"})
      if (layout.error.empty() && m.keys.isSet(key) && m.keys.count(key, 1, 1).value != each)
        error(said->origin, fmt::format("{} has {} stages on each of {} pipeline ranks, but {} ({}) says {}", kLayout, each, ranks.value,
                                        key, m.keys.origin(key).location.str(), m.keys.count(key, 1, 1).value),
              fmt::format("set {}=None", key));
    if (!layout.error.empty())
      error(said->origin, fmt::format("'{}: {}' can't be read: {}", kLayout, said->value, layout.error));
    else if (ranks.value == 1 && stages > 1)
      error(said->origin, fmt::format("the {} stages of {} need several pipeline ranks", stages, kLayout),
            fmt::format("set pipeline_model_parallel_size={}", stages));
    else if (stages % ranks.value != 0)
      error(said->origin, fmt::format("the {} stages of {} are not a multiple of the {} pipeline ranks", stages, kLayout, ranks.value),
            fmt::format("set pipeline_model_parallel_size={} ({})", stages, ranks.origin.location.str()));
    else if (sum != layers)
      error(said->origin, fmt::format("{} has {} layers, but the model has {}", kLayout, sum, layers),
            "write a t for each layer");
    else if (ranks.value > 1 && agrees)
      setStages(said->origin, std::move(layout.stages));
    return true;
  }

  void setStages(const Origin &origin, Counts counts) {
    m.spec.set("parallelism.stage_layers", Setting<Counts>{std::move(counts), origin});
    // Without a key for it, the layout says it.
    if (each > 1 && !stagesPerRank)
      m.spec.set("parallelism.virtual_stages", Setting<int64_t>{each, origin});
  }

  /// The three keys say the same in different ways; the strongest is the one that upstream reads last.
  void mapStagesPerRank() {
    for (const char *key : {"virtual_pipeline_model_parallel_size", "num_virtual_stages_per_pipeline_rank"})
      if (m.keys.isSet(key))
        stagesPerRank = m.keys.count(key, 1, 1);
    if (m.keys.isSet("num_layers_per_virtual_pipeline_stage")) {
      Setting<int64_t> size = m.keys.count("num_layers_per_virtual_pipeline_stage", 1, 1);
      stagesPerRank = derived(std::max<int64_t>(1, layers / ranks.value / size.value),
                              "num_layers_per_virtual_pipeline_stage (num_layers / pipeline_model_parallel_size / it)", size.origin);
    }
    if (!stagesPerRank)
      return;
    each = stagesPerRank->value;
    m.spec.set("parallelism.virtual_stages", *stagesPerRank);
  }

  /// The stage that a rank runs in its turn.
  int64_t getStage(int64_t rank, int64_t turn) const {
    return turn * ranks.value + (isV && turn % 2 == 1 ? ranks.value - 1 - rank : rank);
  }

  /// A list of layers per stage: rank by rank, or, for V schedules, in the order of layers. False where there is none.
  bool mapList() {
    const Value *value = m.keys.value(kList);
    if (!value)
      return false;
    Origin origin = m.keys.origin(kList);
    if (!excludeOthers(origin, {"decoder_first_pipeline_num_layers", "decoder_last_pipeline_num_layers",
                                "account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split",
                                "num_layers_per_virtual_pipeline_stage"}))
      return true;
    Counts given;
    if (const List *list = value->asList())
      for (const Value &element : *list)
        given.push_back(element.asInt() ? *element.asInt() : 0);
    int64_t stages = ranks.value * each;
    bool isPositive = std::all_of(given.begin(), given.end(), [&](int64_t count) { return count >= 1 && count <= layers; });
    if (!isPositive || static_cast<int64_t>(given.size()) != stages || std::accumulate(given.begin(), given.end(), int64_t(0)) != layers) {
      error(origin, fmt::format("'{}: {}' is no list of {} positive numbers that sum up to {} layers", kList, value->str(), stages, layers),
            fmt::format("write one for each of {} stages on each of {} pipeline ranks", each, ranks.value));
      return true;
    }
    Counts counts(given.size());
    for (int64_t rank = 0; rank < ranks.value; ++rank)
      for (int64_t turn = 0; turn < each; ++turn)
        counts[getStage(rank, turn)] = given[isV ? getStage(rank, turn) : rank * each + turn];
    setStages(origin, std::move(counts));
    return true;
  }

  /// Stages that do not all have the same number of layers, in Megatron's other ways of asking for them.
  void mapUnequalStages() {
    std::optional<Setting<int64_t>> first = m.keys.tryInteger("decoder_first_pipeline_num_layers");
    std::optional<Setting<int64_t>> last = m.keys.tryInteger("decoder_last_pipeline_num_layers");
    Setting<bool> embedding = m.keys.boolean("account_for_embedding_in_pipeline_split", false);
    Setting<bool> loss = m.keys.boolean("account_for_loss_in_pipeline_split", false);
    Setting<bool> padding = m.keys.boolean("allow_padding_num_layers", false);
    if (first || last)
      mapFirstAndLast(first, last);
    else if (embedding.value || loss.value)
      mapPlaces(embedding, loss);
    else if (padding.value && layers % (ranks.value * each) != 0)
      mapPadding(padding.origin);
  }

  /// Layers of the first and the last rank; the others share what is left. Each divides among a rank's stages.
  void mapFirstAndLast(const std::optional<Setting<int64_t>> &first, const std::optional<Setting<int64_t>> &last) {
    const Setting<int64_t> &said = first ? *first : *last;
    auto isInRange = [&](const std::optional<Setting<int64_t>> &count) {
      return !count || (count->value >= 1 && count->value < layers);
    };
    int64_t open = ranks.value - (first ? 1 : 0) - (last ? 1 : 0);
    int64_t left = isInRange(first) && isInRange(last) ? layers - (first ? first->value : 0) - (last ? last->value : 0) : -1;
    if (left < 0 || (open == 0 ? left != 0 : left % open != 0))
      return uneven(said.origin, fmt::format("what they leave must divide by the other stages ({} pipeline stages from {})", ranks.value,
                                             ranks.origin.location.str()));
    Counts perRank(static_cast<size_t>(ranks.value), open ? left / open : 0);
    if (first)
      perRank.front() = first->value;
    if (last)
      perRank.back() = last->value;
    Counts counts(static_cast<size_t>(ranks.value * each));
    for (int64_t rank = 0; rank < ranks.value; ++rank) {
      if (perRank[rank] % each != 0)
        return error(said.origin, fmt::format("the {} layers of pipeline rank {} cannot be split into {} {}", perRank[rank], rank,
                                              stagesPerRank->origin.key.substr(0, stagesPerRank->origin.key.find(" (")), each),
                     fmt::format("use multiples of {}, or pipeline_model_parallel_layout", each));
      for (int64_t turn = 0; turn < each; ++turn)
        counts[getStage(rank, turn)] = perRank[rank] / each;
    }
    setStages(said.origin, std::move(counts));
  }

  /// The embedding, the head or both count as a layer.
  void mapPlaces(const Setting<bool> &embedding, const Setting<bool> &loss) {
    const Setting<bool> &said = embedding.value ? embedding : loss;
    int64_t places = layers + embedding.value + loss.value, stages = ranks.value * each;
    if (places % stages != 0)
      return uneven(said.origin, fmt::format("with what counts as a layer they are {}; set {} to a divisor of that", places,
                                             ranks.origin.key));
    Counts counts(static_cast<size_t>(stages), places / stages);
    counts.front() -= embedding.value;
    counts.back() -= loss.value;
    setStages(said.origin, std::move(counts));
  }

  /// Upstream rounds the number of layers up and leaves the last places empty.
  void mapPadding(const Origin &origin) {
    int64_t stages = ranks.value * each, most = (layers + stages - 1) / stages, left = layers;
    Counts counts(static_cast<size_t>(stages));
    for (int64_t &count : counts) {
      count = std::min(most, left);
      left -= count;
    }
    setStages(origin, std::move(counts));
  }

  /// Keys that one stage has no use for; their types are checked all the same.
  void readOtherKeys() {
    m.keys.value(kList);
    for (const char *key : {"decoder_first_pipeline_num_layers", "decoder_last_pipeline_num_layers"})
      m.keys.tryInteger(key);
    for (const char *key : {"account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split", "allow_padding_num_layers"})
      m.keys.boolean(key, false);
  }

  /// Megatron's interleaved schedule takes microbatches in groups of as many as there are ranks.
  void verifyMicrobatches() {
    const spec::TrainingSpec &spec = m.spec.get();
    int64_t perMicrobatch = saturatingProduct({spec.training().micro_batch_size(), spec.parallelism().data()});
    int64_t batch = spec.training().global_batch_size();
    if (each == 1 || !stagesPerRank || getScheduleName(spec.parallelism()) != "interleaved" || !spec.parallelism().schedule_table().empty() ||
        batch % perMicrobatch != 0 || batch / perMicrobatch % ranks.value == 0)
      return;
    Origin total = m.keys.origin("global_batch_size");
    std::string name = stagesPerRank->origin.key.substr(0, stagesPerRank->origin.key.find(" ("));
    error(stagesPerRank->origin,
          fmt::format("{} microbatches are not a multiple of {} {}, which {} {} needs", batch / perMicrobatch, ranks.origin.key,
                      ranks.value, name, each),
          fmt::format("set global_batch_size={} (global_batch_size stands at {})",
                      (batch / perMicrobatch / ranks.value + 1) * ranks.value * perMicrobatch, total.location.str()));
  }

  Mapping &m;
  Setting<int64_t> ranks;
  int64_t layers;
  /// Stages of each rank, and where that was said.
  int64_t each = 1;
  std::optional<Setting<int64_t>> stagesPerRank;
  bool isV = false;
};

} // namespace

void mapPipeline(Mapping &m) { PipelineMapper(m).map(); }

} // namespace primus::config::megatron
