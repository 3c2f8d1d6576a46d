//===- HipAbiTest.cpp - What we declare of HIP, against its headers -------===//
//
// Where HIP's headers are installed (Debian: libamdhip64-dev, HIP 5.2), the compiler compares every function that the
// runtime looks up by how its parameters are passed, and every number. HipApi.h names the sources for newer versions.
//
//===----------------------------------------------------------------------===//

#include "runtime/devices/hip/HipApi.h"

#ifdef PRIMUS_HAS_HIP_HEADERS
#define __HIP_PLATFORM_AMD__
// C++ overloads some of the functions.
#define __HIP_DISABLE_CPP_FUNCTIONS__
#include <hip/hip_runtime_api.h>
#endif

#include <gtest/gtest.h>
#include <type_traits>

#ifdef PRIMUS_HAS_HIP_HEADERS

/// Whether two types are passed alike: both pointers, or numbers of one size and kind. (An enumeration is one.)
template <typename Ours, typename Theirs>
static constexpr bool isAlike =
    sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs> &&
    std::is_class_v<Ours> == std::is_class_v<Theirs> && std::is_floating_point_v<Ours> == std::is_floating_point_v<Theirs>;

/// The same of what pointers point to, where that is a number or a pointer itself.
template <typename Ours, typename Theirs>
static constexpr bool pointsAlike() {
  using To = std::remove_pointer_t<Ours>;
  using ToTheirs = std::remove_pointer_t<Theirs>;
  if constexpr (std::is_pointer_v<Ours> && std::is_scalar_v<To> && std::is_scalar_v<ToTheirs>)
    return isAlike<To, ToTheirs>;
  else
    return true;
}

template <typename Ours, typename Theirs>
static constexpr bool isSameFunction = false;
template <typename R, typename... A, typename S, typename... B>
  requires(sizeof...(A) == sizeof...(B))
static constexpr bool isSameFunction<R(A...), S(B...)> =
    isAlike<R, S> && (isAlike<A, B> && ...) && (pointsAlike<A, B>() && ...);

namespace primus::runtime::hip {

#define COMPARE(type, name, parameters)                                                                                \
  static_assert(isSameFunction<type parameters, decltype(::hip##name)>, "hip" #name);
PRIMUS_HIP_FUNCTIONS(COMPARE)
#undef COMPARE

} // namespace primus::runtime::hip

using namespace primus::runtime::hip;

static_assert(Success == static_cast<Result>(hipSuccess) && InvalidValue == static_cast<Result>(hipErrorInvalidValue));
static_assert(OutOfMemory == static_cast<Result>(hipErrorOutOfMemory));
static_assert(NotInitialized == static_cast<Result>(hipErrorNotInitialized));
static_assert(InsufficientDriver == static_cast<Result>(hipErrorInsufficientDriver));
static_assert(NoDevice == static_cast<Result>(hipErrorNoDevice) && InvalidDevice == static_cast<Result>(hipErrorInvalidDevice));
static_assert(InvalidImage == static_cast<Result>(hipErrorInvalidImage));
static_assert(NoBinaryForGpu == static_cast<Result>(hipErrorNoBinaryForGpu));
static_assert(SharedObjectInitFailed == static_cast<Result>(hipErrorSharedObjectInitFailed));
static_assert(NotFound == static_cast<Result>(hipErrorNotFound) && NotReady == static_cast<Result>(hipErrorNotReady));
static_assert(IllegalAddress == static_cast<Result>(hipErrorIllegalAddress));
static_assert(LaunchFailure == static_cast<Result>(hipErrorLaunchFailure));
static_assert(NotSupported == static_cast<Result>(hipErrorNotSupported) && Unknown == static_cast<Result>(hipErrorUnknown));
static_assert(HostToDevice == static_cast<CopyKind>(hipMemcpyHostToDevice));
static_assert(DeviceToHost == static_cast<CopyKind>(hipMemcpyDeviceToHost));
static_assert(DeviceToDevice == static_cast<CopyKind>(hipMemcpyDeviceToDevice));
static_assert(streamNonBlocking == hipStreamNonBlocking && eventDisableTiming == hipEventDisableTiming &&
              hostMallocDefault == hipHostMallocDefault);

TEST(HipAbi, AddressesThatAreNumbers) {
  EXPECT_EQ(launchBufferPointer, HIP_LAUNCH_PARAM_BUFFER_POINTER);
  EXPECT_EQ(launchBufferSize, HIP_LAUNCH_PARAM_BUFFER_SIZE);
  EXPECT_EQ(launchEnd, HIP_LAUNCH_PARAM_END);
}

TEST(HipAbi, VersionsAreCountedAsWeReadThem) {
  EXPECT_EQ(HIP_VERSION / versionsPerMajor, HIP_VERSION_MAJOR);
}

#else

TEST(HipAbi, FunctionsAndNumbersAreThoseOfTheHeaders) { GTEST_SKIP() << "no HIP headers (Debian: libamdhip64-dev)"; }

#endif
