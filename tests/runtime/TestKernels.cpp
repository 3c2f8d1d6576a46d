//===- TestKernels.cpp - Kernels for executables made by hand -------------===//
//
// The calling convention of generated kernels: arguments, then the range of program instances to run.
//
//===----------------------------------------------------------------------===//

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#define KERNEL extern "C" __attribute__((visibility("default"))) void

/// y[i] = 2 x[i]; one element per instance.
KERNEL test_double(void *const *arguments, int64_t begin, int64_t end) {
  auto *x = static_cast<const float *>(arguments[0]);
  auto *y = static_cast<float *>(arguments[1]);
  for (int64_t i = begin; i < end; ++i)
    y[i] = 2 * x[i];
}

/// sum[i] += x[i]; one element per instance.
KERNEL test_accumulate(void *const *arguments, int64_t begin, int64_t end) {
  auto *x = static_cast<const float *>(arguments[0]);
  auto *sum = static_cast<float *>(arguments[1]);
  for (int64_t i = begin; i < end; ++i)
    sum[i] += x[i];
}

// A bigram model: a table of logits, one row of `vocabulary` per byte, trained by plain gradient descent.
static constexpr int64_t vocabulary = 256, batch = 2, length = 32;

/// Softmax of a row, and its loss for a label.
static float softmax(const float *row, int32_t label, float *probabilities) {
  float largest = *std::max_element(row, row + vocabulary), sum = 0;
  for (int64_t i = 0; i < vocabulary; ++i)
    sum += probabilities[i] = std::exp(row[i] - largest);
  for (int64_t i = 0; i < vocabulary; ++i)
    probabilities[i] /= sum;
  return std::log(sum) + largest - row[label];
}

/// tokens, labels, learning rate, bias corrections, table -> loss, gradient norm. One instance.
KERNEL test_train_step(void *const *arguments, int64_t, int64_t) {
  auto *tokens = static_cast<const int32_t *>(arguments[0]);
  auto *labels = static_cast<const int32_t *>(arguments[1]);
  float learningRate = *static_cast<const float *>(arguments[2]);
  auto *table = static_cast<float *>(arguments[5]);
  float loss = 0, squares = 0, probabilities[vocabulary];
  for (int64_t i = 0; i < batch * length; ++i) {
    float *row = table + tokens[i] * vocabulary;
    loss += softmax(row, labels[i], probabilities);
    probabilities[labels[i]] -= 1;
    for (int64_t j = 0; j < vocabulary; ++j) {
      squares += probabilities[j] * probabilities[j];
      row[j] -= learningRate * probabilities[j];
    }
  }
  *static_cast<float *>(arguments[6]) = loss / (batch * length);
  *static_cast<float *>(arguments[7]) = std::sqrt(squares);
}

/// tokens, labels, table -> sum of losses, number of tokens. One instance.
KERNEL test_forward(void *const *arguments, int64_t, int64_t) {
  auto *tokens = static_cast<const int32_t *>(arguments[0]);
  auto *labels = static_cast<const int32_t *>(arguments[1]);
  auto *table = static_cast<const float *>(arguments[2]);
  float loss = 0, probabilities[vocabulary];
  for (int64_t i = 0; i < batch * length; ++i)
    loss += softmax(table + tokens[i] * vocabulary, labels[i], probabilities);
  *static_cast<float *>(arguments[3]) = loss;
  *static_cast<float *>(arguments[4]) = batch * length;
}

// The same model in parts, for several ranks that share a batch.

/// tokens, labels, table -> gradient of the sum of losses, that sum, number of tokens that are predicted. One instance.
KERNEL test_gradient(void *const *arguments, int64_t, int64_t) {
  auto *tokens = static_cast<const int32_t *>(arguments[0]);
  auto *labels = static_cast<const int32_t *>(arguments[1]);
  auto *table = static_cast<const float *>(arguments[2]);
  auto *gradient = static_cast<float *>(arguments[3]);
  float loss = 0, valid = 0, probabilities[vocabulary];
  std::fill(gradient, gradient + vocabulary * vocabulary, 0.0f);
  for (int64_t i = 0; i < batch * length; ++i) {
    if (labels[i] < 0)
      continue;
    loss += softmax(table + tokens[i] * vocabulary, labels[i], probabilities);
    probabilities[labels[i]] -= 1;
    for (int64_t j = 0; j < vocabulary; ++j)
      gradient[tokens[i] * vocabulary + j] += probabilities[j];
    ++valid;
  }
  *static_cast<float *>(arguments[4]) = loss;
  *static_cast<float *>(arguments[5]) = valid;
}

/// gradient, sum of losses, number of tokens, learning rate, table -> loss, gradient norm. One instance.
KERNEL test_update(void *const *arguments, int64_t, int64_t) {
  auto *gradient = static_cast<const float *>(arguments[0]);
  float valid = *static_cast<const float *>(arguments[2]), squares = 0;
  float learningRate = *static_cast<const float *>(arguments[3]);
  auto *table = static_cast<float *>(arguments[4]);
  for (int64_t i = 0; i < vocabulary * vocabulary; ++i) {
    squares += gradient[i] * gradient[i];
    table[i] -= learningRate * gradient[i];
  }
  *static_cast<float *>(arguments[5]) = *static_cast<const float *>(arguments[1]) / valid;
  *static_cast<float *>(arguments[6]) = std::sqrt(squares);
}

/// rank, steps so far: strikes if PRIMUS_TEST_FAULT is "KIND RANK STEP" of this rank and step. One instance.
KERNEL test_fault(void *const *arguments, int64_t, int64_t) {
  int32_t rank = *static_cast<const int32_t *>(arguments[0]);
  auto *steps = static_cast<float *>(arguments[1]);
  *steps += 1;
  const char *fault = std::getenv("PRIMUS_TEST_FAULT");
  char kind[16];
  int faultRank, faultStep;
  if (!fault || std::sscanf(fault, "%15s %d %d", kind, &faultRank, &faultStep) != 3 || faultRank != rank ||
      faultStep != static_cast<int>(*steps))
    return;
  if (std::strcmp(kind, "kill") == 0)
    raise(SIGKILL);
  else if (std::strcmp(kind, "stop") == 0)
    raise(SIGSTOP);
  else if (std::strcmp(kind, "exit") == 0)
    _exit(7);
  else if (std::strcmp(kind, "nan") == 0)
    *steps = std::nanf("");
  else
    while (true)
      pause();
}

/// tokens, position, table -> logits of the token after that position. One element per instance.
KERNEL test_sample(void *const *arguments, int64_t begin, int64_t end) {
  auto *tokens = static_cast<const int32_t *>(arguments[0]);
  int32_t position = *static_cast<const int32_t *>(arguments[1]);
  auto *table = static_cast<const float *>(arguments[2]);
  auto *logits = static_cast<float *>(arguments[3]);
  for (int64_t i = begin; i < end; ++i)
    logits[i] = table[tokens[position] * vocabulary + i];
}
