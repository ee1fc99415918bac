// What compiled programs leave to their loader: symbols, in the place of which each load of 64 bits gets a map, a map's
// memory or a number.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

namespace firsthop::bpf {

// In which instruction a program uses which of its source's symbols.
struct SymbolUse {
  uint16_t instruction;
  uint8_t symbol;
};

// What a symbol stands for.
class Symbol {
 public:
  static Symbol map(int fd) { return {Source::kMap, static_cast<uint32_t>(fd)}; }
  // Of a map with one entry that can be mapped; the program's code says where in it.
  static Symbol memory(int fd) { return {Source::kMapMemory, static_cast<uint32_t>(fd)}; }
  static Symbol number(uint64_t value) { return {Source::kNumber, value}; }

  // Two words of 64 bits: opcode, registers, offset and immediate; then the upper half of the immediate.
  void putInto(uint64_t* load) const {
    const uint64_t addend = load[0] >> 32;
    const uint64_t upper = source_ == Source::kMapMemory ? addend : value_ >> 32;
    load[0] = (load[0] & 0xfff) | static_cast<uint64_t>(source_) << 12 | value_ << 32;
    load[1] = (load[1] & 0xffffffff) | upper << 32;
  }

 private:
  // linux/bpf.h: the source register of such a load says what its immediate is.
  enum class Source : uint8_t { kNumber = 0, kMap = 1, kMapMemory = 2 };

  Symbol(Source source, uint64_t value) : source_(source), value_(value) {}

  Source source_;
  uint64_t value_;
};

// A program's instructions with what its symbols stand for, by number.
template <size_t Size, size_t Uses>
std::vector<uint64_t> link(const uint64_t (&code)[Size], const SymbolUse (&uses)[Uses],
                           const std::vector<Symbol>& symbols) {
  std::vector<uint64_t> words(std::begin(code), std::end(code));
  for (const auto& use : uses) symbols[use.symbol].putInto(&words[use.instruction]);
  return words;
}

}  // namespace firsthop::bpf
