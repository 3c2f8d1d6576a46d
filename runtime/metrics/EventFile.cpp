//===- EventFile.cpp - Metrics for TensorBoard ----------------------------===//

#include "runtime/metrics/EventFile.h"

#include "runtime/metrics/TensorBoardEvent.pb.h"
#include "runtime/support/WriteFile.h"

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

using namespace primus;
using namespace primus::runtime;

static constexpr std::array<uint32_t, 256> makeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
    table[i] = value;
  }
  return table;
}

uint32_t runtime::computeCrc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> table = makeCrcTable();
  uint32_t crc = ~0u;
  for (char byte : bytes)
    crc = table[(crc ^ static_cast<uint8_t>(byte)) & 0xff] ^ crc >> 8;
  return ~crc;
}

std::string runtime::makeTfRecord(std::string_view data) {
  auto toBytes = [](auto value) { return std::string(reinterpret_cast<const char *>(&value), sizeof(value)); };
  auto mask = [](uint32_t crc) { return std::rotr(crc, 15) + 0xA282EAD8u; };
  std::string length = toBytes(static_cast<uint64_t>(data.size()));
  return length + toBytes(mask(computeCrc32c(length))) + std::string(data) + toBytes(mask(computeCrc32c(data)));
}

static double getWallTime() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Expected<EventFile> EventFile::create(const std::string &folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code)
    return Error::failure(fmt::format("cannot create the folder '{}' for TensorBoard: {}", folder, code.message()));
  char host[256] = "localhost";
  (void)gethostname(host, sizeof(host) - 1);
  double now = getWallTime();
  // The name is what TensorBoard looks for; the number of the process tells two runs of one second apart.
  std::string path = fmt::format("{}/events.out.tfevents.{}.{}.{}", folder, static_cast<int64_t>(now), host, getpid());
  EventFile file(path, open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.descriptor < 0)
    return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  tensorboard::Event event;
  event.set_wall_time(now);
  event.set_file_version("brain.Event:2");
  if (Error error = file.write(event.SerializeAsString()))
    return error;
  return file;
}

EventFile::EventFile(EventFile &&other) noexcept
    : path(std::move(other.path)), descriptor(std::exchange(other.descriptor, -1)) {}

EventFile &EventFile::operator=(EventFile &&other) noexcept {
  std::swap(path, other.path);
  std::swap(descriptor, other.descriptor);
  return *this;
}

EventFile::~EventFile() {
  if (descriptor >= 0)
    close(descriptor);
}

Error EventFile::write(std::string_view record) {
  if (writeAll(descriptor, makeTfRecord(record)))
    return Error::success();
  return Error::failure(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}

Error EventFile::append(const StepMetrics &metrics) {
  tensorboard::Event event;
  event.set_wall_time(getWallTime());
  event.set_step(metrics.step);
  auto add = [&](const char *tag, double number) {
    tensorboard::Value &value = *event.mutable_summary()->add_value();
    value.set_tag(tag);
    value.set_simple_value(static_cast<float>(number));
  };
  add("loss", metrics.loss);
  add("grad_norm", metrics.gradNorm);
  add("learning_rate", metrics.learningRate);
  add("tokens_per_second", metrics.getTokensPerSecond());
  add("step_seconds", metrics.stepSeconds);
  if (metrics.validationLoss)
    add("validation_loss", *metrics.validationLoss);
  return write(event.SerializeAsString());
}
