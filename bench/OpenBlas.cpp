//===- OpenBlas.cpp - OpenBLAS as a peer ----------------------------------===//

#include "bench/OpenBlas.h"

#include "codegen/cpu/CpuTarget.h"

#include <cstdlib>
#include <dlfcn.h>

using namespace primus;
using namespace primus::bench;

const OpenBlas *OpenBlas::get() {
  static const OpenBlas *instance = []() -> const OpenBlas * {
    // The packaged version does not know processors newer than itself and falls back to AVX2 on them. Both variables
    // are read when the library is opened.
    if (llvm::cantFail(codegen::CpuTarget::host()).has("avx512f"))
      setenv("OPENBLAS_CORETYPE", "SkylakeX", /*overwrite=*/0);
    setenv("OPENBLAS_NUM_THREADS", "1", /*overwrite=*/1);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library)
      return nullptr;
    auto *result = new OpenBlas;
    result->sgemm = reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm"));
    auto getCore = reinterpret_cast<const char *(*)()>(dlsym(library, "openblas_get_corename"));
    result->core = getCore ? getCore() : "unknown core";
    return result->sgemm ? result : nullptr;
  }();
  return instance;
}

void OpenBlas::multiply(int m, int n, int k, const float *a, const float *b, float *c) const {
  constexpr int rowMajor = 101, asIs = 111, transposed = 112;
  sgemm(rowMajor, asIs, transposed, m, n, k, 1, a, k, b, k, 0, c, n);
}
