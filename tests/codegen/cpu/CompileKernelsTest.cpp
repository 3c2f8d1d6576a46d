//===- CompileKernelsTest.cpp - From modules of kernels to shared objects -===//

#include "tests/codegen/cpu/RunKernel.h"

#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

/// Two kernels: y = 2 x and y = exp x, over `size` numbers in tiles of 64.
std::string makeModule(int64_t size) {
  std::string type = "memref<" + std::to_string(size) + "xf32>";
  auto kernel = [&](std::string name, std::string op) {
    return "kernel.func @" + name + "(%x: " + type + ", %y: " + type + ") grid [2] {\n" + R"(
      %c64 = arith.constant 64 : index
      %p = kernel.program_id 0
      %i = arith.muli %p, %c64 : index
      %a = kernel.load %x[%i] dims [0] : )" + type + " -> tensor<64xf32>\n %b = " + op + " : tensor<64xf32>\n kernel.store %b, %y[%i] dims [0] : tensor<64xf32>, " +
           type + "\n kernel.return\n}\n";
  };
  return kernel("twice", "arith.addf %a, %a") + kernel("exp", "math.exp %a");
}

class CompileKernelsTest : public testing::Test {
protected:
  void SetUp() override { ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("primus-kernels", folder)); }
  void TearDown() override { (void)llvm::sys::fs::remove_directories(folder); }

  OwningOpRef<ModuleOp> parse(StringRef source) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(source, &context);
    EXPECT_TRUE(module);
    return module;
  }
  std::string compile(StringRef source, const codegen::CompileOptions &options = {}) {
    FailureOr<std::string> code = codegen::compileKernels(*parse(source), hostTarget(), options);
    EXPECT_TRUE(succeeded(code));
    return succeeded(code) ? *code : "";
  }
  std::vector<std::string> cacheEntries() {
    std::vector<std::string> paths;
    std::error_code error;
    for (llvm::sys::fs::directory_iterator it(folder, error), end; it != end && !error; it.increment(error))
      paths.push_back(it->path());
    return paths;
  }
  /// What the compiler says about a module that it must refuse.
  std::string getError(StringRef body) {
    std::string message;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) { message += diagnostic.str() + "\n"; });
    OwningOpRef<ModuleOp> module =
        parse(("kernel.func @k(%a: memref<64xf64>, %b: memref<64xbf16>) grid [1] {\n%c0 = arith.constant 0 : index\n" + body +
               "\nkernel.return\n}")
                  .str());
    EXPECT_TRUE(failed(codegen::compileKernels(*module, hostTarget())));
    return message;
  }

  KernelContext context;
  SmallString<128> folder;
};

} // namespace

TEST_F(CompileKernelsTest, EqualInputsGiveEqualBytes) {
  std::string first = compile(makeModule(100));
  KernelContext other;
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(makeModule(100), &other);
  FailureOr<std::string> second = codegen::compileKernels(*module, hostTarget());
  ASSERT_TRUE(succeeded(second));
  EXPECT_EQ(first, *second);
  EXPECT_NE(first, compile(makeModule(101)));
}

TEST_F(CompileKernelsTest, CodeDependsOnNothing) {
  std::string code = compile(makeModule(100));
  auto object = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(code, "kernels"));
  ASSERT_TRUE(bool(object));
  std::vector<std::string> defined;
  for (llvm::object::ELFSymbolRef symbol : cast<llvm::object::ELFObjectFileBase>(**object).getDynamicSymbolIterators()) {
    uint32_t flags = llvm::cantFail(symbol.getFlags());
    std::string name = llvm::cantFail(symbol.getName()).str();
    EXPECT_FALSE(flags & llvm::object::SymbolRef::SF_Undefined) << name;
    defined.push_back(name);
  }
  llvm::sort(defined);
  EXPECT_EQ(defined, (std::vector<std::string>{"exp", "twice"}));
  // No path of this machine is in it.
  EXPECT_EQ(code.find("primus-link"), std::string::npos);
  EXPECT_EQ(code.find("/tmp"), std::string::npos);
}

TEST_F(CompileKernelsTest, InstancesRunInAnyPortion) {
  OwningOpRef<ModuleOp> module = parse(makeModule(100));
  KernelLibrary library(*module, hostTarget());
  std::vector<float> x(100, 3), y(100, -1);
  void *arguments[] = {x.data(), y.data()};
  KernelLibrary::Function twice = library.find("twice");
  twice(arguments, 1, 1);
  EXPECT_EQ(y, std::vector<float>(100, -1));
  twice(arguments, 1, 2);
  EXPECT_EQ(y[63], -1);
  EXPECT_EQ(y[64], 6);
  EXPECT_EQ(y[99], 6);
  twice(arguments, 0, 1);
  EXPECT_EQ(y, std::vector<float>(100, 6));
}

