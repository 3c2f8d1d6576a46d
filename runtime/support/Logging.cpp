//===- Logging.cpp - Where log lines go -----------------------------------===//

#include "runtime/support/Logging.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <vector>

using namespace primus::runtime;
using spdlog::level::level_enum;

static std::optional<level_enum> parseLevel(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  constexpr std::pair<const char *, level_enum> levels[] = {
      {"TRACE", level_enum::trace},  {"DEBUG", level_enum::debug}, {"INFO", level_enum::info},
      {"SUCCESS", level_enum::info}, {"WARNING", level_enum::warn}, {"ERROR", level_enum::err},
      {"CRITICAL", level_enum::critical},
  };
  for (auto [known, level] : levels)
    if (name == known)
      return level;
  return std::nullopt;
}

static Expected<level_enum> parseLevel(const std::string &key, const std::string &name) {
  if (std::optional<level_enum> level = parseLevel(name))
    return *level;
  return Error::configuration(fmt::format(
      "{} '{}' is not a level: TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL", key, name));
}

namespace {

/// "warning: " before what is not plain information.
class LevelPrefix final : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg &message, const std::tm &, spdlog::memory_buf_t &out) override {
    if (message.level == level_enum::info)
      return;
    spdlog::string_view_t name = spdlog::level::to_string_view(message.level);
    out.append(name.data(), name.data() + name.size());
    constexpr std::string_view separator = ": ";
    out.append(separator.data(), separator.data() + separator.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<LevelPrefix>(); }
};

} // namespace

static thread_local bool isMuted = false;

void primus::runtime::muteThisThread() { isMuted = true; }

namespace {

/// A logger that threads can be muted in.
class RankLogger final : public spdlog::logger {
public:
  using spdlog::logger::logger;

protected:
  void sink_it_(const spdlog::details::log_msg &message) override {
    if (!isMuted)
      spdlog::logger::sink_it_(message);
  }
};

} // namespace

static Error addFileSinks(const LogConfig &config, level_enum lowest, std::vector<spdlog::sink_ptr> &sinks) {
  std::filesystem::path folder = std::filesystem::path(config.folder) / "logs" / config.module / "rank-0";
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code)
    return Error::failure(fmt::format("cannot create '{}': {}", folder.string(), code.message()));
  constexpr std::pair<const char *, level_enum> files[] = {{"debug.log", level_enum::debug},
                                                           {"info.log", level_enum::info},
                                                           {"warning.log", level_enum::warn},
                                                           {"error.log", level_enum::err}};
  for (auto [name, level] : files) {
    if (level < lowest)
      continue;
    try {
      auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>((folder / name).string());
      sink->set_level(level);
      sink->set_pattern(fmt::format("[%Y%m%d %H:%M:%S][{}][rank-0/{}][%l] %v", config.module, config.ranks));
      sinks.push_back(sink);
    } catch (const spdlog::spdlog_ex &error) {
      return Error::failure(fmt::format("cannot write logs: {}", error.what()));
    }
  }
  return Error::success();
}

Error primus::runtime::setUpLogging(const LogConfig &config) {
  bool overridden = !config.sinkLevel.empty();
  Expected<level_enum> fileLevel = overridden ? parseLevel("sink_level", config.sinkLevel)
                                              : parseLevel("file_sink_level", config.fileSinkLevel);
  if (!fileLevel)
    return fileLevel.takeError();
  Expected<level_enum> stderrLevel = overridden ? parseLevel("sink_level", config.sinkLevel)
                                                : parseLevel("stderr_sink_level", config.stderrSinkLevel);
  if (!stderrLevel)
    return stderrLevel.takeError();

  auto terminal = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  terminal->set_level(*stderrLevel);
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<LevelPrefix>('*').set_pattern("%^%*%$%v");
  terminal->set_formatter(std::move(formatter));
  std::vector<spdlog::sink_ptr> sinks = {terminal};
  if (!config.folder.empty())
    if (Error error = addFileSinks(config, *fileLevel, sinks))
      return error;

  auto logger = std::make_shared<RankLogger>("primus", sinks.begin(), sinks.end());
  logger->set_level(level_enum::trace);
  // A reader of the file should see each line as soon as the terminal does.
  logger->flush_on(level_enum::trace);
  spdlog::set_default_logger(logger);
  return Error::success();
}
