// A model is in phase `model`, but in no later one; `spec` is no IR.
// RUN: primus-opt %S/Inputs/tiny-llama-model.mlir --verify-phase=phase=model | FileCheck %s
// RUN: not primus-opt %S/Inputs/tiny-llama-model.mlir --verify-phase=phase=train 2>&1 | FileCheck %s --check-prefix=TRAIN
// RUN: not primus-opt %S/Inputs/tiny-llama-model.mlir --verify-phase=phase=sharded 2>&1 | FileCheck %s --check-prefix=SHARDED
// RUN: not primus-opt %S/Inputs/tiny-llama-model.mlir --verify-phase=phase=spec 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not primus-opt %s --verify-phase=phase=model 2>&1 | FileCheck %s --check-prefix=EMPTY

// CHECK: func.func @forward
// TRAIN: error: has no program 'train_step'
// SHARDED: error: {{.*}} has no layout
// UNKNOWN: error: option phase is 'spec'; expected one of model, train, fp8, sharded, placed, fused, step
// EMPTY: error: has no program 'forward'
module {
}
