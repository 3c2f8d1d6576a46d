//===- GpuKernels.c - The kernels of TestKernels.cpp, for GPUs ------------===//
//
// A workgroup of one wave is a program instance. Those of the bigram model have one instance, whose lanes share the columns
// of the table: column j belongs to lane j % 64.
//
//===----------------------------------------------------------------------===//

#define KERNEL __attribute__((amdgpu_kernel, amdgpu_flat_work_group_size(64, 64), visibility("protected"))) void
#define GLOBAL __attribute__((address_space(1)))
#define LOCAL __attribute__((address_space(3)))
#define LANE ((int)__builtin_amdgcn_workitem_id_x())
#define INSTANCE __builtin_amdgcn_workgroup_id_x()

enum { lanes = 64, vocabulary = 256, perLane = vocabulary / lanes, batch = 2, length = 32 };

/// y[i] = 2 x[i]; one element per instance.
KERNEL test_double(const GLOBAL float *x, GLOBAL float *y) {
  if (LANE == 0)
    y[INSTANCE] = 2 * x[INSTANCE];
}

/// sum[i] += x[i]; one element per instance.
KERNEL test_accumulate(const GLOBAL float *x, GLOBAL float *sum) {
  if (LANE == 0)
    sum[INSTANCE] += x[INSTANCE];
}

/// One value of each lane.
static LOCAL float scratch[lanes] __attribute__((loader_uninitialized));

static void meet(void) {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

/// The sum or maximum of all lanes' values, in all lanes.
static float reduce(float value, int isMaximum) {
  meet();
  scratch[LANE] = value;
  meet();
  float result = scratch[0];
  for (int i = 1; i < lanes; ++i)
    result = isMaximum ? __builtin_fmaxf(result, scratch[i]) : result + scratch[i];
  return result;
}

/// Softmax of a row, of which a lane gets its columns, and the row's loss for a label.
static float softmax(const GLOBAL float *row, int label, float *probabilities) {
  float largest = -__builtin_inff(), sum = 0;
  for (int k = 0; k < perLane; ++k)
    largest = __builtin_fmaxf(largest, row[LANE + k * lanes]);
  largest = reduce(largest, 1);
  for (int k = 0; k < perLane; ++k)
    sum += probabilities[k] = __builtin_amdgcn_exp2f((row[LANE + k * lanes] - largest) * 1.44269504f);
  sum = reduce(sum, 0);
  for (int k = 0; k < perLane; ++k)
    probabilities[k] /= sum;
  float logit = reduce(label % lanes == LANE ? row[label] : 0, 0);
  return __builtin_amdgcn_logf(sum) * 0.693147181f + largest - logit;
}

/// The gradient of the loss with regard to the lane's logits, from its probabilities.
static void subtractLabel(int label, float *probabilities) {
  for (int k = 0; k < perLane; ++k)
    if (LANE + k * lanes == label)
      probabilities[k] -= 1;
}

KERNEL test_train_step(const GLOBAL int *tokens, const GLOBAL int *labels, const GLOBAL float *learningRate,
                       const GLOBAL float *correction1, const GLOBAL float *correction2, GLOBAL float *table,
                       GLOBAL float *loss, GLOBAL float *norm) {
  float sum = 0, squares = 0, probabilities[perLane];
  for (int i = 0; i < batch * length; ++i) {
    GLOBAL float *row = table + tokens[i] * vocabulary;
    sum += softmax(row, labels[i], probabilities);
    subtractLabel(labels[i], probabilities);
    for (int k = 0; k < perLane; ++k) {
      squares += probabilities[k] * probabilities[k];
      row[LANE + k * lanes] -= *learningRate * probabilities[k];
    }
  }
  squares = reduce(squares, 0);
  if (LANE != 0)
    return;
  *loss = sum / (batch * length);
  *norm = __builtin_amdgcn_sqrtf(squares);
}

KERNEL test_forward(const GLOBAL int *tokens, const GLOBAL int *labels, const GLOBAL float *table, GLOBAL float *loss,
                    GLOBAL float *valid) {
  float sum = 0, probabilities[perLane];
  for (int i = 0; i < batch * length; ++i)
    sum += softmax(table + tokens[i] * vocabulary, labels[i], probabilities);
  if (LANE != 0)
    return;
  *loss = sum;
  *valid = batch * length;
}

KERNEL test_gradient(const GLOBAL int *tokens, const GLOBAL int *labels, const GLOBAL float *table,
                     GLOBAL float *gradient, GLOBAL float *loss, GLOBAL float *valid) {
  float sum = 0, predicted = 0, probabilities[perLane];
  for (int i = 0; i < vocabulary * perLane; ++i)
    gradient[i * lanes + LANE] = 0;
  for (int i = 0; i < batch * length; ++i) {
    if (labels[i] < 0)
      continue;
    sum += softmax(table + tokens[i] * vocabulary, labels[i], probabilities);
    subtractLabel(labels[i], probabilities);
    for (int k = 0; k < perLane; ++k)
      gradient[tokens[i] * vocabulary + LANE + k * lanes] += probabilities[k];
    ++predicted;
  }
  if (LANE != 0)
    return;
  *loss = sum;
  *valid = predicted;
}

KERNEL test_update(const GLOBAL float *gradient, const GLOBAL float *losses, const GLOBAL float *valid,
                   const GLOBAL float *learningRate, GLOBAL float *table, GLOBAL float *loss, GLOBAL float *norm) {
  float squares = 0;
  for (int i = LANE; i < vocabulary * vocabulary; i += lanes) {
    squares += gradient[i] * gradient[i];
    table[i] -= *learningRate * gradient[i];
  }
  squares = reduce(squares, 0);
  if (LANE != 0)
    return;
  *loss = *losses / *valid;
  *norm = __builtin_amdgcn_sqrtf(squares);
}

/// Counts steps; faults of GPUs are the emulator's to make.
KERNEL test_fault(const GLOBAL int *rank, GLOBAL float *steps) {
  if (LANE == 0)
    *steps += 1;
}

KERNEL test_sample(const GLOBAL int *tokens, const GLOBAL int *position, const GLOBAL float *table,
                   GLOBAL float *logits) {
  if (LANE == 0)
    logits[INSTANCE] = table[tokens[*position] * vocabulary + INSTANCE];
}
