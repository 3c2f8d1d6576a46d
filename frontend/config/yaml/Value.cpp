//===- Value.cpp - Configuration values that know their place -------------===//

#include "frontend/config/yaml/Value.h"

#include <cmath>

namespace primus::config {

// All out of line: a Map holds Entries, which are complete only after Value.
Value::Value() = default;
Value::Value(bool value, Location location) : data(value), at(std::move(location)) {}
Value::Value(int64_t value, Location location) : data(value), at(std::move(location)) {}
Value::Value(double value, Location location) : data(value), at(std::move(location)) {}
Value::Value(std::string value, Location location) : data(std::move(value)), at(std::move(location)) {}
Value::Value(List value, Location location) : data(std::move(value)), at(std::move(location)) {}
Value::Value(Map value, Location location) : data(std::move(value)), at(std::move(location)) {}
Value::Value(const Value &other) = default;
Value::Value(Value &&other) noexcept = default;
Value &Value::operator=(const Value &other) = default;
Value &Value::operator=(Value &&other) noexcept = default;
Value::~Value() = default;

Value Value::null(Location location) {
  Value value;
  value.at = std::move(location);
  return value;
}

bool Value::isNull() const { return std::holds_alternative<std::monostate>(data); }
bool Value::isMap() const { return std::holds_alternative<Map>(data); }
bool Value::isList() const { return std::holds_alternative<List>(data); }
const bool *Value::asBool() const { return std::get_if<bool>(&data); }
const int64_t *Value::asInt() const { return std::get_if<int64_t>(&data); }
const double *Value::asFloat() const { return std::get_if<double>(&data); }
const std::string *Value::asString() const { return std::get_if<std::string>(&data); }
const List *Value::asList() const { return std::get_if<List>(&data); }
const Map *Value::asMap() const { return std::get_if<Map>(&data); }
std::string *Value::asString() { return std::get_if<std::string>(&data); }
List *Value::asList() { return std::get_if<List>(&data); }
Map *Value::asMap() { return std::get_if<Map>(&data); }

void Value::setLayer(Layer layer) {
  at.layer = layer;
  if (List *list = asList())
    for (Value &element : *list)
      element.setLayer(layer);
  if (Map *map = asMap()) {
    for (auto &[key, entry] : *map) {
      entry.keyLocation.layer = layer;
      entry.value.setLayer(layer);
    }
  }
}

void Value::setLocation(const Location &location) {
  at = location;
  if (List *list = asList())
    for (Value &element : *list)
      element.setLocation(location);
  if (Map *map = asMap()) {
    for (auto &[key, entry] : *map) {
      entry.keyLocation = location;
      entry.value.setLocation(location);
    }
  }
}

const Value *Value::find(std::string_view key) const {
  const Map *map = asMap();
  if (!map)
    return nullptr;
  auto it = map->find(key);
  return it == map->end() ? nullptr : &it->second.value;
}

const char *Value::kindName() const {
  static constexpr const char *names[] = {"null",     "a boolean", "an integer", "a number",
                                          "a string", "a list",    "a mapping"};
  return names[data.index()];
}

nlohmann::json Value::toJson() const {
  if (const bool *value = asBool())
    return *value;
  if (const int64_t *value = asInt())
    return *value;
  if (const double *value = asFloat()) {
    // JSON has no infinities; YAML's spelling is kept.
    if (!std::isfinite(*value))
      return std::isnan(*value) ? ".nan" : *value > 0 ? ".inf" : "-.inf";
    return *value;
  }
  if (const std::string *value = asString())
    return *value;
  if (const List *list = asList()) {
    nlohmann::json array = nlohmann::json::array();
    for (const Value &element : *list)
      array.push_back(element.toJson());
    return array;
  }
  if (const Map *map = asMap()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto &[key, entry] : *map)
      object[key] = entry.value.toJson();
    return object;
  }
  return nullptr;
}

static const double *asNumber(const Value &value, double &storage) {
  if (const int64_t *integer = value.asInt()) {
    storage = static_cast<double>(*integer);
    return &storage;
  }
  return value.asFloat();
}

bool Value::equals(const Value &other) const {
  if (asInt() && other.asInt())
    return *asInt() == *other.asInt();
  double a, b;
  const double *left = asNumber(*this, a), *right = asNumber(other, b);
  if (left || right)
    return left && right && *left == *right;
  return toJson() == other.toJson();
}

const Value *findPath(const Map &map, std::string_view path) {
  // Names with dots of their own come first.
  if (auto it = map.find(path); it != map.end())
    return &it->second.value;
  for (size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1)) {
    auto it = map.find(path.substr(0, dot));
    if (it == map.end() || !it->second.value.isMap())
      continue;
    if (const Value *found = findPath(*it->second.value.asMap(), path.substr(dot + 1)))
      return found;
  }
  return nullptr;
}

} // namespace primus::config
