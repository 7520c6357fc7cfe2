// A simulated chip as C functions: load its memories, clear it, run steps.
#include <cstdint>
#include "Vchip.h"
#include "verilated.h"

namespace {

struct Simulation {
    VerilatedContext context;
    Vchip chip{&context};

    void tick() {   // cycles begin at both edges: build.py sees to it
        chip.clk = !chip.clk;
        chip.eval();
    }

    int32_t wait() {
        int32_t cycles = 1;
        for (; chip.busy; ++cycles) tick();
        return cycles;
    }
};

int32_t sign_extend(uint64_t word, int bits) { return int32_t(uint32_t(word) << (32 - bits)) >> (32 - bits); }

}  // namespace

extern "C" {

void* make_chip() {
    auto* made = new Simulation;
    made->chip.rst = 1;
    made->tick();
    made->chip.rst = 0;
    made->tick();
    return made;
}

void free_chip(void* given) { delete static_cast<Simulation*>(given); }

void load_block(void* given, int32_t block, int32_t n_words, const uint32_t* words) {
    auto& made = *static_cast<Simulation*>(given);
    made.chip.prog_we = 1;
    made.chip.prog_block = block;
    for (int32_t k = 0; k < n_words; ++k) {
        made.chip.prog_addr = k;
        made.chip.prog_data = words[k];
        made.tick();
    }
    made.chip.prog_we = 0;
}

void clear_chip(void* given) {
    auto& made = *static_cast<Simulation*>(given);
    made.chip.clear = 1;
    made.tick();
    made.chip.clear = 0;
    made.wait();
}

// Of each step: cycles, and of each slot count, potential, and current of each synapse.
void run_steps(void* given, int32_t n_steps, int32_t n_inputs, int32_t n_slots, int32_t n_synapses, int32_t bits,
               const uint8_t* raster, int32_t* cycles, int32_t* states) {
    auto& made = *static_cast<Simulation*>(given);
    auto& chip = made.chip;
    for (int32_t step = 0; step < n_steps; ++step) {
        chip.in_we = 1;
        for (int32_t channel = 0; channel < n_inputs; ++channel) {
            chip.in_addr = channel;
            chip.in_count = *raster++;
            made.tick();
        }
        chip.in_we = 0;
        chip.start = 1;
        made.tick();
        chip.start = 0;
        *cycles++ = made.wait();
        for (int32_t slot = 0; slot < n_slots; ++slot) {
            chip.read_addr = slot;
            made.tick();
            *states++ = chip.read_count;
            *states++ = sign_extend(chip.read_v, bits);
            for (int32_t synapse = 0; synapse < n_synapses; ++synapse)
                *states++ = sign_extend(uint64_t(chip.read_i) >> (synapse * bits), bits);
        }
    }
}

}
