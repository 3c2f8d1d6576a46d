//===- Fp8Layers.cpp - Which linear layers are quantised ------------------===//

#include "frontend/models/Fp8Layers.h"

#include "frontend/config/Fp8.h"

#include <algorithm>

using namespace primus;
using namespace primus::models;

Fp8Linears models::getFp8Linears(const spec::Fp8 &fp8, int64_t index, mlir::MLIRContext *context) {
  Fp8Linears linears;
  auto recipe = graph::symbolizeFp8Recipe(fp8.recipe());
  if (!recipe)
    return linears;
  auto attr = graph::Fp8Attr::get(
      context, *recipe, graph::symbolizeFp8Format(fp8.format()).value_or(graph::Fp8Format::E4M3),
      graph::symbolizeFp8Encoding(fp8.encoding()).value_or(graph::Fp8Encoding::Ocp), graph::Fp8Role::Forward, fp8.margin(),
      *recipe == graph::Fp8Recipe::Delayed ? std::max<int64_t>(fp8.history(), 1) : 1,
      *recipe == graph::Fp8Recipe::Delayed
          ? graph::symbolizeFp8History(fp8.algorithm()).value_or(graph::Fp8History::Max)
          : graph::Fp8History::Max,
      fp8.wide_wgrad());
  auto isKept = [&](const std::string &name) {
    return std::find(fp8.keep().begin(), fp8.keep().end(), name) != fp8.keep().end();
  };
  std::string layer = "layers." + std::to_string(index);
  if (isKept(layer))
    return linears;
  for (const char *linear : config::linearNames())
    if (!isKept(linear) && !isKept(layer + "." + linear))
      linears.emplace(linear, attr);
  return linears;
}
