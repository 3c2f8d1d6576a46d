//===- Error.h - Errors as values -----------------------------------------===//
//
// The runtime's counterpart of llvm::Error and llvm::Expected. An error is one line for the user and the exit code that
// it leads to.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_ERROR_H
#define PRIMUS_RUNTIME_SUPPORT_ERROR_H

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace primus::runtime {

/// What went wrong, as the exit code of the process.
enum class ErrorKind {
  Defect = 1,        ///< of ours
  Configuration = 2, ///< the command line or the configuration is wrong
  Failure = 3,       ///< a file or the run failed
};

/// Success, or what went wrong. True when it is an error.
class [[nodiscard]] Error {
public:
  static Error success() { return Error(); }
  static Error configuration(std::string message) { return Error(ErrorKind::Configuration, std::move(message)); }
  static Error failure(std::string message) { return Error(ErrorKind::Failure, std::move(message)); }
  static Error defect(std::string message) { return Error(ErrorKind::Defect, std::move(message)); }

  /// The same error with words before its message.
  Error withPrefix(const std::string &prefix) const { return Error(getKind(), prefix + getMessage()); }

  explicit operator bool() const { return content.has_value(); }
  ErrorKind getKind() const { return content->kind; }
  int getExitCode() const { return static_cast<int>(content->kind); }
  const std::string &getMessage() const { return content->message; }

private:
  Error() = default;
  Error(ErrorKind kind, std::string message) : content(Content{kind, std::move(message)}) {}

  struct Content {
    ErrorKind kind;
    std::string message;
  };
  std::optional<Content> content;
};

/// A value, or the error that prevented it. True when there is a value.
template <typename T>
class [[nodiscard]] Expected {
public:
  Expected(T value) : content(std::move(value)) {}
  Expected(Error error) : content(std::move(error)) {}

  explicit operator bool() const { return content.index() == 0; }
  T &operator*() { return std::get<0>(content); }
  const T &operator*() const { return std::get<0>(content); }
  T *operator->() { return &std::get<0>(content); }
  const T *operator->() const { return &std::get<0>(content); }
  Error takeError() { return std::move(std::get<1>(content)); }

private:
  std::variant<T, Error> content;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_ERROR_H
