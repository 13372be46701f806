// Runs each seed file as it is, and then RUNS mutations of each: runtime_mutate RUNS FILE...
//
// Mutations are the same on every machine. A crash prints the seed and the mutation's number.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern unsigned long models_run;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

uint32_t next(uint32_t *state) {  // xorshift32
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

// One to four changes: a bit, a byte of interest, a 4-byte word, or the end cut off.
Bytes mutated(const Bytes &seed, uint32_t number) {
  static const uint32_t kWords[] = {0, 1, 0x7f, 0xff, 0x7fff, 0x7fffffff, 0x80000000, 0xffffffff};
  Bytes out = seed;
  uint32_t state = number * 2654435761U + 1;
  for (uint32_t changes = 1 + next(&state) % 4; changes > 0 && !out.empty(); changes--) {
    const size_t at = next(&state) % out.size();
    switch (next(&state) % 8) {
      case 0:
        out[at] = static_cast<uint8_t>(next(&state));
        break;
      case 1: {
        const uint32_t word = kWords[next(&state) % 8];
        for (size_t k = 0; k < 4 && at / 4 * 4 + k < out.size(); k++) {
          out[at / 4 * 4 + k] = static_cast<uint8_t>(word >> (8 * k));
        }
        break;
      }
      case 2:
        if (next(&state) % 8 == 0) out.resize(at);
        break;
      default:
        out[at] ^= static_cast<uint8_t>(1U << next(&state) % 8);
    }
  }
  return out;
}

const char *seed_name;
uint32_t mutation;

void report() { std::fprintf(stderr, "%s, mutation %u\n", seed_name, mutation); }

}  // namespace

extern "C" void __asan_on_error() { report(); }

int main(int argc, char **argv) {
  const auto runs = static_cast<uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 0);
  unsigned long total = 0;
  for (int k = 2; k < argc; k++) {
    std::ifstream file(argv[k], std::ios::binary);
    const Bytes seed{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (seed.empty()) {
      std::fprintf(stderr, "cannot read %s\n", argv[k]);
      return 1;
    }
    seed_name = argv[k];
    for (mutation = 0; mutation <= runs; mutation++, total++) {
      const Bytes data = mutation ? mutated(seed, mutation) : seed;
      LLVMFuzzerTestOneInput(data.data(), data.size());
    }
  }
  std::printf("%lu executions, %lu models ran\n", total, models_run);
}
