//===- Main.cpp - Runs the benchmarks on one pinned core ------------------===//

#include <benchmark/benchmark.h>

#include <sched.h>

/// Keeps the process on the last processor that it may use: the first ones serve interrupts.
static void pinToOneProcessor() {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&allowed);
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof(allowed), &allowed))
    return;
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed))
      last = cpu;
  if (last < 0)
    return;
  CPU_SET(last, &chosen);
  sched_setaffinity(0, sizeof(chosen), &chosen);
}

int main(int argc, char **argv) {
  pinToOneProcessor();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
