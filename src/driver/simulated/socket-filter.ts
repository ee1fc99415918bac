/** Runs a classic BPF program, as the kernel does for the filter of a packet socket. The instructions in use only. */

const LD_W_ABS = 0x20;
const LD_H_ABS = 0x28;
const LD_B_ABS = 0x30;
const JA = 0x05;
const JEQ_K = 0x15;
const JSET_K = 0x45;
const RET_K = 0x06;
/** Offsets from here on name the kernel's knowledge of the packet; in a simulated LAN all of it is 0 (no VLAN tags). */
const ANCILLARY = 0xfffff000;

/** Compiled to a form that is quick to interpret; a filter is run for every frame. */
export interface SocketFilter {
  /** Whether the frame is let through. */
  accepts(frame: Uint8Array): boolean;
}

/**
 * @param program 8 octets an instruction, little-endian: struct sock_filter.
 * @throws RangeError for an instruction that firsthop's filters do not use.
 */
export function socketFilter(program: Uint8Array): SocketFilter {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const length = program.byteLength / 8;
  if (!Number.isInteger(length) || length === 0) throw new RangeError("a filter has 8 octets an instruction");
  const code = new Uint16Array(length);
  const k = new Uint32Array(length);
  for (let index = 0; index < length; index++) {
    code[index] = view.getUint16(index * 8, true);
    k[index] = view.getUint32(index * 8 + 4, true);
    if (![LD_W_ABS, LD_H_ABS, LD_B_ABS, JA, JEQ_K, JSET_K, RET_K].includes(code[index] as number)) {
      throw new RangeError(`filter instruction ${index} has the unknown code ${code[index]}`);
    }
  }
  const jump = (index: number, taken: boolean): number => program[index * 8 + (taken ? 2 : 3)] as number;

  return {
    accepts(frame) {
      let accumulator = 0;
      for (let index = 0; index < length; index++) {
        const value = k[index] as number;
        switch (code[index]) {
          case RET_K:
            return value !== 0;
          case JA:
            index += value;
            break;
          case JEQ_K:
            index += jump(index, accumulator === value);
            break;
          case JSET_K:
            index += jump(index, (accumulator & value) !== 0);
            break;
          default: {
            const loaded = load(frame, code[index] as number, value);
            // Reading behind the end ends the program: the packet is dropped.
            if (loaded === null) return false;
            accumulator = loaded;
          }
        }
      }
      return false;
    },
  };
}

function load(frame: Uint8Array, code: number, offset: number): number | null {
  if (offset >= ANCILLARY) return 0;
  const size = code === LD_W_ABS ? 4 : code === LD_H_ABS ? 2 : 1;
  if (offset + size > frame.length) return null;
  let value = 0;
  for (let index = 0; index < size; index++) value = value * 256 + (frame[offset + index] as number);
  return value;
}
