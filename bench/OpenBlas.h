//===- OpenBlas.h - OpenBLAS as a peer ---------------------------*- C++ -*-===//

#pragma once

#include <string>

namespace primus::bench {

/// OpenBLAS, opened at run time with one thread and its kernels for this machine.
class OpenBlas {
public:
  /// Null if it is not installed.
  static const OpenBlas *get();

  /// c[m, n] = a[m, k] b[n, k]^T, row-major.
  void multiply(int m, int n, int k, const float *a, const float *b, float *c) const;
  /// The kernels that it uses, e.g. SkylakeX.
  std::string core;

private:
  using Sgemm = void (*)(int order, int transA, int transB, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                         int ldb, float beta, float *c, int ldc);
  Sgemm sgemm = nullptr;
};

} // namespace primus::bench
