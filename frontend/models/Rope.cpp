//===- Rope.cpp - Rotation frequencies ------------------------------------===//

#include "frontend/models/Blocks.h"

using namespace primus;

/// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
static double scaleLlama3(double frequency, const spec::RopeScaling &scaling) {
  double wavelength = 2 * M_PI / frequency;
  double original = static_cast<double>(scaling.original_positions());
  if (wavelength < original / scaling.high_frequency_factor())
    return frequency;
  if (wavelength > original / scaling.low_frequency_factor())
    return frequency / scaling.factor();
  double smooth = (original / wavelength - scaling.low_frequency_factor()) /
                  (scaling.high_frequency_factor() - scaling.low_frequency_factor());
  return (1 - smooth) * frequency / scaling.factor() + smooth * frequency;
}

std::vector<double> models::ropeFrequencies(const spec::Rope &rope) {
  std::vector<double> frequencies;
  for (int64_t pair = 0; pair < rope.dimensions() / 2; ++pair) {
    double frequency = std::pow(rope.theta(), -2.0 * static_cast<double>(pair) / static_cast<double>(rope.dimensions()));
    if (rope.scaling().kind() == "linear")
      frequency /= rope.scaling().factor();
    else if (rope.scaling().kind() == "llama3")
      frequency = scaleLlama3(frequency, rope.scaling());
    frequencies.push_back(frequency);
  }
  return frequencies;
}
