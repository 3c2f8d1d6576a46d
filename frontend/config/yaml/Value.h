//===- Value.h - Configuration values that know their place ------*- C++ -*-===//

#pragma once

#include "frontend/config/Diagnostic.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace primus::config {

class Value;
struct Entry;

using List = std::vector<Value>;
/// Sorted by key, as upstream prints a resolved configuration.
using Map = std::map<std::string, Entry, std::less<>>;

/// One YAML value: typed as PyYAML types it, with the place where it was written.
class Value {
public:
  Value();
  Value(bool value, Location location = {});
  Value(int64_t value, Location location = {});
  Value(double value, Location location = {});
  Value(std::string value, Location location = {});
  Value(List value, Location location = {});
  Value(Map value, Location location = {});
  Value(const Value &other);
  Value(Value &&other) noexcept;
  Value &operator=(const Value &other);
  Value &operator=(Value &&other) noexcept;
  ~Value();
  static Value null(Location location);

  bool isNull() const;
  bool isMap() const;
  bool isList() const;
  const bool *asBool() const;
  const int64_t *asInt() const;
  const double *asFloat() const;
  const std::string *asString() const;
  const List *asList() const;
  const Map *asMap() const;
  std::string *asString();
  List *asList();
  Map *asMap();

  const Location &location() const { return at; }
  /// Says which layer set this value and everything in it.
  void setLayer(Layer layer);
  /// Moves this value and everything in it to one place.
  void setLocation(const Location &location);

  /// Says that upstream keeps this number as text (see Scalar.h).
  void markUpstreamText() { upstreamText = true; }
  bool isUpstreamText() const { return upstreamText; }

  /// The entry of a map, or null where this is no map or has no such key.
  const Value *find(std::string_view key) const;

  /// The kind with its article, for messages: "an integer", "a string".
  const char *kindName() const;
  /// As JSON on one line.
  std::string str() const { return toJson().dump(-1, ' ', true, nlohmann::json::error_handler_t::replace); }
  nlohmann::json toJson() const;

  /// Same type and value; numbers by value (1 equals 1.0), places ignored.
  bool equals(const Value &other) const;

private:
  std::variant<std::monostate, bool, int64_t, double, std::string, List, Map> data;
  Location at;
  bool upstreamText = false;
};

/// One key of a map.
struct Entry {
  Location keyLocation;
  Value value;
};

/// The value at a dotted path ("training.steps"), or null where there is none.
const Value *findPath(const Map &map, std::string_view path);

} // namespace primus::config
