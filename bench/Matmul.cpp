//===- Matmul.cpp - Matrix products against OpenBLAS ----------------------===//
//
// A linear layer's product y[m, n] = x[m, k] w[n, k]^T on one core, as the compiler makes it in a model, packing of w included, in turns
// with OpenBLAS's sgemm. Counters: `ours` and `openblas` in GFLOP/s (medians), `ratio` = ours / openblas of the medians, `best_ratio`
// of the fastest runs, `packing` the share of packing in our time. For bf16 the ratio is to our own f32.
//
//===----------------------------------------------------------------------===//

#include "bench/CompiledFunction.h"
#include "bench/OpenBlas.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

using namespace primus;
using namespace primus::bench;

namespace {

/// Seconds of many runs of one thing.
class Times {
public:
  template <typename Function> double measure(Function function) {
    auto start = std::chrono::steady_clock::now();
    function();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return seconds.back();
  }
  double best() const { return *std::min_element(seconds.begin(), seconds.end()); }
  double median() {
    std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
    return seconds[seconds.size() / 2];
  }

private:
  std::vector<double> seconds;
};

std::string makeProduct(int m, int n, int k, const char *type) {
  std::string x = fmt::format("tensor<{}x{}x{}>", m, k, type), w = fmt::format("tensor<{}x{}x{}>", n, k, type),
              y = fmt::format("tensor<{}x{}x{}>", m, n, type);
  return fmt::format("func.func @f(%x: {0}, %w: {1}) -> {2} attributes {{graph.layer = {{}}}} {{\n"
                     "  %y = graph.matmul \"mk,nk->mn\" %x, %w : ({0}, {1}) -> {2}\n  return %y : {2}\n}}",
                     x, w, y);
}

/// Numbers between -0.5 and 0.5 without a pattern.
float makeNumber(size_t i) { return float(i * 2654435761u % 1009) / 1009 - 0.5f; }

void fillFloat(char *memory, size_t count) {
  for (size_t i = 0; i < count; ++i)
    reinterpret_cast<float *>(memory)[i] = makeNumber(i);
}

void fillBf16(char *memory, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    float number = makeNumber(i);
    uint32_t bits;
    std::memcpy(&bits, &number, 4);
    reinterpret_cast<uint16_t *>(memory)[i] = bits >> 16;
  }
}

void matmulF32(benchmark::State &state) {
  int m = state.range(0), n = state.range(1), k = state.range(2);
  const OpenBlas *peer = OpenBlas::get();
  if (!peer)
    return state.SkipWithError("OpenBLAS is not installed (Debian: libopenblas0-pthread)");
  CompiledFunction ours(makeProduct(m, n, k, "f32"), llvm::cantFail(codegen::CpuTarget::host()));
  fillFloat(ours.input(0), size_t(m) * k);
  fillFloat(ours.input(1), size_t(n) * k);
  const auto *x = reinterpret_cast<float *>(ours.input(0)), *w = reinterpret_cast<float *>(ours.input(1));
  Buffer result(size_t(m) * n * 4);
  auto *theirs = reinterpret_cast<float *>(result.data());

  Times ourTimes, theirTimes, packing;
  for (auto _ : state) {
    theirTimes.measure([&] { peer->multiply(m, n, k, x, w, theirs); });
    // The product is the last launch; before it come those that pack.
    packing.measure([&] {
      for (unsigned i = 0; i + 1 < ours.numLaunches(); ++i)
        ours.runLaunch(i);
    });
    state.SetIterationTime(ourTimes.measure([&] { ours.run(); }));
  }
  const auto *y = reinterpret_cast<float *>(ours.output());
  for (size_t i = 0; i < size_t(m) * n; ++i)
    if (!(std::abs(y[i] - theirs[i]) < 1e-5 * std::sqrt(k) + 1e-5 * std::abs(theirs[i])))
      return state.SkipWithError(fmt::format("element {} is {}, but OpenBLAS computes {}", i, y[i], theirs[i]).c_str());
  double flops = 2e-9 * m * n * k;
  state.counters["ours"] = flops / ourTimes.median();
  state.counters["openblas"] = flops / theirTimes.median();
  state.counters["ratio"] = theirTimes.median() / ourTimes.median();
  state.counters["best_ratio"] = theirTimes.best() / ourTimes.best();
  state.counters["packing"] = packing.median() / ourTimes.median();
  state.SetLabel("OpenBLAS core " + peer->core);
}

void matmulBf16(benchmark::State &state) {
  int m = state.range(0), n = state.range(1), k = state.range(2);
  codegen::CpuTarget target = llvm::cantFail(codegen::CpuTarget::host());
  CompiledFunction wide(makeProduct(m, n, k, "f32"), target), narrow(makeProduct(m, n, k, "bf16"), target);
  fillFloat(wide.input(0), size_t(m) * k);
  fillFloat(wide.input(1), size_t(n) * k);
  fillBf16(narrow.input(0), size_t(m) * k);
  fillBf16(narrow.input(1), size_t(n) * k);
  Times wideTimes, narrowTimes;
  for (auto _ : state) {
    wideTimes.measure([&] { wide.run(); });
    state.SetIterationTime(narrowTimes.measure([&] { narrow.run(); }));
  }
  double flops = 2e-9 * m * n * k;
  state.counters["ours"] = flops / narrowTimes.median();
  state.counters["f32"] = flops / wideTimes.median();
  state.counters["ratio"] = wideTimes.median() / narrowTimes.median();
  state.counters["best_ratio"] = wideTimes.best() / narrowTimes.best();
}

void setShapes(benchmark::internal::Benchmark *benchmark) {
  benchmark->ArgNames({"m", "n", "k"})->UseManualTime()->Iterations(60)->Unit(benchmark::kMillisecond);
  benchmark->Args({512, 768, 3072})->Args({512, 3072, 768})->Args({768, 3072, 512});
}

BENCHMARK(matmulF32)->Apply(setShapes);
BENCHMARK(matmulBf16)->Apply(setShapes);

} // namespace
