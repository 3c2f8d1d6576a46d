//===- RcclApi.h - The part of RCCL that we use, declared by ourselves ----===//
//
// As in runtime/devices/hip/HipApi.h. Compiled against src/nccl.h.in of github.com/ROCm/rccl at the tags rocm-5.2.0,
// rocm-5.7.1, rocm-6.0.0 and rocm-6.2.2; for ROCm 7.0 and 7.2, compared with the functions and numbers that hip-python 7.0.0
// and 7.2.2 (pypi.org) declare. ncclCommSplit is newer than ROCm 5.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLAPI_H
#define PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLAPI_H

#include "runtime/devices/hip/HipApi.h"

#include <cstddef>

namespace primus::runtime::rccl {

/// ncclResult_t, of which only success is ours to tell.
enum Result : unsigned { Success = 0 };

/// ncclDataType_t and ncclRedOp_t.
enum DataType : unsigned { Int8 = 0, Uint8 = 1, Int32 = 2, Int64 = 4, Float16 = 6, Float32 = 7, Float64 = 8, Bfloat16 = 9 };
enum Operation : unsigned { Sum = 0, Max = 2 };

using Comm = struct CommObject *;
using Stream = hip::Stream;

/// ncclUniqueId, which is passed by value.
struct UniqueId {
  char bytes[128];
};

} // namespace primus::runtime::rccl

/// Calls X(return type, name without "nccl", (parameters)) for every function.
#define PRIMUS_RCCL_FUNCTIONS(X)                                                                                       \
  X(Result, GetVersion, (int *version))                                                                                \
  X(const char *, GetErrorString, (Result result))                                                                     \
  X(Result, GetUniqueId, (UniqueId * id))                                                                              \
  X(Result, CommInitRank, (Comm * comm, int ranks, UniqueId id, int rank))                                             \
  X(Result, CommDestroy, (Comm comm))                                                                                  \
  X(Result, CommAbort, (Comm comm))                                                                                    \
  X(Result, CommGetAsyncError, (Comm comm, Result *error))                                                             \
  X(Result, GroupStart, ())                                                                                            \
  X(Result, GroupEnd, ())                                                                                              \
  X(Result, AllReduce,                                                                                                 \
    (const void *source, void *target, size_t count, DataType type, Operation operation, Comm comm, Stream stream))    \
  X(Result, ReduceScatter,                                                                                             \
    (const void *source, void *target, size_t targetCount, DataType type, Operation operation, Comm comm,              \
     Stream stream))                                                                                                   \
  X(Result, AllGather,                                                                                                 \
    (const void *source, void *target, size_t sourceCount, DataType type, Comm comm, Stream stream))                   \
  X(Result, Send, (const void *source, size_t count, DataType type, int peer, Comm comm, Stream stream))               \
  X(Result, Recv, (void *target, size_t count, DataType type, int peer, Comm comm, Stream stream))

#endif // PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLAPI_H