TEST_F(CompileKernelsTest, CacheHoldsEachKernel) {
  codegen::CompileOptions options;
  options.cacheDir = std::string(folder);
  std::string plain = compile(makeModule(100)), cold = compile(makeModule(100), options);
  EXPECT_EQ(plain, cold);
  EXPECT_EQ(cacheEntries().size(), 2u);
  EXPECT_EQ(compile(makeModule(100), options), plain);
  compile(makeModule(101), options);
  EXPECT_EQ(cacheEntries().size(), 4u);
}

TEST_F(CompileKernelsTest, DamagedEntriesAreRebuilt) {
  codegen::CompileOptions options;
  options.cacheDir = std::string(folder);
  std::string code = compile(makeModule(100), options);
  std::vector<std::string> entries = cacheEntries();
  ASSERT_EQ(entries.size(), 2u);
  std::string whole = (*llvm::MemoryBuffer::getFile(entries[0]))->getBuffer().str();
  for (std::string damaged : {std::string(), whole.substr(0, whole.size() / 2), whole.substr(0, 40) + "X" + whole.substr(41)}) {
    std::error_code error;
    llvm::raw_fd_ostream(entries[0], error) << damaged;
    EXPECT_EQ(compile(makeModule(100), options), code);
    EXPECT_EQ((*llvm::MemoryBuffer::getFile(entries[0]))->getBuffer().str(), whole);
  }
}

TEST_F(CompileKernelsTest, CacheHitsAreDumped) {
  codegen::CompileOptions options;
  options.cacheDir = std::string(folder);
  std::string code = compile(makeModule(100), options);
  std::map<std::string, std::string> dumped;
  options.dump = [&](StringRef kernel, StringRef extension, StringRef contents) {
    dumped[(kernel + "." + extension).str()] = contents.str();
  };
  EXPECT_EQ(compile(makeModule(100), options), code);
  for (const char *kernel : {"twice", "exp"}) {
    EXPECT_NE(dumped[kernel + std::string(".mlir")].find("kernel.func @" + std::string(kernel)), std::string::npos);
    EXPECT_NE(dumped[kernel + std::string(".ll")].find("define void @" + std::string(kernel)), std::string::npos);
    EXPECT_NE(dumped[kernel + std::string(".s")].find(".globl\t" + std::string(kernel)), std::string::npos);
    EXPECT_EQ(dumped[kernel + std::string(".o")].substr(1, 3), "ELF");
  }
  EXPECT_EQ(dumped.size(), 8u);
}

TEST_F(CompileKernelsTest, UnwritableCacheIsNoError) {
  codegen::CompileOptions options;
  options.cacheDir = "/proc/no-such-folder";
  EXPECT_EQ(compile(makeModule(100), options), compile(makeModule(100)));
}

TEST_F(CompileKernelsTest, MasksOnlyWhatCanOverrun) {
  auto hasMasks = [&](int64_t size) {
    bool found = false;
    codegen::CompileOptions options;
    options.dump = [&](StringRef, StringRef extension, StringRef contents) {
      found |= extension == "ll" && contents.contains("@llvm.masked");
    };
    compile(makeModule(size), options);
    return found;
  };
  EXPECT_FALSE(hasMasks(128));
  EXPECT_TRUE(hasMasks(127));
}

TEST_F(CompileKernelsTest, RefusesWhatItCannotLower) {
  EXPECT_EQ(getError("%x = kernel.load %a[%c0] dims [0] : memref<64xf64> -> tensor<64xf64>\n"
                     "%y = math.exp %x : tensor<64xf64>"),
            "'math.exp' op of 'f64' has no expansion for the CPU; compute it in f32 from the functions that have one "
            "(codegen/common/MathFunctions.h)\n");
  EXPECT_EQ(getError("%x = kernel.load %b[%c0] dims [0] : memref<64xbf16> -> tensor<64xbf16>\n"
                     "%y = kernel.reduce sum %x dim 0 : tensor<64xbf16> -> bf16"),
            "'kernel.reduce' op of 'bf16' has no lowering to the CPU; convert the tile to f32 or i32 first\n");
  EXPECT_EQ(getError("%x = arith.constant dense<1.0> : tensor<1024x1024xf32>"),
            "'arith.constant' op has a tile of type 'tensor<1024x1024xf32>', more than 2048 vectors; loop over smaller tiles\n");
  EXPECT_NE(getError("%x = kernel.load %b[%c0] dims [0] : memref<64xbf16> -> tensor<64xbf16>\n"
                     "%y, %z = arith.mulsi_extended %c0, %c0 : index")
                .find("has no lowering to the CPU"),
            std::string::npos);
}
