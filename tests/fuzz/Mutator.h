//===- Mutator.h - Random damage ------------------------------------------===//

#ifndef PRIMUS_TESTS_FUZZ_MUTATOR_H
#define PRIMUS_TESTS_FUZZ_MUTATOR_H

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>

namespace primus::test {

/// Values at which arithmetic on sizes and offsets goes wrong.
inline constexpr uint64_t interesting[] = {0,          1,          63,         64,         127,         128,        255,
                                    1 << 12,    INT32_MAX,  1u << 31,   UINT32_MAX, 1ull << 46,  1ull << 47, 1ull << 62,
                                    INT64_MAX,  1ull << 63, UINT64_MAX, ~63ull,     ~0ull << 32};

/// Damages bytes at random, the same way for the same seed.
class Mutator {
public:
  explicit Mutator(uint64_t seed) : random(seed) {}

  std::string mutate(std::string bytes) {
    for (uint64_t i = 0, count = 1 + random() % 4; i < count && !bytes.empty(); ++i)
      mutateOnce(bytes);
    return bytes;
  }

private:
  void mutateOnce(std::string &bytes) {
    size_t at = random() % bytes.size();
    switch (random() % 7) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      return;
    case 1:
      bytes[at] = static_cast<char>(random());
      return;
    case 2:
      bytes.resize(at);
      return;
    case 3:
      bytes.erase(at, 1 + random() % 8);
      return;
    case 4:
      bytes.insert(at, bytes.substr(random() % bytes.size(), 1 + random() % 32));
      return;
    case 5: {
      uint64_t value = interesting[random() % std::size(interesting)];
      size_t size = std::min(bytes.size() - at, size_t(1) << random() % 4);
      std::memcpy(bytes.data() + at, &value, size);
      return;
    }
    default: {
      // A number as protobuf writes it, instead of the one-byte number there.
      std::string varint;
      uint64_t value = interesting[random() % std::size(interesting)];
      for (; value >= 128; value >>= 7)
        varint += static_cast<char>(value | 128);
      varint += static_cast<char>(value);
      bytes.replace(at, 1, varint);
    }
    }
  }

  std::mt19937_64 random;
};

} // namespace primus::test

#endif // PRIMUS_TESTS_FUZZ_MUTATOR_H
