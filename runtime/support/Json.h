//===- Json.h - JSON that was written by others ---------------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_JSON_H
#define PRIMUS_RUNTIME_SUPPORT_JSON_H

#include "runtime/support/Error.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace primus::runtime {

/// Parses a whole text. Unlike nlohmann::json::parse it throws nothing, and it refuses an object with the same key
/// twice and nesting beyond 64 levels. Errors say what is wrong, as a sentence to go on from the file's name.
Expected<nlohmann::json> parseJson(std::string_view text);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_JSON_H
