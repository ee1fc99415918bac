// Where a program needs something of the loader's.
#pragma once
#include <cstdint>

namespace firsthop::bpf {

// Before loading, the map's file descriptor (or what else stands under this name) goes into this instruction.
struct MapUse {
  uint16_t instruction;
  uint8_t map;
};

}  // namespace firsthop::bpf
