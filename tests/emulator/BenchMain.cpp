//===- BenchMain.cpp - How fast the emulator executes ---------------------===//

#include "tests/emulator/TestCode.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

using namespace llvm;
using namespace primus::emulator;

/// A loop of `body` in one wave, long enough to measure.
static void measure(StringRef name, const std::string &body, unsigned rounds) {
  std::string text = formatv(R"(
s_load_dwordx4 s[4:7], s[0:1], 0x0
v_lshlrev_b32 v1, 4, v0
v_cvt_f32_u32 v2, v0
v_mov_b32 v3, v2
v_mov_b32 v4, v2
v_mov_b32 v5, v2
s_movk_i32 s10, {0}
s_waitcnt lgkmcnt(0)
loop:
{1}
s_sub_u32 s10, s10, 1
s_cmp_lg_u32 s10, 0
s_cbranch_scc1 loop
v_lshlrev_b32 v1, 2, v0
global_store_dword v1, v2, s[6:7])",
                             rounds, body);
  CodeObject object = assembleKernel(Chip::Gfx942, {text, 2, 16384});
  Buffer in("in", ArrayRef<uint32_t>(std::vector<uint32_t>(1024))), out("out", 1024);
  auto start = std::chrono::steady_clock::now();
  auto statistics = cantFail(launch(object, "k", {1}, {64},
                                    {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)}));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  outs() << formatv("{0,-16} {1,8:f2} M wave-instructions/s", name, statistics.total() / seconds * 1e-6);
  if (statistics.matrixFlops)
    outs() << formatv("  {0,8:f2} GFLOP/s", statistics.matrixFlops / seconds * 1e-9);
  outs() << "\n";
}

static std::string repeat(StringRef line, unsigned count) {
  std::string text;
  for (unsigned i = 0; i < count; ++i)
    text += line.str() + "\n";
  return text;
}

int main() {
  measure("float", repeat("v_fma_f32 v2, v2, v3, v4\nv_add_f32 v5, v4, v3\nv_mul_f32 v6, v4, v3", 4), 20000);
  measure("integer", repeat("v_add_u32 v7, v1, v0\nv_lshlrev_b32 v8, 3, v7\nv_and_or_b32 v7, v8, 15, v1", 4), 20000);
  measure("packed half", repeat("v_pk_fma_f16 v6, v3, v4, v5", 12), 20000);
  measure("scalar", repeat("s_add_u32 s11, s10, 3\ns_lshl_b32 s12, s11, 2", 6), 20000);
  measure("lds 16 bytes", "ds_write_b128 v1, v[2:5]\n" + repeat("ds_read_b128 v[12:15], v1\ns_waitcnt lgkmcnt(0)", 6), 10000);
  measure("global 16 bytes", repeat("global_load_dwordx4 v[12:15], v1, s[4:5]\ns_waitcnt vmcnt(0)", 6), 10000);
  std::string zero;
  for (unsigned i = 32; i < 96; ++i)
    zero += formatv("v_mov_b32 v{0}, 0\n", i);
  measure("mfma 32x32 bf16", zero + repeat("v_mfma_f32_32x32x8_bf16 v[32:47], v[2:3], v[4:5], v[32:47]\n"
                                           "v_mfma_f32_32x32x8_bf16 v[48:63], v[2:3], v[4:5], v[48:63]", 32), 2000);
  measure("mfma 16x16 bf16", zero + repeat("v_mfma_f32_16x16x16_bf16 v[32:35], v[2:3], v[4:5], v[32:35]", 64), 2000);
  measure("mfma 16x16 fp8", zero + repeat("v_mfma_f32_16x16x32_fp8_fp8 v[32:35], v[2:3], v[4:5], v[32:35]", 64), 2000);
}
