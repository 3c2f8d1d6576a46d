//===- Json.cpp - JSON that was written by others -------------------------===//

#include "runtime/support/Json.h"

#include <fmt/format.h>
#include <set>
#include <vector>

using namespace primus::runtime;
using nlohmann::json;

namespace {
/// Why parsing was given up.
struct Refusal {
  std::string reason;
};
} // namespace

Expected<json> primus::runtime::parseJson(std::string_view text) {
  constexpr int deepest = 64;
  // The keys so far of the objects around the present position, by depth.
  std::vector<std::set<std::string>> keys(deepest + 1);
  auto check = [&](int depth, json::parse_event_t event, json &value) {
    if (depth > deepest)
      throw Refusal{fmt::format("is JSON nested deeper than {} levels", deepest)};
    if (event == json::parse_event_t::object_start)
      keys[static_cast<size_t>(depth)].clear();
    // A key lies one level below the start of its object.
    if (event == json::parse_event_t::key &&
        !keys[static_cast<size_t>(depth - 1)].insert(value.get_ref<const std::string &>()).second)
      throw Refusal{fmt::format("has '{}' twice", value.get_ref<const std::string &>())};
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const Refusal &refusal) {
    return Error::failure(refusal.reason);
  } catch (const json::parse_error &error) {
    return Error::failure(fmt::format("is not valid JSON at byte {}", error.byte));
  } catch (const json::exception &error) {
    // A number beyond what a double holds.
    return Error::failure(fmt::format("is not valid JSON: {}", error.what()));
  }
}
