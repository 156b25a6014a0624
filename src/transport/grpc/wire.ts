/**
 * Reading of protobuf's binary format, for the few messages whose generated codec costs too much on the hot path.
 *
 * A reader throws {@link BrokenMessage} on anything that is not well-formed, and never reads outside its bounds.
 */

/** The bytes are not a well-formed message, or break a limit of the contract. The text may be sent to the client. */
export class BrokenMessage extends Error {
  override readonly name = 'BrokenMessage';
}

/** Wire types that occur in what is read here. */
export const WireType = { VARINT: 0, FIXED64: 1, LENGTH_DELIMITED: 2, FIXED32: 5 } as const;

const TRUNCATED = 'The message ends in the middle of a field.';

/** A place in a message. Reused for many messages by {@link WireReader.reset}, so that reading one allocates nothing. */
export class WireReader {
  /** The next byte to read. */
  position = 0;
  /** The message ends before this byte. */
  end = 0;
  private bytes: Buffer = Buffer.alloc(0);

  /** Begins with a whole message. */
  reset(bytes: Buffer): void {
    this.bytes = bytes;
    this.position = 0;
    this.end = bytes.length;
  }

  /** Lets go of the message, so that a reader that lives on does not keep a raw key in memory. */
  release(): void {
    this.reset(NOTHING);
  }

  /** Reads a varint of up to 64 bits and returns its low 32; the high ones are in {@link high}. */
  varint(): number {
    const { bytes } = this;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) throw new BrokenMessage(TRUNCATED);
      const byte = bytes[this.position++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        this.high = high >>> 0;
        return low >>> 0;
      }
    }
    throw new BrokenMessage('The message holds a number of more than ten bytes.');
  }

  /** The high 32 bits of the last varint. */
  high = 0;

  /** Reads the tag of a field: its number times eight, plus its wire type. */
  tag(): number {
    const tag = this.varint();
    if (this.high !== 0 || tag < 8) throw new BrokenMessage('The message holds a field without a valid number.');
    return tag;
  }

  /** Reads the length of a length-delimited field and returns where it ends, at most {@link end}. */
  endOfField(): number {
    const length = this.varint();
    if (this.high !== 0 || length > this.end - this.position) throw new BrokenMessage(TRUNCATED);
    return this.position + length;
  }

  /** Passes over the value of a field that is not known. */
  skip(wireType: number): void {
    switch (wireType) {
      case WireType.VARINT:
        this.varint();
        return;
      case WireType.FIXED64:
        this.advance(8);
        return;
      case WireType.LENGTH_DELIMITED:
        this.position = this.endOfField();
        return;
      case WireType.FIXED32:
        this.advance(4);
        return;
      default:
        // Groups, which proto3 has not, and two values that mean nothing.
        throw new BrokenMessage('The message holds a field of an unknown wire type.');
    }
  }

  private advance(count: number): void {
    if (count > this.end - this.position) throw new BrokenMessage(TRUNCATED);
    this.position += count;
  }
}

const NOTHING = Buffer.alloc(0);

/** How many bytes a length or other number below 2^32 takes as a varint. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  return 5;
}

/** Writes a number below 2^32 as a varint and returns the place after it. */
export function writeVarint(bytes: Buffer, position: number, value: number): number {
  let rest = value;
  let at = position;
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** How many bytes a 64-bit number in two halves takes as a varint. */
export function varint64Size(low: number, high: number): number {
  if (high === 0) return varintSize(low);
  // 32 bits below, so 28 of them fill four bytes and the other four share the fifth with three bits from above.
  let rest = high >>> 3;
  let size = 5;
  while (rest > 0) {
    rest >>>= 7;
    size++;
  }
  return size;
}

/** Writes a 64-bit number in two halves as a varint and returns the place after it. */
export function writeVarint64(bytes: Buffer, position: number, low: number, high: number): number {
  let restLow = low;
  let restHigh = high;
  let at = position;
  while (restHigh > 0 || restLow >= 0x80) {
    bytes[at++] = (restLow & 0x7f) | 0x80;
    restLow = ((restLow >>> 7) | (restHigh << 25)) >>> 0;
    restHigh >>>= 7;
  }
  bytes[at++] = restLow;
  return at;
}
