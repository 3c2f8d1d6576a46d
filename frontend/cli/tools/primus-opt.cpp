//===- primus-opt.cpp - mlir-opt with the dialects and passes of the project ---===//

#include "codegen/hip/HipPasses.h"
#include "passes/Passes.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  primus::registerDialects(registry);
  primus::registerPrimusPasses();
  primus::codegen::hip::registerHipPasses();
  mlir::registerTransformsPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "primus-compile modular optimizer driver\n", registry));
}
