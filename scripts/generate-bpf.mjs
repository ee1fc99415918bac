/**
 * Compiles the programs of native/bpf with clang and writes a header for each source: the instructions of each program
 * and the places where the loader puts something in. The results are committed, so that nobody needs clang to install.
 * `--check` writes nothing and fails when a committed file is another one.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "../native/bpf");
/**
 * What becomes of each source. `programs`: section of each, and what it is called in C++. `symbols`: what the loader
 * puts something in the place of, by number.
 */
const SOURCES = [
  {
    source: "ownership.bpf.c",
    output: "ownership_program.h",
    namespace: "firsthop::bpf",
    programs: { fh_xdp: "kXdp", fh_ingress: "kIngress", fh_egress: "kEgress" },
    symbols: ["fh_leases", "fh_groups", "fh_addresses", "fh_counters", "fh_hints"],
  },
  {
    source: "echo.bpf.c",
    output: "echo_program.h",
    namespace: "firsthop::bpf::echo",
    programs: { fh_echo4: "kEcho4", fh_echo6: "kEcho6" },
    symbols: ["fh_echoes", "fh_identity"],
  },
];

// elf(5), and the BPF psABI for the one relocation that programs without calls and data have.
const EM_BPF = 247;
const SHT_REL = 9;
const R_BPF_64_64 = 1;
const LOAD_IMMEDIATE_64 = 0x18;

function compile(source) {
  const folder = mkdtempSync(join(tmpdir(), "firsthop-bpf-"));
  try {
    const object = join(folder, "program.o");
    // -g is left out: debugging data would name the folder, and no program here needs it.
    const args = ["-target", "bpfel", "-mcpu=v3", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding"];
    execFileSync(process.env.BPF_CLANG ?? "clang", [...args, "-c", source, "-o", object], {
      cwd: FOLDER,
      stdio: ["ignore", "inherit", "inherit"],
    });
    return readFileSync(object);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const text = (bytes, at) => bytes.toString("latin1", at, bytes.indexOf(0, at));

function readSections(elf) {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf.readUInt16LE(18) !== EM_BPF) throw new Error("no BPF object");
  const table = Number(elf.readBigUInt64LE(40));
  const sections = Array.from({ length: elf.readUInt16LE(60) }, (_, index) => {
    const at = table + index * elf.readUInt16LE(58);
    const offset = Number(elf.readBigUInt64LE(at + 24));
    const size = Number(elf.readBigUInt64LE(at + 32));
    return {
      nameAt: elf.readUInt32LE(at),
      type: elf.readUInt32LE(at + 4),
      target: elf.readUInt32LE(at + 44),
      data: elf.subarray(offset, offset + size),
    };
  });
  const names = sections[elf.readUInt16LE(62)].data;
  return sections.map((section) => ({ ...section, name: text(names, section.nameAt) }));
}

/** Instructions as 64-bit words, and where each symbol stands in them. */
function readProgram(sections, name, known) {
  const index = sections.findIndex((section) => section.name === name);
  const { data } = sections[index];
  const symbols = sections.find((section) => section.name === ".symtab").data;
  const strings = sections.find((section) => section.name === ".strtab").data;
  const words = Array.from({ length: data.length / 8 }, (_, at) => data.readBigUInt64LE(at * 8));
  const uses = [];
  for (const { data: entries } of sections.filter((one) => one.type === SHT_REL && one.target === index)) {
    for (let at = 0; at < entries.length; at += 16) {
      const instruction = Number(entries.readBigUInt64LE(at)) / 8;
      const type = entries.readUInt32LE(at + 8);
      const symbol = known.indexOf(text(strings, symbols.readUInt32LE(entries.readUInt32LE(at + 12) * 24)));
      if (type !== R_BPF_64_64 || symbol < 0 || Number(words[instruction] & 0xffn) !== LOAD_IMMEDIATE_64)
        throw new Error(`${name}: instruction ${instruction} needs what the loader can't give`);
      uses.push({ instruction, symbol });
    }
  }
  // What calls another function of this file would need a loader that links.
  const calls = words.filter((word) => (word & 0xffn) === 0x85n && ((word >> 12n) & 0xfn) !== 0n);
  if (calls.length > 0) throw new Error(`${name} calls functions of its own: inline them`);
  return { words, uses };
}

const rows = (items, perRow) =>
  Array.from(
    { length: Math.ceil(items.length / perRow) },
    (_, row) => `  ${items.slice(row * perRow, (row + 1) * perRow).join(", ")},`,
  ).join("\n");

function render({ source, namespace, programs, symbols: known }) {
  const sections = readSections(compile(source));
  const parts = Object.entries(programs).map(([section, name]) => {
    const { words, uses } = readProgram(sections, section, known);
    const code = rows(
      words.map((word) => `0x${word.toString(16).padStart(16, "0")}`),
      5,
    );
    const places = rows(
      uses.map(({ instruction, symbol }) => `{${instruction}, ${symbol}}`),
      10,
    );
    return `inline constexpr uint64_t ${name}Code[] = {\n${code}\n};\ninline constexpr SymbolUse ${name}Uses[] = {\n${places}\n};\n`;
  });
  return `// GENERATED from ${source} by \`npm run bpf\`; \`npm run bpf:check\` compares. Do not edit.
#pragma once
#include <cstdint>

#include "symbols.h"

namespace ${namespace} {

inline constexpr const char* kSymbolNames[] = {${known.map((name) => `"${name}"`).join(", ")}};

${parts.join("\n")}
}  // namespace ${namespace}
`;
}

for (const one of SOURCES) {
  const generated = render(one);
  const output = join(FOLDER, one.output);
  if (!process.argv.includes("--check")) {
    writeFileSync(output, generated);
  } else if (readFileSync(output, "utf8") !== generated) {
    console.error(`native/bpf/${one.output} is not what ${one.source} compiles to: run \`npm run bpf\``);
    process.exitCode = 1;
  }
}
