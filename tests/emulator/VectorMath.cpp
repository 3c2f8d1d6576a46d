//===- VectorMath.cpp - Rounding, reciprocals, roots, exponentials --------===//
//
// The approximate instructions are computed in double and rounded, which is within the error that the hardware states
// (1 ulp). Those of f32 take and give no denormals: code that relies on them must scale, and fails here if it does not.
//
//===----------------------------------------------------------------------===//

#include "tests/emulator/Lanes.h"

#include "llvm/ADT/Twine.h"

#include <numbers>

using namespace primus::emulator;

namespace {
float flush(float value) { return std::fabs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value; }
template <typename T>
T round(double value) {
  if constexpr (std::is_same_v<T, float>)
    return flush(float(value));
  else
    return T(value);
}
template <typename T>
double input(T value) {
  if constexpr (std::is_same_v<T, float>)
    return flush(value);
  else
    return double(value);
}

template <typename T>
void addRounding(OperationTable &table, llvm::StringRef type) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(("v_" + name + "_" + type).str(), operation); };
  add("trunc", vectorOperation<[](T a) { return T(std::trunc(double(a))); }>());
  add("ceil", vectorOperation<[](T a) { return T(std::ceil(double(a))); }>());
  add("floor", vectorOperation<[](T a) { return T(std::floor(double(a))); }>());
  add("rndne", vectorOperation<[](T a) { return T(std::nearbyint(double(a))); }>());
  add("fract", vectorOperation<[](T a) {
        constexpr double belowOne = std::is_same_v<T, float> ? 0x1.fffffep-1 : std::is_same_v<T, Half> ? 0x1.ffcp-1 : 0x1.fffffffffffffp-1;
        return T(std::min(double(a) - std::floor(double(a)), belowOne));
      }>());
  add("frexp_mant", vectorOperation<[](T a) {
        int exponent = 0;
        return std::isfinite(double(a)) ? T(std::frexp(double(a), &exponent)) : a;
      }>());
}

template <typename T>
void addApproximations(OperationTable &table, llvm::StringRef type) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(("v_" + name + "_" + type).str(), operation); };
  add("rcp", vectorOperation<[](T a) { return round<T>(1 / input(a)); }>());
  add("rsq", vectorOperation<[](T a) { return round<T>(1 / std::sqrt(input(a))); }>());
  add("sqrt", vectorOperation<[](T a) { return round<T>(std::sqrt(input(a))); }>());
}

template <typename T>
void addTranscendental(OperationTable &table, llvm::StringRef type) {
  auto add = [&](llvm::StringRef name, Operation operation) { table.add(("v_" + name + "_" + type).str(), operation); };
  add("exp", vectorOperation<[](T a) { return round<T>(std::exp2(input(a))); }>());
  add("log", vectorOperation<[](T a) { return round<T>(std::log2(input(a))); }>());
  // The argument is in turns, and beyond 256 of them the result is not an angle's any more.
  add("sin", vectorOperation<[](T a) {
        return (std::fabs(double(a)) > 256) ? T(0.0f) : round<T>(std::sin(2 * std::numbers::pi * input(a)));
      }>());
  add("cos", vectorOperation<[](T a) {
        return (std::fabs(double(a)) > 256) ? T(1.0f) : round<T>(std::cos(2 * std::numbers::pi * input(a)));
      }>());
}

int getExponent(double value) {
  int exponent = 0;
  if (std::isfinite(value))
    (void)std::frexp(value, &exponent);
  return exponent;
}
} // namespace

void primus::emulator::addMathOperations(OperationTable &table) {
  addRounding<float>(table, "f32");
  addRounding<Half>(table, "f16");
  addRounding<double>(table, "f64");
  addApproximations<float>(table, "f32");
  addApproximations<Half>(table, "f16");
  addApproximations<double>(table, "f64");
  addTranscendental<float>(table, "f32");
  addTranscendental<Half>(table, "f16");
  table.add("v_rcp_iflag_f32", vectorOperation<[](float a) { return round<float>(1 / input(a)); }>());
  table.add("v_frexp_exp_i32_f32", vectorOperation<[](float a) { return int32_t(getExponent(a)); }>());
  table.add("v_frexp_exp_i32_f64", vectorOperation<[](double a) { return int32_t(getExponent(a)); }>());
  table.add("v_frexp_exp_i16_f16", vectorOperation<[](Half a) { return int16_t(getExponent(a)); }>());
}
